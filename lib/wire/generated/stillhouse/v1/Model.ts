// Original file: proto/stillhouse/v1/coordinator.proto


export interface Model {
  'name'?: (string);
  'digest'?: (string);
  'manifestJson'?: (string);
  'publishedAt'?: (string);
  'jobId'?: (string);
}

export interface Model__Output {
  'name': (string);
  'digest': (string);
  'manifestJson': (string);
  'publishedAt': (string);
  'jobId': (string);
}
