// Original file: proto/stillhouse/v1/coordinator.proto

import type { Member as _stillhouse_v1_Member, Member__Output as _stillhouse_v1_Member__Output } from '../../stillhouse/v1/Member.ts';

export interface Cluster {
  'members'?: (_stillhouse_v1_Member)[];
  'leaderEpoch'?: (number);
}

export interface Cluster__Output {
  'members': (_stillhouse_v1_Member__Output)[];
  'leaderEpoch': (number);
}
