// Original file: proto/stillhouse/v1/workers.proto


export interface LabelImages {
  'teacher'?: (string);
  'modelDigest'?: (string);
  'answers'?: (boolean);
}

export interface LabelImages__Output {
  'teacher': (string);
  'modelDigest': (string);
  'answers': (boolean);
}
