// Original file: proto/stillhouse/v1/workers.proto

import type { EvaluationSplit as _stillhouse_v1_EvaluationSplit, EvaluationSplit__Output as _stillhouse_v1_EvaluationSplit__Output } from '../../stillhouse/v1/EvaluationSplit.ts';

export interface EvaluateRoute {
  'route'?: (string);
  'routerAddress'?: (string);
  'rules'?: (string)[];
  'split'?: (_stillhouse_v1_EvaluationSplit);
}

export interface EvaluateRoute__Output {
  'route': (string);
  'routerAddress': (string);
  'rules': (string)[];
  'split': (_stillhouse_v1_EvaluationSplit__Output);
}
