// Original file: proto/stillhouse/v1/workers.proto


export interface EvaluateRoute {
  'route'?: (string);
  'routerAddress'?: (string);
}

export interface EvaluateRoute__Output {
  'route': (string);
  'routerAddress': (string);
}
