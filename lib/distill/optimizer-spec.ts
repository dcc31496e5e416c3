/** What optimizers there are, and the state that each keeps. */
import type { Schedule } from './schedule.ts';

interface CommonOptimizer {
  readonly learningRate: number;
  /** SGD and Adam: L2 penalty added to the gradient, PyTorch's meaning. AdamW: the decoupled decay. */
  readonly weightDecay: number;
  readonly schedule: Schedule;
  /** Longest gradient over all trained parameters together; longer ones are scaled down to it. Absent: no limit. */
  readonly clipNorm?: number | undefined;
}

export interface SgdOptimizer extends CommonOptimizer {
  readonly type: 'sgd';
  readonly momentum: number;
  readonly nesterov: boolean;
}

/** Kingma and Ba 2015 with PyTorch's defaults: beta 0.9 and 0.999, epsilon 1e-8. */
export interface AdamOptimizer extends CommonOptimizer {
  readonly type: 'adam';
}

/** Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101), in PyTorch's form. */
export interface AdamwOptimizer extends CommonOptimizer {
  readonly type: 'adamw';
}

export type Optimizer = SgdOptimizer | AdamOptimizer | AdamwOptimizer;

/** Names of the state that the optimizer keeps per parameter, each of the parameter's shape, starting at 0. */
export function slotNames(optimizer: Optimizer): readonly string[] {
  if (optimizer.type !== 'sgd') return ['first-moment', 'second-moment'];
  return optimizer.momentum > 0 ? ['momentum'] : [];
}
