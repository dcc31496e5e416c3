/** Which samples train, calibrate and test: a seeded rule, so that every process of a job cuts the same splits. */
import { StillhouseError } from '../base/errors.ts';
import { createRandom, hashName, type Random, shuffle, shuffleEnd } from '../base/random.ts';
import type { SplitName } from './manifest.ts';
import { IdSet, inOrderOf, joinIds, selectIds } from './sample-ids.ts';

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

const NO_TEST_HINT =
  'every job tests what it trains: import the data set with test images (its format’s test files, a folder test/ or val/, or ' +
  'folders of classes of which --test-share is held out), or take classes that have some';

/** Where the splits are cut from: a data set, or a part of one. */
export interface SplitSource {
  /** Ascending. */
  idsOf(split: SplitName): Uint32Array;
  /** As of a data set; absent: none. */
  readonly sourceIds?: Uint32Array;
}

/** Sample ids, ascending; the three are disjoint. */
export interface Splits {
  readonly train: Uint32Array;
  readonly calibrate: Uint32Array;
  readonly test: Uint32Array;
}

/**
 * Cuts the splits. A seeded shuffle of the data set's training ids gives `train` from its front and `calibrate` from its
 * end, so a larger `train` holds the smaller one and the choice of one does not move the other. Samples of another domain
 * train, all of them, besides those that are drawn.
 *
 * @throws StillhouseError INVALID_ARGUMENT when more is asked for than there is; `field` is `data.train`, `data.calibrate`
 *   or `data.test`.
 */
export function selectSplits(source: SplitSource, request: SplitRequest): Splits {
  const { seed } = request;
  const trainPool = source.idsOf('train');
  const calibrate = checkedCount('calibrate', request.calibrate ?? 0, 0, trainPool.length, 'training images');
  const left = trainPool.length - calibrate;
  const besides = calibrate === 0 ? 'training images' : `training images besides ${calibrate} for calibration`;
  const train = checkedCount('train', request.train ?? Math.max(left, 1), 1, left, besides);
  const test = selectTest(source, request);
  const [forTraining, forCalibration] = drawn(
    trainPool,
    [train, calibrate],
    createRandom(seed, hashName('split train')),
  );
  return {
    train: joinIds(forTraining, source.sourceIds ?? new Uint32Array(0)),
    calibrate: forCalibration,
    test,
  };
}

/** The test samples of the splits. A larger draw holds the smaller one. @throws as `selectSplits` does */
export function selectTest(source: SplitSource, { seed, test }: Pick<SplitRequest, 'seed' | 'test'>): Uint32Array {
  const pool = source.idsOf('test');
  if (pool.length === 0) {
    throw new StillhouseError('INVALID_ARGUMENT', 'data.test: the data set has no test images', {
      field: 'data.test',
      hint: NO_TEST_HINT,
    });
  }
  const count = checkedCount('test', test ?? pool.length, 1, pool.length, 'test images');
  const [drawnIds] = drawn(pool, [count, 0], createRandom(seed, hashName('split test')));
  return drawnIds;
}

/** So many from the front and from the end of the shuffled pool, each ascending. @param pool ascending */
function drawn(pool: Uint32Array, [front, end]: readonly [number, number], random: Random): [Uint32Array, Uint32Array] {
  // All of it, whatever the order: a shuffle of millions would be for nothing.
  if (front === pool.length) return [pool, new Uint32Array(0)];
  const isAll = front + end === pool.length;
  // Where the front is what the end leaves, nobody looks at its order.
  const shuffled = isAll ? shuffleEnd(pool.slice(), end, random) : shuffle(pool.slice(), random);
  const last = shuffled.subarray(pool.length - end);
  if (!isAll) return [inOrderOf(pool, shuffled.subarray(0, front)), inOrderOf(pool, last)];
  const isLast = new IdSet(last);
  return [selectIds(pool, (id) => !isLast.has(id)), selectIds(pool, (id) => isLast.has(id))];
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
