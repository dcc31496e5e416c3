// Original file: proto/stillhouse/v1/coordinator.proto


export interface GetModelRequest {
  'nameOrDigest'?: (string);
}

export interface GetModelRequest__Output {
  'nameOrDigest': (string);
}
