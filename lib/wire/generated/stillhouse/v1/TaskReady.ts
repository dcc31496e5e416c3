// Original file: proto/stillhouse/v1/workers.proto


export interface TaskReady {
  'taskId'?: (string);
  'parameters'?: (number);
  'stepsTotal'?: (number);
  'notice'?: (string);
}

export interface TaskReady__Output {
  'taskId': (string);
  'parameters': (number);
  'stepsTotal': (number);
  'notice': (string);
}
