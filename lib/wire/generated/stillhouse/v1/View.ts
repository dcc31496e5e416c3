// Original file: proto/stillhouse/v1/workers.proto

import type { ViewMember as _stillhouse_v1_ViewMember, ViewMember__Output as _stillhouse_v1_ViewMember__Output } from '../../stillhouse/v1/ViewMember.ts';

export interface View {
  'number'?: (number);
  'members'?: (_stillhouse_v1_ViewMember)[];
}

export interface View__Output {
  'number': (number);
  'members': (_stillhouse_v1_ViewMember__Output)[];
}
