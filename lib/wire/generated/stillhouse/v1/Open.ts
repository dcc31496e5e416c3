// Original file: proto/stillhouse/v1/teacher.proto

import type { LogitsFormat as _stillhouse_v1_LogitsFormat, LogitsFormat__Output as _stillhouse_v1_LogitsFormat__Output } from '../../stillhouse/v1/LogitsFormat.ts';
import type { PixelShape as _stillhouse_v1_PixelShape, PixelShape__Output as _stillhouse_v1_PixelShape__Output } from '../../stillhouse/v1/PixelShape.ts';

export interface Open {
  'jobId'?: (string);
  'studentWorkerId'?: (string);
  'modelDigest'?: (string);
  'datasetDigest'?: (string);
  'classNames'?: (string)[];
  'viewProtocol'?: (number);
  'format'?: (_stillhouse_v1_LogitsFormat | null);
  'dustbinTemperature'?: (number | string);
  'teacher'?: (string);
  'pixels'?: (_stillhouse_v1_PixelShape | null);
}

export interface Open__Output {
  'jobId': (string);
  'studentWorkerId': (string);
  'modelDigest': (string);
  'datasetDigest': (string);
  'classNames': (string)[];
  'viewProtocol': (number);
  'format': (_stillhouse_v1_LogitsFormat__Output | null);
  'dustbinTemperature': (number);
  'teacher': (string);
  'pixels': (_stillhouse_v1_PixelShape__Output | null);
}
