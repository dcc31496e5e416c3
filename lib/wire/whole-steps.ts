/** Whether an epoch has a step: with `tail: drop` only whole ones count. */
import { StillhouseError } from '../base/errors.ts';
import { stepsPerEpoch } from '../data/lanes.ts';
import type { TrainSpec } from './job-spec.ts';

/**
 * @param field the path of `train` in the job file
 * @param name of the model
 * @param samples that it trains on
 * @throws StillhouseError INVALID_ARGUMENT, field `<field>.tail`, when every sample would be dropped
 */
export function requireWholeStep(field: string, name: string, samples: number, train: TrainSpec): void {
  const { lanes, microBatch, tail } = train;
  if (stepsPerEpoch(samples, lanes, microBatch, tail) > 0) return;
  const needed = `a whole step takes ${lanes} x ${microBatch} (lanes x microBatch)`;
  throw new StillhouseError(
    'INVALID_ARGUMENT',
    `${field}.tail: drop would drop all ${samples} training images of ${name}: ${needed}`,
    { field: `${field}.tail`, hint: 'take more images, fewer lanes, a smaller microBatch, or tail: weighted' },
  );
}
