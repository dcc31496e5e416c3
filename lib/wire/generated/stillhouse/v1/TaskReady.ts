// Original file: proto/stillhouse/v1/workers.proto


export interface TaskReady {
  'taskId'?: (string);
  'parameters'?: (number);
  'stepsTotal'?: (number);
}

export interface TaskReady__Output {
  'taskId': (string);
  'parameters': (number);
  'stepsTotal': (number);
}
