// Original file: proto/stillhouse/v1/teacher.proto


export interface GetTeacherStatusRequest {
}

export interface GetTeacherStatusRequest__Output {
}
