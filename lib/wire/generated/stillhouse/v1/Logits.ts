// Original file: proto/stillhouse/v1/teacher.proto

import type { LogitsKey as _stillhouse_v1_LogitsKey, LogitsKey__Output as _stillhouse_v1_LogitsKey__Output } from '../../stillhouse/v1/LogitsKey.ts';

export interface Logits {
  'key'?: (_stillhouse_v1_LogitsKey | null);
  'values'?: (Buffer | Uint8Array | string);
  'samples'?: (number);
  'classes'?: (number);
}

export interface Logits__Output {
  'key': (_stillhouse_v1_LogitsKey__Output | null);
  'values': (Buffer);
  'samples': (number);
  'classes': (number);
}
