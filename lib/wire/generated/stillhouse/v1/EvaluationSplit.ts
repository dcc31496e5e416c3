// Original file: proto/stillhouse/v1/workers.proto

export const EvaluationSplit = {
  EVALUATION_SPLIT_UNSPECIFIED: 'EVALUATION_SPLIT_UNSPECIFIED',
  EVALUATION_SPLIT_CALIBRATE: 'EVALUATION_SPLIT_CALIBRATE',
  EVALUATION_SPLIT_TEST: 'EVALUATION_SPLIT_TEST',
} as const;

export type EvaluationSplit =
  | 'EVALUATION_SPLIT_UNSPECIFIED'
  | 0
  | 'EVALUATION_SPLIT_CALIBRATE'
  | 1
  | 'EVALUATION_SPLIT_TEST'
  | 2

export type EvaluationSplit__Output = typeof EvaluationSplit[keyof typeof EvaluationSplit]
