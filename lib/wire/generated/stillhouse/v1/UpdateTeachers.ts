// Original file: proto/stillhouse/v1/workers.proto

import type { TeacherEndpoint as _stillhouse_v1_TeacherEndpoint, TeacherEndpoint__Output as _stillhouse_v1_TeacherEndpoint__Output } from '../../stillhouse/v1/TeacherEndpoint.ts';

export interface UpdateTeachers {
  'taskId'?: (string);
  'teachers'?: (_stillhouse_v1_TeacherEndpoint)[];
}

export interface UpdateTeachers__Output {
  'taskId': (string);
  'teachers': (_stillhouse_v1_TeacherEndpoint__Output)[];
}
