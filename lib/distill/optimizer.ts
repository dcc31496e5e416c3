/** Optimizers: TensorFlow's own update kernels, and per step the few numbers that they are fed. */
import { attribute, type GraphDefinition } from '../engine/graph-definition.ts';
import { backend } from '../engine/tf.ts';
import type { Optimizer } from './optimizer-spec.ts';
import { scheduleFactor } from './schedule.ts';

/** Decay of the first and of the second moment. */
export const ADAM_BETAS = [0.9, 0.999] as const;
const [BETA1, BETA2] = ADAM_BETAS;
const EPSILON = 1e-8;

/**
 * The numbers of one step, in the order in which the graph reads them: learning rate, beta1^t, beta2^t, epsilon, and what
 * AdamW multiplies the parameters with before its update.
 * TensorFlow adds epsilon to the root of the uncorrected second moment, PyTorch to the corrected one; scaling epsilon by
 * sqrt(1 - beta2^t) makes the two updates equal.
 * @param step 0-based
 */
export function stepNumbers(optimizer: Optimizer, step: number, totalSteps: number): Float32Array {
  const learningRate = optimizer.learningRate * scheduleFactor(optimizer.schedule, step, totalSteps);
  if (optimizer.type === 'sgd') return Float32Array.of(learningRate, 0, 0, 0, 1);
  const power2 = BETA2 ** (step + 1);
  const kept = optimizer.type === 'adamw' ? 1 - learningRate * optimizer.weightDecay : 1;
  return Float32Array.of(learningRate, BETA1 ** (step + 1), power2, EPSILON * Math.sqrt(1 - power2), kept);
}

/** Length of `stepNumbers`. */
export const STEP_NUMBERS = 5;

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
  const [learningRate, power1, power2, epsilon, kept] = numbers as [string, string, string, string, string];
  if (optimizer.type === 'adamw') {
    const shrunk = optimizer.weightDecay === 0 ? [] : [`^${addShrink(graph, name, nodes, kept)}`];
    const inputs = [
      variable,
      ...slots,
      power1,
      power2,
      learningRate,
      ...addBetas(graph, name),
      epsilon,
      nodes.gradient,
    ];
    return graph.add(name, 'ResourceApplyAdam', [...inputs, ...shrunk], { T });
  }
  const gradient = decayed(graph, optimizer.weightDecay, name, nodes);
  if (optimizer.type === 'adam') {
    const inputs = [variable, ...slots, power1, power2, learningRate, ...addBetas(graph, name), epsilon, gradient];
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

function addBetas(graph: GraphDefinition, name: string): string[] {
  return [graph.float(`${name}/beta1`, [BETA1], []), graph.float(`${name}/beta2`, [BETA2], [])];
}

/** variable *= kept, once the gradient is there: the pass that computes it may read the variable in the same run. */
function addShrink(graph: GraphDefinition, name: string, { variable, gradient }: UpdateNodes, kept: string): string {
  const dtype = attribute.type(backend().binding.TF_FLOAT);
  const after = `^${gradient.split(':')[0]}`;
  const value = graph.add(`${name}/value`, 'ReadVariableOp', [variable, after], { dtype });
  const product = graph.add(`${name}/shrunk`, 'Mul', [value, kept], { T: dtype });
  return graph.add(`${name}/shrink`, 'AssignVariableOp', [variable, product], { dtype });
}

/**
 * Adds the scaling of gradients to at most `clipNorm` by the Euclidean norm of all of them together (Pascanu et al. 2013,
 * arXiv:1211.5063); the small constant in the divisor is that of torch.nn.utils.clip_grad_norm_.
 */
export function addClip(
  graph: GraphDefinition,
  name: string,
  gradients: readonly string[],
  clipNorm: number,
): readonly string[] {
  const types = { T: attribute.type(backend().binding.TF_FLOAT) };
  const halfSquares = gradients.map((gradient, index) =>
    graph.add(`${name}/half${index}`, 'L2Loss', [gradient], types),
  );
  const count = { N: attribute.integer(halfSquares.length) };
  const half = graph.add(`${name}/half-square`, 'AddN', halfSquares, { ...types, ...count });
  const square = graph.add(`${name}/square`, 'AddV2', [half, half], types);
  const norm = graph.add(`${name}/norm`, 'Sqrt', [square], types);
  const divisor = graph.add(`${name}/divisor`, 'AddV2', [norm, graph.float(`${name}/epsilon`, [1e-6], [])], types);
  const ratio = graph.add(`${name}/ratio`, 'RealDiv', [graph.float(`${name}/limit`, [clipNorm], []), divisor], types);
  const factor = graph.add(`${name}/factor`, 'Minimum', [ratio, graph.float(`${name}/one`, [1], [])], types);
  return gradients.map((gradient, index) => graph.add(`${name}/scaled${index}`, 'Mul', [gradient, factor], types));
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
