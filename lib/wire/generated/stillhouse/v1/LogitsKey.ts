// Original file: proto/stillhouse/v1/teacher.proto


export interface LogitsKey {
  'view'?: (number);
  'step'?: (number);
  'lane'?: (number);
}

export interface LogitsKey__Output {
  'view': (number);
  'step': (number);
  'lane': (number);
}
