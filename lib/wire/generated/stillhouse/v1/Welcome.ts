// Original file: proto/stillhouse/v1/workers.proto


export interface Welcome {
}

export interface Welcome__Output {
}
