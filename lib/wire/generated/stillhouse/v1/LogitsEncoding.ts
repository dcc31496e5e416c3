// Original file: proto/stillhouse/v1/teacher.proto

export const LogitsEncoding = {
  LOGITS_ENCODING_UNSPECIFIED: 'LOGITS_ENCODING_UNSPECIFIED',
  LOGITS_ENCODING_FP32: 'LOGITS_ENCODING_FP32',
} as const;

export type LogitsEncoding =
  | 'LOGITS_ENCODING_UNSPECIFIED'
  | 0
  | 'LOGITS_ENCODING_FP32'
  | 1

export type LogitsEncoding__Output = typeof LogitsEncoding[keyof typeof LogitsEncoding]
