/** Batch norm of a served model is a scale and an offset per channel: both move into the convolution before it. */
import { invariant } from '../../base/errors.ts';
import type { NamedTensor, NamedTensors } from '../safetensors.ts';
import { type BatchNormStep, type ConvolutionStep, inputsOf, type Network, type Step } from './network.ts';

export interface Weights {
  readonly network: Network;
  /** PyTorch's names and layouts. */
  readonly tensors: NamedTensors;
}

/**
 * The same function without any batch norm that follows a convolution which nothing else reads:
 * w' = w·γ/√(σ²+ε), b' = (b−μ)·γ/√(σ²+ε) + β.
 */
export function foldBatchNorm({ network, tensors }: Weights): Weights {
  const folded = new Map(tensors);
  const producers = new Map(network.steps.map((step) => [step.output, step]));
  const readers = countReaders(network);
  const merged = new Map<Step, Step | null>();
  for (const step of network.steps) {
    if (step.op !== 'batch-norm') continue;
    const convolution = producers.get(step.input);
    if (convolution?.op !== 'convolution' || readers.get(step.input) !== 1) continue;
    merged.set(convolution, null);
    merged.set(step, foldPair(convolution, step, tensors, folded));
  }
  const steps = network.steps.map((step) => merged.get(step) ?? (merged.has(step) ? null : step));
  return { network: { ...network, steps: steps.filter((step) => step !== null) }, tensors: folded };
}

/** How many steps read each value. */
export function countReaders(network: Network): Map<string, number> {
  const readers = new Map<string, number>();
  for (const name of network.steps.flatMap(inputsOf)) readers.set(name, (readers.get(name) ?? 0) + 1);
  return readers;
}

function foldPair(
  convolution: ConvolutionStep,
  norm: BatchNormStep,
  tensors: NamedTensors,
  folded: Map<string, NamedTensor>,
): ConvolutionStep {
  const read = (name: string): NamedTensor => {
    const tensor = tensors.get(name);
    invariant(tensor !== undefined, `the tensor ${name} is at hand`);
    return tensor;
  };
  const weight = read(convolution.weight);
  const [gamma, beta, mean, variance] = [norm.scale, norm.offset, norm.mean, norm.variance].map(
    (name) => read(name).values,
  ) as [Float32Array, Float32Array, Float32Array, Float32Array];
  const before = convolution.bias === null ? null : read(convolution.bias).values;
  const filters = weight.shape[0] as number;
  const perFilter = weight.values.length / filters;
  const values = new Float32Array(weight.values.length);
  const bias = new Float32Array(filters);
  for (let filter = 0; filter < filters; filter++) {
    const factor = (gamma[filter] as number) / Math.sqrt((variance[filter] as number) + norm.epsilon);
    bias[filter] = ((before?.[filter] ?? 0) - (mean[filter] as number)) * factor + (beta[filter] as number);
    for (let at = filter * perFilter; at < (filter + 1) * perFilter; at++) {
      values[at] = (weight.values[at] as number) * factor;
    }
  }
  for (const name of [norm.scale, norm.offset, norm.mean, norm.variance]) folded.delete(name);
  const biasName = convolution.bias ?? `${convolution.weight}.folded_bias`;
  folded.set(convolution.weight, { shape: weight.shape, values });
  folded.set(biasName, { shape: [filters], values: bias });
  return { ...convolution, bias: biasName, output: norm.output };
}
