/** The updates of `optimizer.ts` without TensorFlow: the same formulas over flat vectors. */
import { ADAM_BETAS } from './optimizer.ts';
import type { Optimizer } from './optimizer-spec.ts';

/** One parameter's values within the flat vectors; the update writes into them. */
export interface UpdateVectors {
  readonly parameter: Float32Array;
  readonly gradient: Float32Array;
  /** In the order of `slotNames`. */
  readonly slots: readonly Float32Array[];
}

/** @param numbers `stepNumbers` @param clip factor of the gradient */
export function applyUpdate(optimizer: Optimizer, numbers: Float32Array, clip: number, vectors: UpdateVectors): void {
  const { parameter, gradient } = vectors;
  const [learningRate, power1, power2, epsilon, kept] = numbers as unknown as [number, number, number, number, number];
  const [first, second] = vectors.slots;
  const [beta1, beta2] = ADAM_BETAS;
  const decay = optimizer.type === 'adamw' ? 0 : optimizer.weightDecay;
  const adamRate = (learningRate * Math.sqrt(1 - power2)) / (1 - power1);
  for (let index = 0; index < parameter.length; index++) {
    const value = (parameter[index] as number) * kept;
    const slope = clip * (gradient[index] as number) + decay * value;
    let change = learningRate * slope;
    if (optimizer.type !== 'sgd') {
      const [m, v] = [first as Float32Array, second as Float32Array];
      m[index] = (m[index] as number) + (slope - (m[index] as number)) * (1 - beta1);
      v[index] = (v[index] as number) + (slope * slope - (v[index] as number)) * (1 - beta2);
      change = (adamRate * (m[index] as number)) / (Math.sqrt(v[index] as number) + epsilon);
    } else if (first !== undefined) {
      first[index] = (first[index] as number) * optimizer.momentum + slope;
      const ahead = optimizer.momentum * (first[index] as number);
      change = learningRate * (optimizer.nesterov ? slope + ahead : (first[index] as number));
    }
    parameter[index] = value - change;
  }
}

/** As `addClip`: what gradients are multiplied with to be no longer than `clipNorm` together. */
export function clipFactor(gradients: Float32Array, clipNorm: number | undefined): number {
  if (clipNorm === undefined) return 1;
  const squares = gradients.reduce((sum, value) => sum + value * value, 0);
  return Math.min(1, clipNorm / (Math.sqrt(squares) + 1e-6));
}
