// Original file: proto/stillhouse/v1/workers.proto

import type { Hello as _stillhouse_v1_Hello, Hello__Output as _stillhouse_v1_Hello__Output } from '../../stillhouse/v1/Hello.ts';
import type { TaskReady as _stillhouse_v1_TaskReady, TaskReady__Output as _stillhouse_v1_TaskReady__Output } from '../../stillhouse/v1/TaskReady.ts';
import type { TaskProgress as _stillhouse_v1_TaskProgress, TaskProgress__Output as _stillhouse_v1_TaskProgress__Output } from '../../stillhouse/v1/TaskProgress.ts';
import type { TaskDone as _stillhouse_v1_TaskDone, TaskDone__Output as _stillhouse_v1_TaskDone__Output } from '../../stillhouse/v1/TaskDone.ts';
import type { TaskFailed as _stillhouse_v1_TaskFailed, TaskFailed__Output as _stillhouse_v1_TaskFailed__Output } from '../../stillhouse/v1/TaskFailed.ts';
import type { Draining as _stillhouse_v1_Draining, Draining__Output as _stillhouse_v1_Draining__Output } from '../../stillhouse/v1/Draining.ts';

export interface WorkerMessage {
  'hello'?: (_stillhouse_v1_Hello | null);
  'ready'?: (_stillhouse_v1_TaskReady | null);
  'progress'?: (_stillhouse_v1_TaskProgress | null);
  'done'?: (_stillhouse_v1_TaskDone | null);
  'failed'?: (_stillhouse_v1_TaskFailed | null);
  'draining'?: (_stillhouse_v1_Draining | null);
  'message'?: "hello"|"ready"|"progress"|"done"|"failed"|"draining";
}

export interface WorkerMessage__Output {
  'hello'?: (_stillhouse_v1_Hello__Output | null);
  'ready'?: (_stillhouse_v1_TaskReady__Output | null);
  'progress'?: (_stillhouse_v1_TaskProgress__Output | null);
  'done'?: (_stillhouse_v1_TaskDone__Output | null);
  'failed'?: (_stillhouse_v1_TaskFailed__Output | null);
  'draining'?: (_stillhouse_v1_Draining__Output | null);
  'message'?: "hello"|"ready"|"progress"|"done"|"failed"|"draining";
}
