// Original file: proto/stillhouse/v1/teacher.proto

import type { Opened as _stillhouse_v1_Opened, Opened__Output as _stillhouse_v1_Opened__Output } from '../../stillhouse/v1/Opened.ts';
import type { Logits as _stillhouse_v1_Logits, Logits__Output as _stillhouse_v1_Logits__Output } from '../../stillhouse/v1/Logits.ts';

export interface LogitsReply {
  'opened'?: (_stillhouse_v1_Opened | null);
  'logits'?: (_stillhouse_v1_Logits | null);
  'message'?: "opened"|"logits";
}

export interface LogitsReply__Output {
  'opened'?: (_stillhouse_v1_Opened__Output | null);
  'logits'?: (_stillhouse_v1_Logits__Output | null);
  'message'?: "opened"|"logits";
}
