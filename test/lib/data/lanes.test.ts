import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { type Random, shuffle } from '../../../lib/base/random.ts';
import {
  dealLanes,
  droppedIds,
  laneBatch,
  laneRange,
  microBatchSizes,
  stepSamples,
  stepsPerEpoch,
  type Tail,
} from '../../../lib/data/lanes.ts';
import { between, forCases } from '../../helpers/property.ts';

interface Job {
  readonly order: Uint32Array;
  readonly lanes: number;
  readonly microBatch: number;
  readonly tail: Tail;
}

/** Sizes around the corners: fewer samples than lanes, exact multiples, one too many or too few. */
function randomJob(random: Random): Job {
  const lanes = between(random, 1, 9);
  const microBatch = between(random, 1, 8);
  const samples = Math.max(1, between(random, 0, 6) * lanes * microBatch + between(random, -lanes, lanes));
  const first = random.nextInt(1000);
  const order = shuffle(
    Uint32Array.from({ length: samples }, (_, index) => first + 3 * index),
    random,
  );
  return { order, lanes, microBatch, tail: random.nextInt(2) === 0 ? 'weighted' : 'drop' };
}

function sorted(values: Iterable<number>): number[] {
  return [...values].sort((a, b) => a - b);
}

test('every sample is used exactly once per epoch, or dropped and listed', (t) =>
  forCases(t, 300, (random) => {
    const { order, lanes, microBatch, tail } = randomJob(random);
    const steps = stepsPerEpoch(order.length, lanes, microBatch, tail);
    const used: number[] = [];
    for (let step = 0; step < steps; step++) {
      let inStep = 0;
      for (let lane = 0; lane < lanes; lane++) {
        const batch = laneBatch(order, lanes, lane, microBatch, step);
        inStep += batch.length;
        used.push(...batch);
      }
      t.true(inStep > 0, 'no step is empty');
      if (step < steps - 2 || tail === 'drop') t.is(inStep, lanes * microBatch, 'only the tail is short');
    }
    const dropped = tail === 'drop' ? [...droppedIds(order, lanes, microBatch)] : [];
    t.deepEqual(dropped, sorted(dropped));
    t.true(dropped.length < lanes * (microBatch + 1), 'each lane drops less than a micro-batch, and its odd sample');
    t.deepEqual(sorted([...used, ...dropped]), sorted(order));
    if (tail === 'drop') {
      const made = random.nextInt(steps + 1);
      const cut = [...droppedIds(order, lanes, microBatch, made)];
      t.deepEqual(cut, sorted([...dropped, ...used.slice(made * lanes * microBatch)]), 'an epoch that was cut short');
      return;
    }
    for (let lane = 0; lane < lanes; lane++) t.is(laneBatch(order, lanes, lane, microBatch, steps).length, 0);
  }));

test('lanes are contiguous ranges whose lengths differ by at most one', (t) =>
  forCases(t, 300, (random) => {
    const { order, lanes } = randomJob(random);
    const lengths: number[] = [];
    let covered = 0;
    for (let lane = 0; lane < lanes; lane++) {
      const { start, end } = laneRange(order.length, lanes, lane);
      t.is(start, covered);
      covered = end;
      lengths.push(end - start);
    }
    t.is(covered, order.length);
    t.true(Math.max(...lengths) - Math.min(...lengths) <= 1);
  }));

test('the sizes of micro-batches are exactly those that occur', (t) =>
  forCases(t, 300, (random) => {
    const { order, lanes, microBatch, tail } = randomJob(random);
    const seen = new Set<number>();
    for (let step = 0; step < stepsPerEpoch(order.length, lanes, microBatch, tail); step++) {
      for (let lane = 0; lane < lanes; lane++) seen.add(laneBatch(order, lanes, lane, microBatch, step).length);
    }
    seen.delete(0);
    t.deepEqual(microBatchSizes(order.length, lanes, microBatch, tail), sorted(seen).reverse());
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

test('the samples of a step are those of its lanes together', (t) =>
  forCases(t, 100, (random) => {
    const { order, lanes, microBatch, tail } = randomJob(random);
    const samples = order.length;
    for (let step = 0; step < stepsPerEpoch(samples, lanes, microBatch, tail); step++) {
      const batches = Array.from({ length: lanes }, (_, lane) => laneBatch(order, lanes, lane, microBatch, step));
      const together = batches.reduce((sum, { length }) => sum + length, 0);
      t.is(stepSamples(samples, lanes, microBatch, step, tail), together);
    }
  }));
