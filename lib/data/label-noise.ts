/** Label noise: some labels replaced by wrong ones, to see what a training makes of them. */
import { hashName, mixSeeds } from '../base/random.ts';
import type { LabelArray } from './dataset.ts';

const UINT32_RANGE = 0x1_0000_0000;

export interface LabelNoise {
  /** The job's. */
  readonly seed: number;
  /** How probable it is that a label is replaced, 0..1. A higher rate replaces what a lower one does too, by the same classes. */
  readonly rate: number;
  /** Classes that there are. */
  readonly classes: number;
}

/**
 * Symmetric noise (Van Rooyen, Menon and Williamson 2015, arXiv:1505.07634): a label is replaced with a probability of `rate`,
 * by any other class alike. Whether and by which follows from seed and id alone.
 *
 * @param ids the samples whose labels may change; a data set with a single class has no other
 * @returns the labels of all samples, by id; the array given stays as it is
 */
export function withLabelNoise(labels: LabelArray, ids: Uint32Array, { seed, rate, classes }: LabelNoise): LabelArray {
  if (rate === 0 || classes < 2) return labels;
  // Not by `slice`, by which a Buffer would change with its copy.
  const noisy = labels instanceof Uint8Array ? new Uint8Array(labels) : new Uint16Array(labels);
  const [whether, which] = [hashName('label noise'), hashName('wrong label')];
  for (let index = 0; index < ids.length; index++) {
    const id = ids[index] as number;
    if (mixSeeds(seed, whether, id) / UINT32_RANGE >= rate) continue;
    const steps = 1 + (mixSeeds(seed, which, id) % (classes - 1));
    noisy[id] = ((labels[id] as number) + steps) % classes;
  }
  return noisy;
}
