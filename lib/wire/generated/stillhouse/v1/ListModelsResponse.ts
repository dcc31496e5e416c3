// Original file: proto/stillhouse/v1/coordinator.proto

import type { Model as _stillhouse_v1_Model, Model__Output as _stillhouse_v1_Model__Output } from '../../stillhouse/v1/Model.ts';

export interface ListModelsResponse {
  'models'?: (_stillhouse_v1_Model)[];
}

export interface ListModelsResponse__Output {
  'models': (_stillhouse_v1_Model__Output)[];
}
