// Original file: proto/stillhouse/v1/workers.proto


export interface TrainTeacher {
  'teacher'?: (string);
}

export interface TrainTeacher__Output {
  'teacher': (string);
}
