// Original file: proto/stillhouse/v1/workers.proto

import type { WorkerShare as _stillhouse_v1_WorkerShare, WorkerShare__Output as _stillhouse_v1_WorkerShare__Output } from '../../stillhouse/v1/WorkerShare.ts';

export interface TaskProgress {
  'taskId'?: (string);
  'step'?: (number);
  'firstLoss'?: (number | string);
  'loss'?: (number | string);
  'share'?: (_stillhouse_v1_WorkerShare | null);
  'epoch'?: (number);
  'epochs'?: (number);
  'epochLoss'?: (number | string);
  'epochAccuracy'?: (number | string);
  'checkpointDigest'?: (string);
  'checkpointEpoch'?: (number);
  'finishedEpoch'?: (number);
  'finishedEpochLoss'?: (number | string);
  'finishedEpochAccuracy'?: (number | string);
}

export interface TaskProgress__Output {
  'taskId': (string);
  'step': (number);
  'firstLoss': (number);
  'loss': (number);
  'share': (_stillhouse_v1_WorkerShare__Output | null);
  'epoch': (number);
  'epochs': (number);
  'epochLoss': (number);
  'epochAccuracy': (number);
  'checkpointDigest': (string);
  'checkpointEpoch': (number);
  'finishedEpoch': (number);
  'finishedEpochLoss': (number);
  'finishedEpochAccuracy': (number);
}
