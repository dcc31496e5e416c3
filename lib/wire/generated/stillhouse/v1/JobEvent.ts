// Original file: proto/stillhouse/v1/coordinator.proto

import type { Job as _stillhouse_v1_Job, Job__Output as _stillhouse_v1_Job__Output } from '../../stillhouse/v1/Job.ts';

export interface JobEvent {
  'revision'?: (number);
  'job'?: (_stillhouse_v1_Job | null);
}

export interface JobEvent__Output {
  'revision': (number);
  'job': (_stillhouse_v1_Job__Output | null);
}
