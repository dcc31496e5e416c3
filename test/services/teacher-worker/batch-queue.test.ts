/** The teacher's queue, against what must hold whatever is asked of it, in random runs on a clock of their own. */
import test from 'ava';
import type { Random } from '../../../lib/base/random.ts';
import {
  BatchQueue,
  NEED_MAX_MS,
  type OfferedBatch,
  type QueuedBatch,
} from '../../../services/teacher-worker/batch-queue.ts';
import { between, forCases } from '../../helpers/property.ts';

type Batch = QueuedBatch<number>;

const LIMITS = { samples: 400, bytes: 20_000 };

function offered(work: number, changes: Partial<OfferedBatch<number>> = {}): OfferedBatch<number> {
  return { group: 'big', merging: null, samples: 16, bytes: 256, neededInMs: 0, deadlineMs: 0, work, ...changes };
}

function taken(queue: BatchQueue<number>, batch: OfferedBatch<number>, atMs: number): Batch {
  const offer = queue.offer(batch, atMs);
  if ('taken' in offer) return offer.taken;
  throw new Error(`refused, to try again after ${offer.retryAfterMs} ms`);
}

test('whoever starves first is computed first, whoever asked first where both starve', (t) => {
  const queue = new BatchQueue<number>(LIMITS);
  taken(queue, offered(0, { neededInMs: 500 }), 0);
  taken(queue, offered(1, { neededInMs: 100, group: 'other' }), 10);
  taken(queue, offered(2, { neededInMs: 90 }), 20);
  taken(queue, offered(3), 200);
  const order = [0, 1, 2, 3].map(() => queue.take(200, true).unit.map(({ work }) => work));
  t.deepEqual(order, [[1], [2], [3], [0]]);
  t.deepEqual(queue.take(200, true), { expired: [], unit: [], wakeAtMs: null });
});

test('what is needed late is not put off for ever by what is needed now', (t) => {
  const queue = new BatchQueue<number>(LIMITS);
  taken(queue, offered(-1, { neededInMs: 3_600_000 }), 0);
  let nowMs = 0;
  for (let work = 0; ; work++) {
    taken(queue, offered(work), nowMs);
    const [next] = queue.take(nowMs, true).unit as [Batch];
    queue.finished([next], next.samples, nowMs + 50);
    nowMs += 50;
    if (next.work === -1) break;
    t.true(nowMs <= NEED_MAX_MS + 50, `still waiting after ${nowMs} ms`);
  }
  t.true(nowMs >= NEED_MAX_MS);
});

test('batches of one teacher are computed together up to a size, or when they have waited', (t) => {
  const queue = new BatchQueue<number>(LIMITS);
  const merging = { samples: 40, delayMs: 5 };
  for (const [work, atMs] of [
    [0, 0],
    [1, 2],
  ] as const) {
    taken(queue, offered(work, { merging }), atMs);
  }
  taken(queue, offered(9, { merging, group: 'other' }), 2);
  t.deepEqual(queue.take(2, true), { expired: [], unit: [], wakeAtMs: 5 });
  t.deepEqual(
    queue.take(5, true).unit.map(({ work }) => work),
    [0, 1],
  );
  taken(queue, offered(2, { merging }), 6);
  taken(queue, offered(3, { merging, neededInMs: 50 }), 6);
  taken(queue, offered(4, { merging }), 6);
  const full = queue.take(6, true).unit.map(({ work }) => work);
  t.deepEqual(full, [2, 4], 'three would be more than are computed at once');
  t.is(queue.take(6, true).wakeAtMs, 7, 'the other teacher waits for itself');
  t.deepEqual(
    queue.take(7, true).unit.map(({ work }) => work),
    [9],
  );
  t.is(queue.take(7, true).wakeAtMs, 11);
});

test('a full queue says when there will be room, by what it has measured', (t) => {
  const queue = new BatchQueue<number>({ samples: 64, bytes: 1_000_000 });
  const run = (atMs: number, tookMs: number) => {
    const { unit } = queue.take(atMs, true);
    queue.finished(unit, 16, atMs + tookMs);
  };
  for (let work = 0; work < 3; work++) {
    taken(queue, offered(work), work * 1000);
    run(work * 1000, work === 0 ? 900 : 160);
  }
  t.is(Math.round(queue.samplesPerSecond), 100, 'the first, which sets all up, and idle times do not count');
  for (let work = 0; work < 4; work++) taken(queue, offered(work), 5_000);
  t.deepEqual(queue.offer(offered(4), 5_000), { retryAfterMs: 160 });
  const small = new BatchQueue<number>({ samples: 8, bytes: 100 });
  taken(small, offered(0), 0);
  t.deepEqual(small.offer(offered(1, { samples: 1, bytes: 1 }), 0), { retryAfterMs: 200 }, 'nothing measured yet');
});

test('deadlines and what nobody wants any more', (t) => {
  const queue = new BatchQueue<number>(LIMITS);
  const late = taken(queue, offered(0, { deadlineMs: 30, neededInMs: 5 }), 0);
  const gone = taken(queue, offered(1), 0);
  t.is(queue.take(0, false).wakeAtMs, 30);
  t.true(queue.cancel(gone));
  t.false(queue.cancel(gone));
  const turn = queue.take(30, true);
  t.deepEqual(turn, { expired: [late], unit: [], wakeAtMs: null });
  t.is(queue.samples, 0);
  const running = taken(queue, offered(2), 31);
  t.deepEqual(queue.take(31, true).unit, [running]);
  t.false(queue.cancel(running), 'it is computed already');
  t.is(queue.samples, 16);
  queue.finished([running], 16, 40);
  t.is(queue.samples, 0);
});

