// Original file: proto/stillhouse/v1/coordinator.proto

import type { Job as _stillhouse_v1_Job, Job__Output as _stillhouse_v1_Job__Output } from '../../stillhouse/v1/Job.ts';

export interface ListJobsResponse {
  'jobs'?: (_stillhouse_v1_Job)[];
}

export interface ListJobsResponse__Output {
  'jobs': (_stillhouse_v1_Job__Output)[];
}
