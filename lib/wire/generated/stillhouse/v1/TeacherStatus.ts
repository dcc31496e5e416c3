// Original file: proto/stillhouse/v1/teacher.proto

import type { TeacherJobStatus as _stillhouse_v1_TeacherJobStatus, TeacherJobStatus__Output as _stillhouse_v1_TeacherJobStatus__Output } from '../../stillhouse/v1/TeacherJobStatus.ts';

export interface TeacherStatus {
  'workerId'?: (string);
  'jobs'?: (_stillhouse_v1_TeacherJobStatus)[];
}

export interface TeacherStatus__Output {
  'workerId': (string);
  'jobs': (_stillhouse_v1_TeacherJobStatus__Output)[];
}