/** A queue, and what a reader who keeps everything in lists knows of it. */
class Run {
  readonly queue = new BatchQueue<number>(LIMITS);
  readonly waiting = new Set<Batch>();
  readonly underway: Batch[][] = [];
  readonly left = new Map<number, string>();
  nowMs = 0;
  works = 0;
  readonly #random: Random;
  readonly #merging: ReadonlyMap<string, { samples: number; delayMs: number } | null>;

  constructor(random: Random) {
    this.#random = random;
    const merging = () =>
      random.nextFloat() < 0.5 ? null : { samples: between(random, 1, 100), delayMs: between(random, 0, 20) };
    this.#merging = new Map(['a', 'b', 'c'].map((group) => [group, merging()]));
  }

  get samples(): number {
    return [...this.waiting, ...this.underway.flat()].reduce((sum, { samples }) => sum + samples, 0);
  }

  get bytes(): number {
    return [...this.waiting, ...this.underway.flat()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  offer(): 'taken' | 'refused' {
    const random = this.#random;
    const group = ['a', 'b', 'c'][random.nextInt(3)] as string;
    const batch: OfferedBatch<number> = {
      group,
      merging: this.#merging.get(group) ?? null,
      samples: between(random, 1, 64),
      bytes: between(random, 1, 2_000),
      neededInMs: random.nextInt(2) * random.nextInt(20_000),
      deadlineMs: random.nextInt(3) === 0 ? between(random, 1, 300) : 0,
      work: this.works++,
    };
    const fits = this.samples + batch.samples <= LIMITS.samples && this.bytes + batch.bytes <= LIMITS.bytes;
    const offer = this.queue.offer(batch, this.nowMs);
    if ('taken' in offer) this.waiting.add(offer.taken);
    if ('taken' in offer !== (fits || this.samples === 0)) throw new Error('taken, or refused, without a reason');
    return 'taken' in offer ? 'taken' : 'refused';
  }

  leave(batch: Batch, how: string): void {
    if (!this.waiting.delete(batch)) throw new Error(`batch ${batch.work} is ${how}, but was not waiting`);
    this.left.set(batch.work, how);
  }

  /** What must hold of a unit, written down without regard to speed. */
  problemOf(unit: readonly Batch[]): string | null {
    const [first] = unit;
    if (first === undefined) return null;
    const merging = this.#merging.get(first.group) ?? null;
    const samples = unit.reduce((sum, batch) => sum + batch.samples, 0);
    if (unit.some(({ group }) => group !== first.group)) return 'batches of several teachers at once';
    if (merging === null && unit.length > 1) return 'several batches at once, which must be computed alone';
    if (merging !== null && unit.length > 1 && samples > merging.samples) return 'more than may be computed at once';
    const rest = [...this.waiting].filter((batch) => batch.group === first.group && !unit.includes(batch));
    const last = unit.at(-1) as Batch;
    if (rest.some((batch) => batch.neededAtMs < last.neededAtMs)) return 'a batch that starves sooner was left';
    const all = samples + rest.reduce((sum, batch) => sum + batch.samples, 0);
    const oldestMs = Math.min(...[...unit, ...rest].map(({ arrivedAtMs }) => arrivedAtMs));
    if (merging !== null && all < merging.samples && this.nowMs < oldestMs + merging.delayMs) return 'it did not wait';
    return null;
  }
}

test('nothing is lost, used twice or out of turn, whatever comes in, also when the clock jumps', async (t) => {
  await forCases(t, 60, (random) => {
    const run = new Run(random);
    for (let event = 0; event < 400; event++) {
      const jump = random.nextInt(200);
      // Clocks of machines that slept, or are set: time only goes on.
      if (jump === 0) run.nowMs += 3_600_000;
      const atMs = jump === 1 ? run.nowMs - 100_000 : run.nowMs;
      const what = random.nextInt(10);
      if (what < 5) {
        run.offer();
      } else if (what < 6) {
        const batch = [...run.waiting][random.nextInt(Math.max(1, run.waiting.size))];
        if (batch !== undefined) {
          t.true(run.queue.cancel(batch));
          run.leave(batch, 'cancelled');
        }
      } else if (what < 8) {
        const { expired, unit } = run.queue.take(atMs, random.nextInt(5) > 0);
        for (const batch of expired) {
          t.true(batch.expiresAtMs <= run.nowMs);
          run.leave(batch, 'expired');
        }
        t.is(run.problemOf(unit), null);
        for (const batch of unit) run.leave(batch, 'computed');
        if (unit.length > 0) run.underway.push([...unit]);
        t.true([...run.waiting].every(({ expiresAtMs }) => expiresAtMs > run.nowMs));
      } else {
        run.nowMs += random.nextInt(30);
        const done = run.underway.shift();
        if (done !== undefined) run.queue.finished(done, done.length, run.nowMs);
      }
      t.is(run.queue.samples, run.samples);
    }
    for (const unit of run.underway.splice(0)) run.queue.finished(unit, 1, run.nowMs);
    while (run.waiting.size > 0) {
      const { expired, unit, wakeAtMs } = run.queue.take(run.nowMs, true);
      for (const batch of [...expired, ...unit]) run.leave(batch, 'at the end');
      run.queue.finished(unit, 1, run.nowMs);
      if (unit.length === 0) run.nowMs = wakeAtMs ?? run.nowMs;
      t.true(unit.length > 0 || wakeAtMs !== null || run.waiting.size === 0, 'what waits is waited for');
    }
    t.is(run.queue.samples, 0);
  });
});
