// Original file: proto/stillhouse/v1/workers.proto

import type { View as _stillhouse_v1_View, View__Output as _stillhouse_v1_View__Output } from '../../stillhouse/v1/View.ts';
import type { TeacherEndpoint as _stillhouse_v1_TeacherEndpoint, TeacherEndpoint__Output as _stillhouse_v1_TeacherEndpoint__Output } from '../../stillhouse/v1/TeacherEndpoint.ts';
import type { TaughtModel as _stillhouse_v1_TaughtModel, TaughtModel__Output as _stillhouse_v1_TaughtModel__Output } from '../../stillhouse/v1/TaughtModel.ts';

export interface TrainStudent {
  'student'?: (string);
  'control'?: (boolean);
  'view'?: (_stillhouse_v1_View | null);
  'teachers'?: (_stillhouse_v1_TeacherEndpoint)[];
  'labelsDigest'?: (string);
  'taughtBy'?: (_stillhouse_v1_TaughtModel)[];
}

export interface TrainStudent__Output {
  'student': (string);
  'control': (boolean);
  'view': (_stillhouse_v1_View__Output | null);
  'teachers': (_stillhouse_v1_TeacherEndpoint__Output)[];
  'labelsDigest': (string);
  'taughtBy': (_stillhouse_v1_TaughtModel__Output)[];
}
