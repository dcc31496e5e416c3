// Original file: proto/stillhouse/v1/coordinator.proto

import type { RouteLeg as _stillhouse_v1_RouteLeg, RouteLeg__Output as _stillhouse_v1_RouteLeg__Output } from '../../stillhouse/v1/RouteLeg.ts';

export interface Route {
  'name'?: (string);
  'rule'?: (string);
  'legs'?: (_stillhouse_v1_RouteLeg)[];
  'classNames'?: (string)[];
  'revision'?: (number);
}

export interface Route__Output {
  'name': (string);
  'rule': (string);
  'legs': (_stillhouse_v1_RouteLeg__Output)[];
  'classNames': (string)[];
  'revision': (number);
}
