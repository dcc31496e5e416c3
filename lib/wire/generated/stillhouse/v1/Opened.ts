// Original file: proto/stillhouse/v1/teacher.proto


export interface Opened {
  'credits'?: (number);
  'teacherClassNames'?: (string)[];
}

export interface Opened__Output {
  'credits': (number);
  'teacherClassNames': (string)[];
}
