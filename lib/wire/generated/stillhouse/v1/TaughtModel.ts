// Original file: proto/stillhouse/v1/workers.proto


export interface TaughtModel {
  'teacher'?: (string);
  'modelDigest'?: (string);
}

export interface TaughtModel__Output {
  'teacher': (string);
  'modelDigest': (string);
}
