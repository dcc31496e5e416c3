// Original file: proto/stillhouse/v1/workers.proto

import type { TaskProgress as _stillhouse_v1_TaskProgress, TaskProgress__Output as _stillhouse_v1_TaskProgress__Output } from '../../stillhouse/v1/TaskProgress.ts';
import type { RuleResult as _stillhouse_v1_RuleResult, RuleResult__Output as _stillhouse_v1_RuleResult__Output } from '../../stillhouse/v1/RuleResult.ts';

export interface TaskDone {
  'taskId'?: (string);
  'last'?: (_stillhouse_v1_TaskProgress | null);
  'modelDigest'?: (string);
  'manifestJson'?: (string);
  'correct'?: (number);
  'evaluatedImages'?: (number);
  'predictImagesPerSecond'?: (number | string);
  'rules'?: (_stillhouse_v1_RuleResult)[];
  'labelsDigest'?: (string);
  'droppedDigest'?: (string);
}

export interface TaskDone__Output {
  'taskId': (string);
  'last': (_stillhouse_v1_TaskProgress__Output | null);
  'modelDigest': (string);
  'manifestJson': (string);
  'correct': (number);
  'evaluatedImages': (number);
  'predictImagesPerSecond': (number);
  'rules': (_stillhouse_v1_RuleResult__Output)[];
  'labelsDigest': (string);
  'droppedDigest': (string);
}
