// Original file: proto/stillhouse/v1/workers.proto


export interface EvaluateRoute {
  'route'?: (string);
  'routerAddress'?: (string);
  'routeRevision'?: (number);
}

export interface EvaluateRoute__Output {
  'route': (string);
  'routerAddress': (string);
  'routeRevision': (number);
}
