// Original file: proto/stillhouse/v1/coordinator.proto


export interface RouteLeg {
  'specialist'?: (string);
  'modelDigest'?: (string);
  'classIds'?: (number)[];
  'dustbin'?: (boolean);
}

export interface RouteLeg__Output {
  'specialist': (string);
  'modelDigest': (string);
  'classIds': (number)[];
  'dustbin': (boolean);
}
