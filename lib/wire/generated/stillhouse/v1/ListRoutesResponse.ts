// Original file: proto/stillhouse/v1/coordinator.proto

import type { Route as _stillhouse_v1_Route, Route__Output as _stillhouse_v1_Route__Output } from '../../stillhouse/v1/Route.ts';

export interface ListRoutesResponse {
  'routes'?: (_stillhouse_v1_Route)[];
}

export interface ListRoutesResponse__Output {
  'routes': (_stillhouse_v1_Route__Output)[];
}
