// Original file: proto/stillhouse/v1/teacher.proto

import type { Opened as _stillhouse_v1_Opened, Opened__Output as _stillhouse_v1_Opened__Output } from '../../stillhouse/v1/Opened.ts';
import type { Logits as _stillhouse_v1_Logits, Logits__Output as _stillhouse_v1_Logits__Output } from '../../stillhouse/v1/Logits.ts';
import type { Refused as _stillhouse_v1_Refused, Refused__Output as _stillhouse_v1_Refused__Output } from '../../stillhouse/v1/Refused.ts';
import type { Load as _stillhouse_v1_Load, Load__Output as _stillhouse_v1_Load__Output } from '../../stillhouse/v1/Load.ts';
import type { Waiting as _stillhouse_v1_Waiting, Waiting__Output as _stillhouse_v1_Waiting__Output } from '../../stillhouse/v1/Waiting.ts';
import type { Begun as _stillhouse_v1_Begun, Begun__Output as _stillhouse_v1_Begun__Output } from '../../stillhouse/v1/Begun.ts';

export interface LogitsReply {
  'opened'?: (_stillhouse_v1_Opened | null);
  'logits'?: (_stillhouse_v1_Logits | null);
  'refused'?: (_stillhouse_v1_Refused | null);
  'load'?: (_stillhouse_v1_Load | null);
  'waiting'?: (_stillhouse_v1_Waiting | null);
  'begun'?: (_stillhouse_v1_Begun | null);
  'message'?: "opened"|"logits"|"refused"|"load"|"waiting"|"begun";
}

export interface LogitsReply__Output {
  'opened'?: (_stillhouse_v1_Opened__Output | null);
  'logits'?: (_stillhouse_v1_Logits__Output | null);
  'refused'?: (_stillhouse_v1_Refused__Output | null);
  'load'?: (_stillhouse_v1_Load__Output | null);
  'waiting'?: (_stillhouse_v1_Waiting__Output | null);
  'begun'?: (_stillhouse_v1_Begun__Output | null);
  'message'?: "opened"|"logits"|"refused"|"load"|"waiting"|"begun";
}
