// Original file: proto/stillhouse/v1/coordinator.proto


export interface ListModelsRequest {
}

export interface ListModelsRequest__Output {
}
