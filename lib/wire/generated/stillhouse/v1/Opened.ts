// Original file: proto/stillhouse/v1/teacher.proto

import type { Load as _stillhouse_v1_Load, Load__Output as _stillhouse_v1_Load__Output } from '../../stillhouse/v1/Load.ts';

export interface Opened {
  'credits'?: (number);
  'teacherClassNames'?: (string)[];
  'modelDigest'?: (string);
  'datasetDigest'?: (string);
  'viewProtocol'?: (number);
  'load'?: (_stillhouse_v1_Load | null);
}

export interface Opened__Output {
  'credits': (number);
  'teacherClassNames': (string)[];
  'modelDigest': (string);
  'datasetDigest': (string);
  'viewProtocol': (number);
  'load': (_stillhouse_v1_Load__Output | null);
}
