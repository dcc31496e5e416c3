// Original file: proto/stillhouse/v1/workers.proto

import type { TaughtModel as _stillhouse_v1_TaughtModel, TaughtModel__Output as _stillhouse_v1_TaughtModel__Output } from '../../stillhouse/v1/TaughtModel.ts';

export interface ServeTeacher {
  'teachers'?: (_stillhouse_v1_TaughtModel)[];
}

export interface ServeTeacher__Output {
  'teachers': (_stillhouse_v1_TaughtModel__Output)[];
}
