/** The balance of work between teachers, in virtual time. */
import test, { type ExecutionContext } from 'ava';
import { createRandom, hashName } from '../../lib/base/random.ts';
import { centralQueue } from './central-queue.ts';
import { type ClusterOptions, VirtualCluster } from './virtual-cluster.ts';
import type { VirtualTeacher } from './virtual-teacher.ts';

const SEEDS = [1, 2, 3, 4, 5, 6];

const BASE: Omit<ClusterOptions, 'teachers' | 'students'> = {
  steps: 40,
  lanes: 2,
  microBatch: 16,
  stepMs: 6,
  flightMs: 0.5,
};

/** Samples a millisecond, up to three times apart. */
function speeds(teachers: number, seed: number): number[] {
  const random = createRandom(hashName('speeds'), seed);
  return Array.from({ length: teachers }, () => 1 + 2 * random.nextFloat());
}

/** Runs it to its end: every batch is used once, none is lost, nobody fails. */
function runWhole(t: ExecutionContext, cluster: VirtualCluster): number {
  const { steps, lanes } = cluster.options;
  cluster.run();
  for (const student of cluster.students) {
    t.true(student.isDone, `student ${student.place} has trained all steps`);
    t.deepEqual(student.failures, []);
    t.is(student.uses.size, steps * lanes);
    t.true([...student.uses.values()].every((uses) => uses === 1));
  }
  return Math.max(...cluster.students.map(({ doneMs }) => doneMs));
}

/**
 * Messages that pass while a teacher may be idle and a student wait: the teacher says that it is idle; a batch that was sent
 * elsewhere just before arrives there; that it has to wait there is told; it comes here. Where others were quicker twice it would
 * take two more.
 */
const IDLE_FLIGHTS_MAX = 4;

