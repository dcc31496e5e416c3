// Original file: proto/stillhouse/v1/coordinator.proto


export interface WatchJobRequest {
  'id'?: (string);
  'afterRevision'?: (number);
}

export interface WatchJobRequest__Output {
  'id': (string);
  'afterRevision': (number);
}
