// Original file: proto/stillhouse/v1/workers.proto

import type { View as _stillhouse_v1_View, View__Output as _stillhouse_v1_View__Output } from '../../stillhouse/v1/View.ts';

export interface TrainTeacher {
  'teacher'?: (string);
  'view'?: (_stillhouse_v1_View | null);
}

export interface TrainTeacher__Output {
  'teacher': (string);
  'view': (_stillhouse_v1_View__Output | null);
}
