// Original file: proto/stillhouse/v1/teacher.proto

import type { LogitsKey as _stillhouse_v1_LogitsKey, LogitsKey__Output as _stillhouse_v1_LogitsKey__Output } from '../../stillhouse/v1/LogitsKey.ts';

export interface LabelBatch {
  'key'?: (_stillhouse_v1_LogitsKey | null);
  'sampleIds'?: (number)[];
  'epoch'?: (number);
  'partnerIds'?: (number)[];
  'neededInMs'?: (number);
  'deadlineMs'?: (number);
  'pixels'?: (Buffer | Uint8Array | string);
}

export interface LabelBatch__Output {
  'key': (_stillhouse_v1_LogitsKey__Output | null);
  'sampleIds': (number)[];
  'epoch': (number);
  'partnerIds': (number)[];
  'neededInMs': (number);
  'deadlineMs': (number);
  'pixels': (Buffer);
}
