/** Phases of teacher-workers that begin again when one of those goes. */
import test from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import type { ClusterView, ClusterWorker } from '../../../services/coordinator/job-events.ts';
import type { PhaseName } from '../../../services/coordinator/job-record.ts';
import { FULL, Harness, LABELS, progressOf, resultOf, type Started, shareOf, worker } from './job-harness.ts';

type Kind = Started['command']['kind'];

const JOB = [
  'teachers=[{name: big, arch: simple-cnn}, {name: theirs, from: {type: onnx, path: big.onnx}}]',
  'data.labelled=20',
];
const TEACHERS = ['teacher-1', 'teacher-2', 'teacher-3'];

/** `FULL` with these teacher-workers. */
function cluster(ids: readonly string[] = TEACHERS, draining: readonly string[] = []): ClusterView {
  const others = FULL.workers.filter(({ role }) => role !== 'teacher');
  const teachers = ids.map((id): ClusterWorker => ({ ...worker(id, 'teacher'), isDraining: draining.includes(id) }));
  return { ...FULL, workers: [...others, ...teachers] };
}

/** A job at the phase of this kind, its task begun. */
function at(phase: PhaseName, kind: Kind, overrides: readonly string[] = []): Harness {
  const h = new Harness('', [...JOB, ...overrides]);
  h.begin(cluster());
  while (h.phase !== undefined && h.phase.kind !== phase) h.finishPhase();
  h.ready(kind);
  return h;
}

const workersOf = (h: Harness, kind: Kind) => h.tasks(kind).map(({ workerId }) => workerId);
const cancelled = (h: Harness) =>
  h.effects.flatMap((effect) => (effect.kind === 'cancel-task' ? [`${effect.workerId} ${effect.taskId}`] : []));

function lose(h: Harness, workerId: string): void {
  h.open.delete(workerId);
  h.send({ kind: 'worker-lost', workerId, reason: 'its stream ended' });
}

// The phase, its task, how often it begins again, and what is said of that.
const PHASES: [PhaseName, Kind, number, string][] = [
  ['LABEL', 'label-images', 5, 'another worker goes on with the labels, from those that are stored'],
  ['EVALUATE_TEACHER', 'evaluate-teacher', 5, 'the evaluation starts again'],
  [
    'TRAIN_TEACHER',
    'train-teacher',
    2,
    'training starts again from its beginning, because it cannot go on from a checkpoint yet',
  ],
];

for (const [phase, kind, atMost, what] of PHASES) {
  test(`${phase}: a worker that is lost costs the job nothing but time`, (t) => {
    const h = at(phase, kind);
    const [old] = h.tasks(kind) as [Started];
    h.nowMs += 10_000;
    const share = { ...shareOf('teacher-1', 0, 1), samplesCommitted: 40 };
    const progress = { ...progressOf(4, 1, share), checkpointDigest: sha256('half'), checkpointEpoch: 1 };
    h.send({ kind: 'progress', workerId: 'teacher-1', taskId: old.taskId, progress });
    lose(h, 'teacher-1');
    t.is(h.job.state, 'RUNNING', h.job.message);
    t.deepEqual(workersOf(h, kind), ['teacher-2'], 'at once, and not the one that has gone');
    t.is(h.phase?.notice, `worker teacher-1 was lost: its stream ended: ${what} (1 of at most ${atMost} times)`);
    t.like(h.phase, { kind: phase, state: 'RUNNING', step: 0, loss: 0, checkpointDigest: sha256('half') });
    t.deepEqual(
      h.phase?.workers.map(({ workerId, samplesCommitted }) => [workerId, samplesCommitted]),
      [['teacher-2', 0]],
    );
    h.send({ kind: 'cluster', cluster: cluster(['teacher-2', 'teacher-3']) });

    const before = h.job;
    const { workerId, taskId } = old;
    h.send({ kind: 'ready', notice: 'late', workerId, taskId, parameters: 5, stepsTotal: 10 });
    h.send({ kind: 'progress', workerId, taskId, progress });
    h.send({ kind: 'failed', workerId, taskId, code: 'INTERNAL', message: 'late', field: '' });
    h.send({ kind: 'done', workerId, taskId, result: resultOf(old, true, h.state.spec) });
    t.is(h.job, before, 'what is still said of the old task does not count');
    t.false(h.effects.some((effect) => effect.kind === 'begin-task'));

    h.ready(kind);
    h.done(kind);
    t.like(
      h.job.phases.find((one) => one.kind === phase),
      { state: 'DONE', seconds: 10 },
    );
    if (phase === 'LABEL') t.is(h.state.run?.labelsDigest, LABELS);
    while (h.phase !== undefined && h.phase.kind !== 'DISTIL') h.finishPhase();
    t.is(h.phase?.kind, 'DISTIL', h.job.message);
  });

  test(`${phase}: the work of a worker that drains goes to another one`, (t) => {
    const h = at(phase, kind);
    const [{ taskId }] = h.tasks(kind) as [Started];
    h.send({ kind: 'cluster', cluster: cluster(TEACHERS, ['teacher-1']) });
    t.deepEqual(cancelled(h), [`teacher-1 ${taskId}`]);
    t.deepEqual(workersOf(h, kind), ['teacher-2']);
    t.is(h.phase?.notice, `worker teacher-1 drains: ${what} (1 of at most ${atMost} times)`);
    lose(h, 'teacher-1');
    t.deepEqual(workersOf(h, kind), ['teacher-2'], 'it has nothing to do with the phase any more');
    h.send({ kind: 'cluster', cluster: cluster(['teacher-2'], ['teacher-2']) });
    t.regex(h.job.message, /^waits for 1 more teacher-worker \(0 of 1 there\)$/);
    h.send({ kind: 'cluster', cluster: cluster(['teacher-2', 'teacher-3'], ['teacher-2']) });
    t.deepEqual(workersOf(h, kind), ['teacher-3']);
    h.nowMs += 60_001;
    h.send({ kind: 'tick' });
    t.is(h.job.state, 'RUNNING', 'it waits no longer');
  });

  test(`${phase}: it begins again ${atMost} times, then the job fails`, (t) => {
    const h = at(phase, kind);
    for (let times = 1; times <= atMost; times++) {
      lose(h, workersOf(h, kind)[0] as string);
      h.send({ kind: 'cluster', cluster: cluster() });
      t.true(h.phase?.notice.endsWith(`(${times} of at most ${atMost} times)`));
    }
    const [last] = workersOf(h, kind) as [string];
    h.send({ kind: 'cluster', cluster: cluster(TEACHERS, [last]) });
    t.deepEqual(workersOf(h, kind), [last], 'one that drains may end in time');
    lose(h, last);
    t.regex(
      h.job.message,
      new RegExp(`: worker ${last} was lost: its stream ended, after the phase had started again ${atMost} times$`),
    );
  });
}

