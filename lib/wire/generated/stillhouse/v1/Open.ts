// Original file: proto/stillhouse/v1/teacher.proto

import type { LogitsEncoding as _stillhouse_v1_LogitsEncoding, LogitsEncoding__Output as _stillhouse_v1_LogitsEncoding__Output } from '../../stillhouse/v1/LogitsEncoding.ts';

export interface Open {
  'jobId'?: (string);
  'studentWorkerId'?: (string);
  'modelDigest'?: (string);
  'datasetDigest'?: (string);
  'classNames'?: (string)[];
  'viewProtocol'?: (number);
  'encoding'?: (_stillhouse_v1_LogitsEncoding);
  'dustbinTemperature'?: (number | string);
}

export interface Open__Output {
  'jobId': (string);
  'studentWorkerId': (string);
  'modelDigest': (string);
  'datasetDigest': (string);
  'classNames': (string)[];
  'viewProtocol': (number);
  'encoding': (_stillhouse_v1_LogitsEncoding__Output);
  'dustbinTemperature': (number);
}
