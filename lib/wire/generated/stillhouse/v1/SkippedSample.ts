// Original file: proto/stillhouse/v1/coordinator.proto


export interface SkippedSample {
  'id'?: (number);
  'source'?: (string);
  'reason'?: (string);
}

export interface SkippedSample__Output {
  'id': (number);
  'source': (string);
  'reason': (string);
}
