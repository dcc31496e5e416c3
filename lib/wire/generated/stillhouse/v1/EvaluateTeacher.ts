// Original file: proto/stillhouse/v1/workers.proto


export interface EvaluateTeacher {
  'teacher'?: (string);
}

export interface EvaluateTeacher__Output {
  'teacher': (string);
}
