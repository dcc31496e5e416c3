/** The order of an epoch, and what workers that come and go make of it. */
import test from 'ava';
import { createRandom, hashName, type Random, shuffle } from '../../../lib/base/random.ts';
import type { ShardRange } from '../../../lib/data/dataset.ts';
import { dealLanes, droppedIds, laneBatch, stepsPerEpoch, type Tail } from '../../../lib/data/lanes.ts';
import { epochOrder, type OrderedSamples } from '../../../lib/data/order.ts';
import { between, forCases } from '../../helpers/property.ts';

const WINDOW_SHARDS = 16;

/** Shards of random sizes, some ids of which are trained on: all, most, or few. */
function randomSamples(random: Random, shardsMax = 60): OrderedSamples {
  const shards: ShardRange[] = [];
  const ids: number[] = [];
  const share = [1, 0.9, 0.1][random.nextInt(3)] as number;
  let firstId = 0;
  for (let shard = between(random, 1, shardsMax); shard > 0; shard--) {
    const records = between(random, 1, 40);
    shards.push({ firstId, records });
    for (let id = firstId; id < firstId + records; id++) if (random.nextFloat() < share) ids.push(id);
    firstId += records;
  }
  if (ids.length === 0) ids.push(random.nextInt(firstId));
  return { ids: Uint32Array.from(ids), shards, seed: random.nextUint32(), lanes: between(random, 1, 6) };
}

/** The rule as it reads, all of it at once. */
function dumbOrder({ ids, shards, seed }: OrderedSamples, epoch: number): number[] {
  const groups = shards
    .map(({ firstId, records }) => [...ids].filter((id) => id >= firstId && id < firstId + records))
    .filter((group) => group.length > 0);
  const places = groups.map((_, index) => index);
  if (groups.length > WINDOW_SHARDS) shuffle(places, createRandom(seed, hashName('shard order'), epoch));
  const order: number[] = [];
  for (let window = 0; window * WINDOW_SHARDS < groups.length; window++) {
    const chosen = places.slice(window * WINDOW_SHARDS, (window + 1) * WINDOW_SHARDS);
    const samples = chosen.flatMap((place) => groups[place] as number[]).sort((a, b) => a - b);
    const words = [seed, hashName('epoch order'), epoch, ...(window === 0 ? [] : [window])];
    order.push(...shuffle(samples, createRandom(...words)));
  }
  return order;
}

test('the order is that of a dumb reference, whatever part of it is asked for first', (t) =>
  forCases(t, 150, (random) => {
    const samples = randomSamples(random);
    const epoch = random.nextInt(5);
    const expected = dumbOrder(samples, epoch);
    const order = epochOrder(samples, epoch);
    t.is(order.length, expected.length);
    for (let look = 0; look < 20; look++) {
      const from = between(random, 0, expected.length);
      const to = between(random, from, expected.length);
      t.deepEqual([...order.slice(from, to)], expected.slice(from, to));
    }
    t.deepEqual([...order.slice(0, order.length)], expected);
  }));

test('with up to 16 shards it is one shuffle of all ids', (t) =>
  forCases(t, 50, (random) => {
    const samples = randomSamples(random, WINDOW_SHARDS);
    const shuffled = shuffle(samples.ids.slice(), createRandom(samples.seed, hashName('epoch order'), 3));
    t.deepEqual(epochOrder(samples, 3).slice(0, samples.ids.length), shuffled);
  }));

test('seed and epoch decide, lanes do not, and the ids given stay as they are', (t) =>
  forCases(t, 50, (random) => {
    const samples = randomSamples(random);
    const before = samples.ids.slice();
    const all = (given: OrderedSamples, epoch: number) => epochOrder(given, epoch).slice(0, given.ids.length);
    const base = all(samples, 2);
    t.deepEqual(all({ ...samples, lanes: samples.lanes + 3 }, 2), base);
    t.deepEqual(base.slice().sort(), before);
    t.deepEqual(samples.ids, before);
    if (before.length < 12) return;
    t.notDeepEqual(all(samples, 3), base);
    t.notDeepEqual(all({ ...samples, seed: samples.seed + 1 }, 2), base);
  }));

