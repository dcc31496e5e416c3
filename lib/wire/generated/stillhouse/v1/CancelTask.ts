// Original file: proto/stillhouse/v1/workers.proto


export interface CancelTask {
  'taskId'?: (string);
}

export interface CancelTask__Output {
  'taskId': (string);
}
