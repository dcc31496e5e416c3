// Original file: proto/stillhouse/v1/teacher.proto

import type { LogitsKey as _stillhouse_v1_LogitsKey, LogitsKey__Output as _stillhouse_v1_LogitsKey__Output } from '../../stillhouse/v1/LogitsKey.ts';
import type { Load as _stillhouse_v1_Load, Load__Output as _stillhouse_v1_Load__Output } from '../../stillhouse/v1/Load.ts';

export interface Logits {
  'key'?: (_stillhouse_v1_LogitsKey | null);
  'values'?: (Buffer | Uint8Array | string);
  'samples'?: (number);
  'classes'?: (number);
  'samplesStored'?: (number);
  'load'?: (_stillhouse_v1_Load | null);
}

export interface Logits__Output {
  'key': (_stillhouse_v1_LogitsKey__Output | null);
  'values': (Buffer);
  'samples': (number);
  'classes': (number);
  'samplesStored': (number);
  'load': (_stillhouse_v1_Load__Output | null);
}
