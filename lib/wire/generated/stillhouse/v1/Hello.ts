// Original file: proto/stillhouse/v1/workers.proto


export interface Hello {
  'workerId'?: (string);
  'role'?: (string);
  'address'?: (string);
  'pid'?: (number);
  'engineFingerprint'?: (string);
}

export interface Hello__Output {
  'workerId': (string);
  'role': (string);
  'address': (string);
  'pid': (number);
  'engineFingerprint': (string);
}
