// Original file: proto/stillhouse/v1/workers.proto


export interface Draining {
}

export interface Draining__Output {
}
