// Original file: proto/stillhouse/v1/coordinator.proto

import type { JobScope as _stillhouse_v1_JobScope, JobScope__Output as _stillhouse_v1_JobScope__Output } from '../../stillhouse/v1/JobScope.ts';

export interface SubmitJobRequest {
  'spec'?: (string);
  'idempotencyKey'?: (string);
  'scope'?: (_stillhouse_v1_JobScope);
}

export interface SubmitJobRequest__Output {
  'spec': (string);
  'idempotencyKey': (string);
  'scope': (_stillhouse_v1_JobScope__Output);
}
