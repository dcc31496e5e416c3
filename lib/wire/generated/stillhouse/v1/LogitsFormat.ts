// Original file: proto/stillhouse/v1/teacher.proto

import type { LogitsEncoding as _stillhouse_v1_LogitsEncoding, LogitsEncoding__Output as _stillhouse_v1_LogitsEncoding__Output } from '../../stillhouse/v1/LogitsEncoding.ts';

export interface LogitsFormat {
  'encoding'?: (_stillhouse_v1_LogitsEncoding);
  'topK'?: (number);
  'temperatures'?: (number | string)[];
}

export interface LogitsFormat__Output {
  'encoding': (_stillhouse_v1_LogitsEncoding__Output);
  'topK': (number);
  'temperatures': (number)[];
}