test('every phase may begin again as often as the others', (t) => {
  const h = at('TRAIN_TEACHER', 'train-teacher');
  for (let times = 0; times < 2; times++) {
    lose(h, workersOf(h, 'train-teacher')[0] as string);
    h.send({ kind: 'cluster', cluster: cluster() });
  }
  h.finishPhase();
  t.is(h.phase?.kind, 'EVALUATE_TEACHER');
  t.is(h.phase?.notice, '');
  lose(h, workersOf(h, 'evaluate-teacher')[0] as string);
  t.regex(h.phase?.notice ?? '', /\(1 of at most 5 times\)$/);
});

test('a teacher that workers train together is trained anew by all of them, in a view of its own', (t) => {
  const h = at('TRAIN_TEACHER', 'train-teacher', ['teachers[0].train={lanes: 4, workers: 2}']);
  const [, second] = h.tasks('train-teacher') as [Started, Started];
  const { workerId, taskId } = second;
  h.send({ kind: 'failed', workerId, taskId, code: 'UNAVAILABLE', message: 'no answer', field: '' });
  lose(h, 'teacher-1');
  t.true(cancelled(h).includes(`teacher-2 ${taskId}`));
  const members = [
    { workerId: 'teacher-2', firstLane: 0, lanes: 2 },
    { workerId: 'teacher-3', firstLane: 2, lanes: 2 },
  ];
  t.deepEqual(
    h.tasks('train-teacher').map(({ command }) => command),
    members.map(() => ({ kind: 'train-teacher', teacher: 'big', view: { number: 2, members } })),
  );
  h.nowMs += 1_000;
  h.send({ kind: 'tick' });
  t.is(h.job.state, 'RUNNING', 'what the other one missed was the one that was lost');
  h.ready('train-teacher');
  h.done('train-teacher');
  t.like(h.job.phases[0], { state: 'DONE', step: 10, modelDigest: sha256('teacher') });
});

test('members that go together count once', (t) => {
  const h = at('TRAIN_TEACHER', 'train-teacher', ['teachers[0].train={lanes: 4, workers: 2}']);
  h.send({ kind: 'cluster', cluster: cluster(['teacher-3']) });
  t.is(h.state.run?.restarts, 1);
  t.is(h.job.message, 'waits for 1 more teacher-worker (1 of 2 there)');
});

test('only a job that starts needs everybody: a phase that begins again needs its own', (t) => {
  const h = at('TRAIN_TEACHER', 'train-teacher');
  h.send({ kind: 'cluster', cluster: cluster(['teacher-1']) });
  lose(h, 'teacher-1');
  h.send({ kind: 'cluster', cluster: { workers: [worker('teacher-2', 'teacher')], routers: [] } });
  t.deepEqual(workersOf(h, 'train-teacher'), ['teacher-2']);
  t.is(h.job.message, 'training of teacher big');
});
