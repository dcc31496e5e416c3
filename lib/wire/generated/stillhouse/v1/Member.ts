// Original file: proto/stillhouse/v1/coordinator.proto


export interface Member {
  'id'?: (string);
  'role'?: (string);
  'address'?: (string);
  'activity'?: (string);
  'heartbeatAgeMs'?: (number);
  'pid'?: (number);
  'modelDigests'?: (string)[];
}

export interface Member__Output {
  'id': (string);
  'role': (string);
  'address': (string);
  'activity': (string);
  'heartbeatAgeMs': (number);
  'pid': (number);
  'modelDigests': (string)[];
}
