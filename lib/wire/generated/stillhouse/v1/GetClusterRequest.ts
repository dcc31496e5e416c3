// Original file: proto/stillhouse/v1/coordinator.proto


export interface GetClusterRequest {
}

export interface GetClusterRequest__Output {
}
