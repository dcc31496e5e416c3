// Original file: proto/stillhouse/v1/workers.proto


export interface ServeTeacher {
  'teacher'?: (string);
  'modelDigest'?: (string);
  'labelsDigest'?: (string);
}

export interface ServeTeacher__Output {
  'teacher': (string);
  'modelDigest': (string);
  'labelsDigest': (string);
}
