/** Optimizers: TensorFlow's own update kernels, and per step the few numbers that they are fed. */
import { attribute, type GraphDefinition } from '../engine/graph-definition.ts';
import { backend } from '../engine/tf.ts';
import { type Schedule, scheduleFactor } from './schedule.ts';

interface CommonOptimizer {
  readonly learningRate: number;
  /** L2 penalty added to the gradient, PyTorch's meaning. */
  readonly weightDecay: number;
  readonly schedule: Schedule;
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

export type Optimizer = SgdOptimizer | AdamOptimizer;

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

/** Names of the state that the optimizer keeps per parameter, each of the parameter's shape, starting at 0. */
export function slotNames(optimizer: Optimizer): readonly string[] {
  if (optimizer.type === 'adam') return ['first-moment', 'second-moment'];
  return optimizer.momentum > 0 ? ['momentum'] : [];
}

/**
 * The numbers of one step, in the order in which the graph reads them: learning rate, beta1^t, beta2^t, epsilon.
 * TensorFlow adds epsilon to the root of the uncorrected second moment, PyTorch to the corrected one; scaling epsilon by
 * sqrt(1 - beta2^t) makes the two updates equal.
 * @param step 0-based
 */
export function stepNumbers(optimizer: Optimizer, step: number, totalSteps: number): Float32Array {
  const learningRate = optimizer.learningRate * scheduleFactor(optimizer.schedule, step, totalSteps);
  if (optimizer.type === 'sgd') return Float32Array.of(learningRate, 0, 0, 0);
  const power2 = BETA2 ** (step + 1);
  return Float32Array.of(learningRate, BETA1 ** (step + 1), power2, EPSILON * Math.sqrt(1 - power2));
}

/** Length of `stepNumbers`. */
export const STEP_NUMBERS = 4;

export interface UpdateNodes {
  /** Resource variable of the parameter. */
  readonly variable: string;
  /** Resource variables of its slots, in the order of `slotNames`. */
  readonly slots: readonly string[];
  readonly gradient: string;
  /** Nodes of the step's numbers. */
  readonly numbers: readonly string[];
}

/** Adds the update of one parameter. @returns the node to wait for */
export function addUpdate(graph: GraphDefinition, optimizer: Optimizer, name: string, nodes: UpdateNodes): string {
  const T = attribute.type(backend().binding.TF_FLOAT);
  const { variable, slots, numbers } = nodes;
  const [learningRate, power1, power2, epsilon] = numbers as [string, string, string, string];
  const gradient = decayed(graph, optimizer.weightDecay, name, nodes);
  if (optimizer.type === 'adam') {
    const betas = [graph.float(`${name}/beta1`, [BETA1], []), graph.float(`${name}/beta2`, [BETA2], [])];
    const inputs = [variable, ...slots, power1, power2, learningRate, ...betas, epsilon, gradient];
    return graph.add(name, 'ResourceApplyAdam', inputs, { T });
  }
  if (optimizer.momentum > 0) {
    const momentum = graph.float(`${name}/momentum`, [optimizer.momentum], []);
    return graph.add(name, 'ResourceApplyMomentum', [variable, ...slots, learningRate, gradient, momentum], {
      T,
      use_nesterov: attribute.boolean(optimizer.nesterov),
    });
  }
  return graph.add(name, 'ResourceApplyGradientDescent', [variable, learningRate, gradient], { T });
}

function decayed(
  graph: GraphDefinition,
  weightDecay: number,
  name: string,
  { variable, gradient }: UpdateNodes,
): string {
  if (weightDecay === 0) return gradient;
  const types = { T: attribute.type(backend().binding.TF_FLOAT) };
  const dtype = { dtype: attribute.type(backend().binding.TF_FLOAT) };
  const value = graph.add(`${name}/value`, 'ReadVariableOp', [variable], dtype);
  const factor = graph.float(`${name}/decay`, [weightDecay], []);
  const penalty = graph.add(`${name}/penalty`, 'Mul', [value, factor], types);
  return graph.add(`${name}/decayed`, 'AddV2', [gradient, penalty], types);
}
