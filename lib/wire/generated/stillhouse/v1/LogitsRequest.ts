// Original file: proto/stillhouse/v1/teacher.proto

import type { Open as _stillhouse_v1_Open, Open__Output as _stillhouse_v1_Open__Output } from '../../stillhouse/v1/Open.ts';
import type { LabelBatch as _stillhouse_v1_LabelBatch, LabelBatch__Output as _stillhouse_v1_LabelBatch__Output } from '../../stillhouse/v1/LabelBatch.ts';
import type { Cancel as _stillhouse_v1_Cancel, Cancel__Output as _stillhouse_v1_Cancel__Output } from '../../stillhouse/v1/Cancel.ts';

export interface LogitsRequest {
  'open'?: (_stillhouse_v1_Open | null);
  'batch'?: (_stillhouse_v1_LabelBatch | null);
  'cancel'?: (_stillhouse_v1_Cancel | null);
  'message'?: "open"|"batch"|"cancel";
}

export interface LogitsRequest__Output {
  'open'?: (_stillhouse_v1_Open__Output | null);
  'batch'?: (_stillhouse_v1_LabelBatch__Output | null);
  'cancel'?: (_stillhouse_v1_Cancel__Output | null);
  'message'?: "open"|"batch"|"cancel";
}
