// Original file: proto/stillhouse/v1/workers.proto

import type { ServedModel as _stillhouse_v1_ServedModel, ServedModel__Output as _stillhouse_v1_ServedModel__Output } from '../../stillhouse/v1/ServedModel.ts';

export interface ServeModels {
  'models'?: (_stillhouse_v1_ServedModel)[];
}

export interface ServeModels__Output {
  'models': (_stillhouse_v1_ServedModel__Output)[];
}
