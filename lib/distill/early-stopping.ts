/** Which epoch's model is the best, and when to stop looking for a better one. Pure: all workers of a group decide alike. */

export interface EarlyStopping {
  /** Epochs without getting better after which the training ends. */
  readonly patience: number;
  /** By how much the share of right answers must grow to count as better; with 0 any growth counts. */
  readonly minDelta: number;
}

export interface EpochChoice {
  /** The first epoch with the largest share of right answers, from 1; 0 before there is one. */
  readonly bestEpoch: number;
  /** The largest share of right answers; 0 before there is one. */
  readonly bestAccuracy: number;
  readonly stops: boolean;
}

/** Shares of images differ by far more; this is for 0.6 - 0.5 against 0.1. */
const ROUNDING = 1e-9;

/**
 * Growth is measured from the last epoch that counted as better, so that many small steps up add up to a better one.
 *
 * @param accuracies shares of right answers after each epoch so far, 0..1
 * @param stopping null: never stops
 */
export function chooseEpoch(accuracies: readonly number[], stopping: EarlyStopping | null): EpochChoice {
  const bestAccuracy = accuracies.reduce((best, accuracy) => Math.max(best, accuracy), 0);
  const bestEpoch = accuracies.indexOf(bestAccuracy) + 1;
  if (stopping === null) return { bestEpoch, bestAccuracy, stops: false };
  let reference = Number.NEGATIVE_INFINITY;
  let epochsWithout = 0;
  for (const accuracy of accuracies) {
    const growth = accuracy - reference;
    const isBetter = growth > 0 && growth >= stopping.minDelta - ROUNDING;
    if (isBetter) reference = accuracy;
    epochsWithout = isBetter ? 0 : epochsWithout + 1;
  }
  return { bestEpoch, bestAccuracy, stops: epochsWithout >= stopping.patience };
}
