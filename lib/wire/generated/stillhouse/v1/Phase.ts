// Original file: proto/stillhouse/v1/coordinator.proto

import type { PhaseKind as _stillhouse_v1_PhaseKind, PhaseKind__Output as _stillhouse_v1_PhaseKind__Output } from '../../stillhouse/v1/PhaseKind.ts';
import type { PhaseState as _stillhouse_v1_PhaseState, PhaseState__Output as _stillhouse_v1_PhaseState__Output } from '../../stillhouse/v1/PhaseState.ts';
import type { WorkerShare as _stillhouse_v1_WorkerShare, WorkerShare__Output as _stillhouse_v1_WorkerShare__Output } from '../../stillhouse/v1/WorkerShare.ts';
import type { RuleResult as _stillhouse_v1_RuleResult, RuleResult__Output as _stillhouse_v1_RuleResult__Output } from '../../stillhouse/v1/RuleResult.ts';
import type { TeacherShare as _stillhouse_v1_TeacherShare, TeacherShare__Output as _stillhouse_v1_TeacherShare__Output } from '../../stillhouse/v1/TeacherShare.ts';

export interface Phase {
  'kind'?: (_stillhouse_v1_PhaseKind);
  'state'?: (_stillhouse_v1_PhaseState);
  'subject'?: (string);
  'step'?: (number);
  'stepsTotal'?: (number);
  'firstLoss'?: (number | string);
  'loss'?: (number | string);
  'imagesPerSecond'?: (number | string);
  'accuracy'?: (number | string);
  'evaluatedImages'?: (number);
  'workers'?: (_stillhouse_v1_WorkerShare)[];
  'modelDigest'?: (string);
  'seconds'?: (number | string);
  'parameters'?: (number);
  'notice'?: (string);
  'epoch'?: (number);
  'epochs'?: (number);
  'epochLoss'?: (number | string);
  'epochAccuracy'?: (number | string);
  'predictImagesPerSecond'?: (number | string);
  'rules'?: (_stillhouse_v1_RuleResult)[];
  'rule'?: (string);
  'checkpointDigest'?: (string);
  'checkpointEpoch'?: (number);
  'finishedEpoch'?: (number);
  'finishedEpochLoss'?: (number | string);
  'finishedEpochAccuracy'?: (number | string);
  'droppedDigest'?: (string);
  'teachers'?: (_stillhouse_v1_TeacherShare)[];
  'advice'?: (string);
  'teachersWanted'?: (number);
  'bestEpoch'?: (number);
  'bestAccuracy'?: (number | string);
  'stoppedEarly'?: (boolean);
}

export interface Phase__Output {
  'kind': (_stillhouse_v1_PhaseKind__Output);
  'state': (_stillhouse_v1_PhaseState__Output);
  'subject': (string);
  'step': (number);
  'stepsTotal': (number);
  'firstLoss': (number);
  'loss': (number);
  'imagesPerSecond': (number);
  'accuracy': (number);
  'evaluatedImages': (number);
  'workers': (_stillhouse_v1_WorkerShare__Output)[];
  'modelDigest': (string);
  'seconds': (number);
  'parameters': (number);
  'notice': (string);
  'epoch': (number);
  'epochs': (number);
  'epochLoss': (number);
  'epochAccuracy': (number);
  'predictImagesPerSecond': (number);
  'rules': (_stillhouse_v1_RuleResult__Output)[];
  'rule': (string);
  'checkpointDigest': (string);
  'checkpointEpoch': (number);
  'finishedEpoch': (number);
  'finishedEpochLoss': (number);
  'finishedEpochAccuracy': (number);
  'droppedDigest': (string);
  'teachers': (_stillhouse_v1_TeacherShare__Output)[];
  'advice': (string);
  'teachersWanted': (number);
  'bestEpoch': (number);
  'bestAccuracy': (number);
  'stoppedEarly': (boolean);
}
