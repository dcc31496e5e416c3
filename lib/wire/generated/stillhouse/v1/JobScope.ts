// Original file: proto/stillhouse/v1/coordinator.proto

export const JobScope = {
  JOB_SCOPE_ALL: 'JOB_SCOPE_ALL',
  JOB_SCOPE_LABEL: 'JOB_SCOPE_LABEL',
} as const;

export type JobScope =
  | 'JOB_SCOPE_ALL'
  | 0
  | 'JOB_SCOPE_LABEL'
  | 1

export type JobScope__Output = typeof JobScope[keyof typeof JobScope]
