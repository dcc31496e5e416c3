/** Class weights: how much the samples of a class count in `cross-entropy` terms; others are not weighed. */
import { NO_LABEL } from '../distill/step-spec.ts';
import type { DataSpec } from './job-spec.ts';
import type { TrainingSamples } from './training-samples.ts';

/** The outputs of a model: its classes, and behind them its dustbin where it has one. */
export interface WeightedOutputs {
  readonly classNames: readonly string[];
  readonly dustbin: boolean;
}

/**
 * The weight of every output of a model. `balanced`: labelled samples / (outputs that have any x those of the output), as
 * scikit-learn's `balanced`; the average over the labelled samples is 1. By name: a dustbin, like a class that is not named,
 * weighs 1.
 *
 * @returns absent where the job weighs nothing
 */
export function classWeights(
  weights: DataSpec['classWeights'],
  { classNames, dustbin }: WeightedOutputs,
  samples: TrainingSamples,
): number[] | undefined {
  if (weights === undefined) return undefined;
  const outputs = classNames.length + (dustbin ? 1 : 0);
  if (weights === 'balanced') return balanced(samples, outputs);
  return Array.from({ length: outputs }, (_, output) => {
    const name = classNames[output];
    return name !== undefined && Object.hasOwn(weights, name) ? (weights[name] as number) : 1;
  });
}

/** An output without any labelled sample weighs 1: nothing will count by it. */
function balanced({ ids, labelOf }: TrainingSamples, outputs: number): number[] {
  const counts = new Array<number>(outputs).fill(0);
  let labelled = 0;
  for (let index = 0; index < ids.length; index++) {
    const output = labelOf(ids[index] as number);
    if (output === NO_LABEL) continue;
    counts[output] = (counts[output] as number) + 1;
    labelled += 1;
  }
  const present = counts.filter((count) => count > 0).length;
  return counts.map((count) => (count === 0 ? 1 : labelled / (present * count)));
}
