// Original file: proto/stillhouse/v1/workers.proto


export interface TaskFailed {
  'taskId'?: (string);
  'message'?: (string);
  'code'?: (string);
  'field'?: (string);
}

export interface TaskFailed__Output {
  'taskId': (string);
  'message': (string);
  'code': (string);
  'field': (string);
}
