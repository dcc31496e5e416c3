// Original file: proto/stillhouse/v1/coordinator.proto


export interface RollbackRouteRequest {
  'name'?: (string);
  'toRevision'?: (number);
}

export interface RollbackRouteRequest__Output {
  'name': (string);
  'toRevision': (number);
}
