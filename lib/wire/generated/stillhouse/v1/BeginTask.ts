// Original file: proto/stillhouse/v1/workers.proto


export interface BeginTask {
  'taskId'?: (string);
}

export interface BeginTask__Output {
  'taskId': (string);
}
