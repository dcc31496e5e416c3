/** Which samples train, calibrate and test: a seeded rule, so that every process of a job cuts the same splits. */
import { StillhouseError } from '../base/errors.ts';
import { createRandom, hashName, shuffle } from '../base/random.ts';
import type { SplitName } from './manifest.ts';

export interface SplitRequest {
  /** The job's seed. */
  readonly seed: number;
  /** Training samples, at least 1; absent for all that calibration leaves. */
  readonly train?: number | undefined;
  /** Samples cut from the data set's training split for calibration; default 0. */
  readonly calibrate?: number | undefined;
  /** Test samples, at least 1; absent for the whole test split. */
  readonly test?: number | undefined;
}

/** Sample ids, ascending; the three are disjoint. */
export interface Splits {
  readonly train: Uint32Array;
  readonly calibrate: Uint32Array;
  readonly test: Uint32Array;
}

/**
 * Cuts the splits. A seeded shuffle of the data set's training ids gives `train` from its front and `calibrate` from its
 * end, so a larger `train` holds the smaller one and the choice of one does not move the other.
 *
 * @throws StillhouseError INVALID_ARGUMENT when more is asked for than there is; `field` is `data.train`, `data.calibrate`
 *   or `data.test`.
 */
export function selectSplits(source: { idsOf(split: SplitName): Uint32Array }, request: SplitRequest): Splits {
  const { seed } = request;
  const trainPool = shuffle(source.idsOf('train').slice(), createRandom(seed, hashName('split train')));
  const testPool = shuffle(source.idsOf('test').slice(), createRandom(seed, hashName('split test')));
  const calibrate = checkedCount('calibrate', request.calibrate ?? 0, 0, trainPool.length, 'training images');
  const left = trainPool.length - calibrate;
  const besides = calibrate === 0 ? 'training images' : `training images besides ${calibrate} for calibration`;
  const train = checkedCount('train', request.train ?? Math.max(left, 1), 1, left, besides);
  const test = checkedCount('test', request.test ?? Math.max(testPool.length, 1), 1, testPool.length, 'test images');
  return {
    train: trainPool.slice(0, train).sort(),
    calibrate: trainPool.slice(left).sort(),
    test: testPool.slice(0, test).sort(),
  };
}

function checkedCount(name: string, count: number, atLeast: number, available: number, what: string): number {
  if (Number.isInteger(count) && count >= atLeast && count <= available) return count;
  const field = `data.${name}`;
  throw new StillhouseError(
    'INVALID_ARGUMENT',
    `${field} asks for ${count}, expected a whole number from ${atLeast} to ${available}: the data set has ${available} ${what}`,
    { field },
  );
}
