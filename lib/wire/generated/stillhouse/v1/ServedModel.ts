// Original file: proto/stillhouse/v1/workers.proto


export interface ServedModel {
  'name'?: (string);
  'modelDigest'?: (string);
}

export interface ServedModel__Output {
  'name': (string);
  'modelDigest': (string);
}
