// Original file: proto/stillhouse/v1/coordinator.proto

import type { Route as _stillhouse_v1_Route, Route__Output as _stillhouse_v1_Route__Output } from '../../stillhouse/v1/Route.ts';

export interface PutRouteRequest {
  'route'?: (_stillhouse_v1_Route | null);
  'expectedRevision'?: (number);
}

export interface PutRouteRequest__Output {
  'route': (_stillhouse_v1_Route__Output | null);
  'expectedRevision': (number);
}