/** However a teacher that could be asked is left, as long as a student waits. */
function neverIdle(t: ExecutionContext, { longestIdleMs, options: { flightMs } }: VirtualCluster): void {
  const flights = longestIdleMs / flightMs;
  t.true(flights < IDLE_FLIGHTS_MAX + 1e-6, `idle for ${flights} flights of a message while a student waited`);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Against one queue for all without travel, see `centralQueue`: that of all students, and of the one that is last. */
function speedShares(cluster: VirtualCluster): { readonly all: number; readonly last: number } {
  const ideal = centralQueue(cluster.options);
  const done = cluster.students.map(({ doneMs }) => doneMs);
  return { all: mean(ideal) / mean(done), last: Math.max(...ideal) / Math.max(...done) };
}

/** Of all samples, the share that was computed a second time. */
function computedTwice({ teachers, options }: VirtualCluster): number {
  const { students, steps, lanes, microBatch } = options;
  return teachers.reduce((sum, each) => sum + each.computedSamples, 0) / (students * steps * lanes * microBatch) - 1;
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

for (const [students, teachers] of [
  [8, 15],
  [2, 3],
] as const) {
  for (const seed of SEEDS) {
    test(`${students} students and ${teachers} teachers: none is idle while a student waits, seed ${seed}`, (t) => {
      const cluster = new VirtualCluster({ ...BASE, students, teachers: speeds(teachers, seed) });
      const tookMs = runWhole(t, cluster);
      const { all, last } = speedShares(cluster);
      const idle = cluster.idleMs / (tookMs * teachers);
      const twice = computedTwice(cluster);
      const longest = cluster.longestIdleMs / cluster.options.flightMs;
      t.log(`idle while a student waits: ${percent(idle)} of the time, for ${longest.toFixed(1)} flights at most`);
      t.log(`${percent(all)} of the ideal speed, the last student ${percent(last)}; ${percent(twice)} computed twice`);
      neverIdle(t, cluster);
      t.true(idle < 0.02, `${idle} of the teachers' time`);
      t.true(all > 0.9, `${all} of the ideal speed`);
      t.true(last > 0.8, `${last} of the ideal speed`);
      t.true(twice < 0.05, `${twice} computed twice`);
    });
  }
}

test('one student uses each teacher as far as it is fast', (t) => {
  const options = { ...BASE, students: 1, teachers: [1, 2, 4], stepMs: 1, lanes: 4 };
  const cluster = new VirtualCluster(options);
  const tookMs = runWhole(t, cluster);
  const ideal = Math.max(...centralQueue(options));
  t.true(tookMs < ideal / 0.9, `${tookMs} ms, ideal ${ideal}`);
  neverIdle(t, cluster);
  const [slow, , fast] = cluster.teachers.map(({ computedSamples }) => computedSamples) as [number, number, number];
  t.true(fast > 2 * slow, `${slow} and ${fast} samples`);
});

test('a teacher whose first answer takes long is asked again as soon as it has come', (t) => {
  const options = { ...BASE, students: 2, teachers: [2, 2, 2], steps: 300, lanes: 4 };
  const cluster = new VirtualCluster(options);
  const cold = cluster.teachers[2] as VirtualTeacher;
  cold.hang(800);
  let before = 0;
  cluster.at(900, () => {
    before = cold.computedSamples;
  });
  runWhole(t, cluster);
  neverIdle(t, cluster);
  const all = options.students * options.steps * options.lanes * options.microBatch;
  const share = (cold.computedSamples - before) / all;
  t.true(share > 0.2, `${share} of all samples, after ${before}`);
});

for (const seed of SEEDS) {
  test(`teachers that die, hang, drain and join lose no batch, and the others are not idle, seed ${seed}`, (t) => {
    const random = createRandom(hashName('faults'), seed);
    const options = { ...BASE, students: 4, teachers: speeds(6, seed) };
    const cluster = new VirtualCluster(options);
    const [dies, hangs, drains, joins] = cluster.teachers as [
      VirtualTeacher,
      VirtualTeacher,
      VirtualTeacher,
      VirtualTeacher,
    ];
    for (const student of cluster.students) student.starts = cluster.teachers.filter((teacher) => teacher !== joins);
    const when = () => 5 + 60 * random.nextFloat();
    cluster.at(when(), () => dies.die());
    cluster.at(when(), () => hangs.hang(60_000));
    cluster.at(when(), () => {
      drains.drain();
      const left = cluster.teachers.filter((teacher) => teacher !== drains && teacher !== dies);
      for (const student of cluster.students) student.list(left);
    });
    const tookMs = runWhole(t, cluster);
    t.true(joins.computedSamples > 0, 'the one that joined has been asked');
    neverIdle(t, cluster);
    // What hangs is found out by its first batches, each of which is sent again once.
    t.true(tookMs < 30_000, `${tookMs} ms`);
  });
}

test('all that is sent to a single teacher that dies is answered when it is back in another place', (t) => {
  const options = { ...BASE, students: 2, teachers: [2, 2] };
  const cluster = new VirtualCluster(options);
  const [first, second] = cluster.teachers as [VirtualTeacher, VirtualTeacher];
  for (const student of cluster.students) student.starts = [first];
  cluster.at(40, () => first.die());
  cluster.at(400, () => {
    for (const student of cluster.students) student.list([second]);
  });
  t.true(runWhole(t, cluster) > 400);
  t.true(second.computedSamples > 0);
});

test('a clock that jumps changes nothing but what is due', (t) => {
  const options = { ...BASE, students: 4, teachers: speeds(5, 1) };
  const plain = new VirtualCluster(options);
  const plainMs = runWhole(t, plain);
  // Whatever the absolute time: cores only see differences.
  const shifted = new VirtualCluster({ ...options, clockOf: (trueMs) => trueMs + 2 ** 40 });
  const shiftedMs = runWhole(t, shifted);
  t.true(Math.abs(shiftedMs - plainMs) < 0.1 * plainMs);
  // A machine that slept for an hour sees it all at once.
  const slept = new VirtualCluster({ ...options, clockOf: (trueMs) => trueMs + (trueMs > 50 ? 3_600_000 : 0) });
  const sleptMs = runWhole(t, slept);
  t.true(sleptMs < 1.5 * plainMs, `${sleptMs} ms, without ${plainMs}`);
});
