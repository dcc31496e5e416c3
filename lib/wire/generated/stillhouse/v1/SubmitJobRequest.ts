// Original file: proto/stillhouse/v1/coordinator.proto


export interface SubmitJobRequest {
  'spec'?: (string);
  'idempotencyKey'?: (string);
}

export interface SubmitJobRequest__Output {
  'spec': (string);
  'idempotencyKey': (string);
}
