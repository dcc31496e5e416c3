/**
 * Lanes: what makes up a step, whatever the number of workers. Lane v of V takes the v-th of V contiguous ranges of the
 * epoch's order; a step is one micro-batch from each lane; the coordinator deals blocks of lanes to workers. So every sample
 * is used exactly once per epoch by construction. All functions are pure.
 */
import { invariant, StillhouseError } from '../base/errors.ts';
import type { SampleOrder } from './order.ts';

/**
 * What becomes of the samples that fill no whole step. `weighted`: steps with fewer samples, averaged by their count. `drop`:
 * only steps to which every lane gives a whole micro-batch; the other samples wait for another epoch.
 */
export type Tail = 'weighted' | 'drop';

/** A half-open range of positions in the epoch's order. */
export interface LaneRange {
  readonly start: number;
  readonly end: number;
}

/** A contiguous block of lanes: `firstLane` .. `firstLane + lanes - 1`. */
export interface LaneBlock {
  readonly firstLane: number;
  readonly lanes: number;
}

/** The range of one lane. Lengths of lanes differ by at most 1; with fewer samples than lanes some are empty. */
export function laneRange(samples: number, lanes: number, lane: number): LaneRange {
  invariant(lanes >= 1 && lane >= 0 && lane < lanes, `lane ${lane} is one of ${lanes}`);
  return { start: cut(samples, lanes, lane), end: cut(samples, lanes, lane + 1) };
}

/** With `weighted`, steps until the longest lane has run out; with `drop`, until the shortest one has no whole micro-batch. */
export function stepsPerEpoch(samples: number, lanes: number, microBatch: number, tail: Tail): number {
  invariant(microBatch >= 1, 'a micro-batch has samples');
  if (tail === 'drop') return Math.floor(Math.floor(samples / lanes) / microBatch);
  return Math.ceil(Math.ceil(samples / lanes) / microBatch);
}

/** Samples of the global batch of one step of the epoch: lanes x micro-batch, fewer in a weighted tail. */
export function stepSamples(
  samples: number,
  lanes: number,
  microBatch: number,
  stepInEpoch: number,
  tail: Tail,
): number {
  if (tail === 'drop') return lanes * microBatch;
  let count = 0;
  for (let lane = 0; lane < lanes; lane++) {
    const { start, end } = laneRange(samples, lanes, lane);
    count += Math.min(microBatch, Math.max(0, end - start - stepInEpoch * microBatch));
  }
  return count;
}

/** The sample ids of one lane's micro-batch in one step: `microBatch` of them, fewer or none in a weighted tail. */
export function laneBatch(
  order: SampleOrder,
  lanes: number,
  lane: number,
  microBatch: number,
  stepInEpoch: number,
): Uint32Array {
  const { start, end } = laneRange(order.length, lanes, lane);
  const from = Math.min(start + stepInEpoch * microBatch, end);
  return order.slice(from, Math.min(from + microBatch, end));
}

/**
 * The ids that an epoch with tail `drop` leaves out, ascending.
 * @param steps of the epoch that are made; default all. What an epoch that is cut short does not come to is left out too.
 */
export function droppedIds(
  order: SampleOrder,
  lanes: number,
  microBatch: number,
  steps = stepsPerEpoch(order.length, lanes, microBatch, 'drop'),
): Uint32Array {
  invariant(steps <= stepsPerEpoch(order.length, lanes, microBatch, 'drop'), 'an epoch has so many steps');
  const perLane = steps * microBatch;
  const dropped = new Uint32Array(order.length - lanes * perLane);
  let count = 0;
  for (let lane = 0; lane < lanes; lane++) {
    const { start, end } = laneRange(order.length, lanes, lane);
    dropped.set(order.slice(start + perLane, end), count);
    count += end - start - perLane;
  }
  return dropped.sort();
}

/** Every number of samples above zero that some lane's micro-batch has in an epoch, descending: the shapes to compile. */
export function microBatchSizes(samples: number, lanes: number, microBatch: number, tail: Tail): number[] {
  if (tail === 'drop') return stepsPerEpoch(samples, lanes, microBatch, tail) === 0 ? [] : [microBatch];
  const shortest = Math.floor(samples / lanes);
  const longest = Math.ceil(samples / lanes);
  const sizes = new Set<number>();
  for (const length of [shortest, longest]) {
    if (length >= microBatch) sizes.add(microBatch);
    if (length % microBatch !== 0) sizes.add(length % microBatch);
  }
  return [...sizes].sort((a, b) => b - a);
}

/**
 * Deals all lanes to workers in contiguous blocks whose sizes differ by at most 1.
 *
 * @throws StillhouseError INVALID_ARGUMENT when there are more workers than lanes: one would have nothing to do.
 */
export function dealLanes(lanes: number, workers: number): LaneBlock[] {
  if (!Number.isInteger(workers) || workers < 1 || workers > lanes) {
    throw new StillhouseError(
      'INVALID_ARGUMENT',
      `${lanes} lanes cannot be dealt to ${workers} workers, expected 1 to ${lanes} workers`,
      {
        field: 'averaging.workers',
        hint: 'every worker needs at least one lane: raise train.lanes or lower the workers',
      },
    );
  }
  return Array.from({ length: workers }, (_, worker) => {
    const firstLane = cut(lanes, workers, worker);
    return { firstLane, lanes: cut(lanes, workers, worker + 1) - firstLane };
  });
}

/** Where part number `part` of `parts` nearly equal parts of `length` begins. */
function cut(length: number, parts: number, part: number): number {
  return Math.floor((length * part) / parts);
}
