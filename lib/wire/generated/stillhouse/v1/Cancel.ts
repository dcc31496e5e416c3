// Original file: proto/stillhouse/v1/teacher.proto

import type { LogitsKey as _stillhouse_v1_LogitsKey, LogitsKey__Output as _stillhouse_v1_LogitsKey__Output } from '../../stillhouse/v1/LogitsKey.ts';

export interface Cancel {
  'key'?: (_stillhouse_v1_LogitsKey | null);
}

export interface Cancel__Output {
  'key': (_stillhouse_v1_LogitsKey__Output | null);
}
