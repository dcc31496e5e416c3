// Original file: proto/stillhouse/v1/workers.proto

import type { WorkerShare as _stillhouse_v1_WorkerShare, WorkerShare__Output as _stillhouse_v1_WorkerShare__Output } from '../../stillhouse/v1/WorkerShare.ts';
import type { TeacherShare as _stillhouse_v1_TeacherShare, TeacherShare__Output as _stillhouse_v1_TeacherShare__Output } from '../../stillhouse/v1/TeacherShare.ts';

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
  'teachers'?: (_stillhouse_v1_TeacherShare)[];
  'bestEpoch'?: (number);
  'bestAccuracy'?: (number | string);
  'stoppedEarly'?: (boolean);
  'notice'?: (string);
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
  'teachers': (_stillhouse_v1_TeacherShare__Output)[];
  'bestEpoch': (number);
  'bestAccuracy': (number);
  'stoppedEarly': (boolean);
  'notice': (string);
}
