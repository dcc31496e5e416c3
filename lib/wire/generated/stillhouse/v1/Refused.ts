// Original file: proto/stillhouse/v1/teacher.proto

import type { LogitsKey as _stillhouse_v1_LogitsKey, LogitsKey__Output as _stillhouse_v1_LogitsKey__Output } from '../../stillhouse/v1/LogitsKey.ts';

export interface Refused {
  'key'?: (_stillhouse_v1_LogitsKey | null);
  'code'?: (string);
  'message'?: (string);
  'retryAfterMs'?: (number);
}

export interface Refused__Output {
  'key': (_stillhouse_v1_LogitsKey__Output | null);
  'code': (string);
  'message': (string);
  'retryAfterMs': (number);
}
