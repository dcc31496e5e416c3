// Original file: proto/stillhouse/v1/workers.proto


export interface TeacherEndpoint {
  'workerId'?: (string);
  'address'?: (string);
  'modelDigest'?: (string);
  'teacher'?: (string);
}

export interface TeacherEndpoint__Output {
  'workerId': (string);
  'address': (string);
  'modelDigest': (string);
  'teacher': (string);
}