test('a sample outside the shards is refused', (t) => {
  const outside = { ids: Uint32Array.of(3, 9), shards: [{ firstId: 0, records: 9 }], seed: 1, lanes: 1 };
  t.throws(() => epochOrder(outside, 0), { message: /every id lies in a shard/ });
});

interface Job extends OrderedSamples {
  readonly microBatch: number;
  readonly tail: Tail;
}

/** What makes up each step of an epoch: lane by lane, each lane's range cut from the whole order. */
function dumbSteps(job: Job, epoch: number): number[][][] {
  const order = dumbOrder(job, epoch);
  const { lanes, microBatch, tail } = job;
  const steps: number[][][] = [];
  for (let step = 0; ; step++) {
    const batches = Array.from({ length: lanes }, (_, lane) => {
      const range = order.slice(
        Math.floor((order.length * lane) / lanes),
        Math.floor((order.length * (lane + 1)) / lanes),
      );
      return range.slice(step * microBatch, (step + 1) * microBatch);
    });
    const isStep =
      tail === 'drop' ? batches.every(({ length }) => length === microBatch) : batches.some((b) => b.length);
    if (!isStep) return steps;
    steps.push(batches);
  }
}

/** A worker as it starts: it knows the job and where to begin, and computes everything else for itself. */
class Worker {
  readonly #job: Job;
  readonly #firstLane: number;
  readonly #lanes: number;
  #epoch = -1;
  #order = epochOrder({ ids: new Uint32Array(0), shards: [], seed: 0, lanes: 1 }, 0);

  constructor(job: Job, block: { firstLane: number; lanes: number }) {
    this.#job = job;
    this.#firstLane = block.firstLane;
    this.#lanes = block.lanes;
  }

  batches(epoch: number, stepInEpoch: number): number[][] {
    if (epoch !== this.#epoch) this.#order = epochOrder(this.#job, epoch);
    this.#epoch = epoch;
    const { lanes, microBatch } = this.#job;
    return Array.from({ length: this.#lanes }, (_, index) => [
      ...laneBatch(this.#order, lanes, this.#firstLane + index, microBatch, stepInEpoch),
    ]);
  }
}

test('whoever comes, dies or takes over: each epoch has every sample once, and each step the same samples', (t) =>
  forCases(t, 120, (random) => {
    const samples = randomSamples(random, random.nextInt(2) === 0 ? 12 : 50);
    const tail: Tail = random.nextInt(2) === 0 ? 'weighted' : 'drop';
    const job: Job = { ...samples, microBatch: between(random, 1, 9), tail };
    const { ids, lanes, microBatch } = job;
    const perEpoch = stepsPerEpoch(ids.length, lanes, microBatch, tail);
    const deal = () => dealLanes(lanes, between(random, 1, lanes)).map((block) => new Worker(job, block));
    let workers = deal();
    for (let epoch = between(random, 0, 3), last = epoch + 2; epoch < last; epoch++) {
      const expected = dumbSteps(job, epoch);
      t.is(perEpoch, expected.length);
      const committed: number[][][] = [];
      while (committed.length < perEpoch) {
        // Somebody dies or joins; a step that nobody has committed yet may have been begun before.
        if (random.nextInt(4) === 0) {
          if (random.nextInt(2) === 0) for (const worker of workers) worker.batches(epoch, committed.length);
          workers = deal();
        }
        committed.push(workers.flatMap((worker) => worker.batches(epoch, committed.length)));
      }
      t.deepEqual(committed, expected);
      const dropped = tail === 'drop' ? [...droppedIds(epochOrder(job, epoch), lanes, microBatch)] : [];
      t.deepEqual(Uint32Array.from([...committed.flat(2), ...dropped]).sort(), ids);
    }
    if (perEpoch === 0) return;
    // A newcomer in the middle of any epoch knows its samples without those before.
    const [epoch, step] = [between(random, 0, 20), random.nextInt(perEpoch)];
    const resumed = deal().flatMap((worker) => worker.batches(epoch, step));
    t.deepEqual(resumed, dumbSteps(job, epoch)[step]);
  }));
