// Original file: proto/stillhouse/v1/coordinator.proto


export interface ListRoutesRequest {
}

export interface ListRoutesRequest__Output {
}
