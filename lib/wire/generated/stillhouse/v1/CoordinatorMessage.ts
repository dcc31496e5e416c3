// Original file: proto/stillhouse/v1/workers.proto

import type { Welcome as _stillhouse_v1_Welcome, Welcome__Output as _stillhouse_v1_Welcome__Output } from '../../stillhouse/v1/Welcome.ts';
import type { StartTask as _stillhouse_v1_StartTask, StartTask__Output as _stillhouse_v1_StartTask__Output } from '../../stillhouse/v1/StartTask.ts';
import type { BeginTask as _stillhouse_v1_BeginTask, BeginTask__Output as _stillhouse_v1_BeginTask__Output } from '../../stillhouse/v1/BeginTask.ts';
import type { CancelTask as _stillhouse_v1_CancelTask, CancelTask__Output as _stillhouse_v1_CancelTask__Output } from '../../stillhouse/v1/CancelTask.ts';
import type { UpdateTeachers as _stillhouse_v1_UpdateTeachers, UpdateTeachers__Output as _stillhouse_v1_UpdateTeachers__Output } from '../../stillhouse/v1/UpdateTeachers.ts';

export interface CoordinatorMessage {
  'leaderEpoch'?: (number);
  'welcome'?: (_stillhouse_v1_Welcome | null);
  'start'?: (_stillhouse_v1_StartTask | null);
  'begin'?: (_stillhouse_v1_BeginTask | null);
  'cancel'?: (_stillhouse_v1_CancelTask | null);
  'teachers'?: (_stillhouse_v1_UpdateTeachers | null);
  'message'?: "welcome"|"start"|"begin"|"cancel"|"teachers";
}

export interface CoordinatorMessage__Output {
  'leaderEpoch': (number);
  'welcome'?: (_stillhouse_v1_Welcome__Output | null);
  'start'?: (_stillhouse_v1_StartTask__Output | null);
  'begin'?: (_stillhouse_v1_BeginTask__Output | null);
  'cancel'?: (_stillhouse_v1_CancelTask__Output | null);
  'teachers'?: (_stillhouse_v1_UpdateTeachers__Output | null);
  'message'?: "welcome"|"start"|"begin"|"cancel"|"teachers";
}
