import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import type { Random } from '../../../lib/base/random.ts';
import {
  dealLanes,
  epochOrder,
  laneBatch,
  laneRange,
  microBatchSizes,
  stepSamples,
  stepsPerEpoch,
} from '../../../lib/data/lanes.ts';
import { between, forCases } from '../../helpers/property.ts';

interface Job {
  readonly ids: Uint32Array;
  readonly lanes: number;
  readonly microBatch: number;
  readonly seed: number;
}

/** Sizes around the corners: fewer samples than lanes, exact multiples, one too many or too few. */
function randomJob(random: Random): Job {
  const lanes = between(random, 1, 9);
  const microBatch = between(random, 1, 8);
  const samples = Math.max(1, between(random, 0, 6) * lanes * microBatch + between(random, -lanes, lanes));
  const first = random.nextInt(1000);
  const ids = Uint32Array.from({ length: samples }, (_, index) => first + 3 * index);
  return { ids, lanes, microBatch, seed: random.nextUint32() };
}

function sorted(values: Iterable<number>): number[] {
  return [...values].sort((a, b) => a - b);
}

test('every sample is used exactly once per epoch', (t) =>
  forCases(t, 300, (random) => {
    const { ids, lanes, microBatch, seed } = randomJob(random);
    const order = epochOrder(ids, seed, between(random, 0, 5));
    const steps = stepsPerEpoch(ids.length, lanes, microBatch);
    const used: number[] = [];
    for (let step = 0; step < steps; step++) {
      let inStep = 0;
      for (let lane = 0; lane < lanes; lane++) {
        const batch = laneBatch(order, lanes, lane, microBatch, step);
        inStep += batch.length;
        used.push(...batch);
      }
      t.true(inStep > 0, 'no step is empty');
      if (step < steps - 2) t.is(inStep, lanes * microBatch, 'only the tail is short');
    }
    t.deepEqual(sorted(used), sorted(ids));
    for (let lane = 0; lane < lanes; lane++) t.is(laneBatch(order, lanes, lane, microBatch, steps).length, 0);
  }));

test('lanes are contiguous ranges whose lengths differ by at most one', (t) =>
  forCases(t, 300, (random) => {
    const { ids, lanes } = randomJob(random);
    const lengths: number[] = [];
    let covered = 0;
    for (let lane = 0; lane < lanes; lane++) {
      const { start, end } = laneRange(ids.length, lanes, lane);
      t.is(start, covered);
      covered = end;
      lengths.push(end - start);
    }
    t.is(covered, ids.length);
    t.true(Math.max(...lengths) - Math.min(...lengths) <= 1);
  }));

test('the sizes of micro-batches are exactly those that occur', (t) =>
  forCases(t, 300, (random) => {
    const { ids, lanes, microBatch } = randomJob(random);
    const seen = new Set<number>();
    for (let step = 0; step < stepsPerEpoch(ids.length, lanes, microBatch); step++) {
      for (let lane = 0; lane < lanes; lane++) seen.add(laneBatch(ids, lanes, lane, microBatch, step).length);
    }
    seen.delete(0);
    t.deepEqual(microBatchSizes(ids.length, lanes, microBatch), sorted(seen).reverse());
  }));

test('what makes up a step does not depend on how lanes are dealt to workers', (t) =>
  forCases(t, 200, (random) => {
    const { ids, lanes, microBatch, seed } = randomJob(random);
    const step = random.nextInt(stepsPerEpoch(ids.length, lanes, microBatch));
    const batchesOn = (workers: number) =>
      dealLanes(lanes, workers).flatMap((block) => {
        // Every worker computes the order for itself.
        const order = epochOrder(ids, seed, 3);
        return Array.from({ length: block.lanes }, (_, index) =>
          laneBatch(order, lanes, block.firstLane + index, microBatch, step),
        );
      });
    t.deepEqual(batchesOn(between(random, 1, lanes)), batchesOn(1));
  }));

test('a deal gives every lane to one worker, in blocks whose sizes differ by at most one', (t) =>
  forCases(t, 200, (random) => {
    const lanes = between(random, 1, 70);
    const blocks = dealLanes(lanes, between(random, 1, lanes));
    let next = 0;
    for (const block of blocks) {
      t.is(block.firstLane, next);
      next += block.lanes;
    }
    t.is(next, lanes);
    const sizes = blocks.map((block) => block.lanes);
    t.true(Math.min(...sizes) >= 1 && Math.max(...sizes) - Math.min(...sizes) <= 1);
  }));

test('more workers than lanes are refused', (t) => {
  for (const workers of [5, 0, -1, 1.5]) {
    const error = t.throws(() => dealLanes(4, workers), { instanceOf: StillhouseError });
    t.is(error?.code, 'INVALID_ARGUMENT');
    t.is(error?.field, 'averaging.workers');
  }
});

test('an epoch is a permutation that follows from seed and epoch and leaves its input alone', (t) =>
  forCases(t, 30, (random) => {
    const { ids, seed } = randomJob(random);
    const before = ids.slice();
    t.deepEqual(epochOrder(ids, seed, 2), epochOrder(ids, seed, 2));
    t.deepEqual(sorted(epochOrder(ids, seed, 2)), sorted(ids));
    t.deepEqual(ids, before);
    if (ids.length < 12) return;
    t.notDeepEqual(epochOrder(ids, seed, 2), epochOrder(ids, seed, 3));
    t.notDeepEqual(epochOrder(ids, seed, 2), epochOrder(ids, seed + 1, 2));
  }));

test('a whole epoch over 50,000 samples is dealt out', (t) => {
  const ids = Uint32Array.from({ length: 50_000 }, (_, id) => id);
  const order = epochOrder(ids, 1, 0);
  const seen = new Uint8Array(ids.length);
  for (let step = 0; step < stepsPerEpoch(ids.length, 4, 16); step++) {
    for (let lane = 0; lane < 4; lane++) {
      for (const id of laneBatch(order, 4, lane, 16, step)) seen[id] = (seen[id] as number) + 1;
    }
  }
  t.true(seen.every((count) => count === 1));
});

test('the samples of a step are those of its lanes together', (t) =>
  forCases(t, 100, (random) => {
    const samples = between(random, 1, 90);
    const lanes = between(random, 1, 7);
    const microBatch = between(random, 1, 9);
    const order = Uint32Array.from({ length: samples }, (_, index) => index);
    for (let step = 0; step < stepsPerEpoch(samples, lanes, microBatch); step++) {
      const batches = Array.from({ length: lanes }, (_, lane) => laneBatch(order, lanes, lane, microBatch, step));
      const together = batches.reduce((sum, { length }) => sum + length, 0);
      t.is(stepSamples(samples, lanes, microBatch, step), together);
    }
  }));
