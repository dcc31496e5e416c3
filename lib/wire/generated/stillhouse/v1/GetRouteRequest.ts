// Original file: proto/stillhouse/v1/coordinator.proto


export interface GetRouteRequest {
  'name'?: (string);
}

export interface GetRouteRequest__Output {
  'name': (string);
}
