// Original file: proto/stillhouse/v1/workers.proto


export interface TeacherEndpoint {
  'workerId'?: (string);
  'address'?: (string);
  'modelDigest'?: (string);
}

export interface TeacherEndpoint__Output {
  'workerId': (string);
  'address': (string);
  'modelDigest': (string);
}
