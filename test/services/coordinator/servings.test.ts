/** Several teachers and teacher-workers: phases, who serves what, and what becomes of students when they come and go. */
import test from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import type { ErrorCode } from '../../../lib/base/errors.ts';
import type { ClusterView, ClusterWorker, JobEffect, TaskResult } from '../../../services/coordinator/job-events.ts';
import { FULL, Harness, LABELS, progressOf, type Started, shareOf, teacherShareOf, worker } from './job-harness.ts';

const GIVEN = 'teachers=[{name: big, arch: simple-cnn}, {name: theirs, from: {type: onnx, path: big.onnx}}]';
const CHAIN =
  'students=[{name: middle, arch: simple-cnn, assistant: true}, {name: left, arch: simple-cnn, classes: [a, b], teachers: [theirs, middle]}, {name: right, arch: simple-cnn, classes: [c, d]}]';

/** `FULL` with more workers, and some of them as they are then. */
function cluster(
  more: readonly ClusterWorker[] = [],
  changes: Record<string, Partial<ClusterWorker>> = {},
): ClusterView {
  const workers = [...FULL.workers, ...more].map((one) => ({ ...one, ...changes[one.id] }));
  return { ...FULL, workers: workers.sort((one, other) => (one.id < other.id ? -1 : 1)) };
}

const SECOND = worker('teacher-2', 'teacher');
const DRAINING = { 'teacher-1': { isDraining: true } };
const gone = (id: string, from = cluster([SECOND])): ClusterView => ({
  ...from,
  workers: from.workers.filter((one) => one.id !== id),
});

/** A job that distils its first student, whose teacher-workers load. */
function distilling(overrides: readonly string[] = [], view = cluster([SECOND])): Harness {
  const h = new Harness('', overrides);
  h.begin(view);
  while (h.phase?.kind !== 'DISTIL' && h.phase !== undefined) h.finishPhase();
  return h;
}

/** A job whose students train. */
function training(overrides: readonly string[] = [], view = cluster([SECOND])): Harness {
  const h = distilling(overrides, view);
  h.ready('serve-teacher', 0);
  h.ready('train-student');
  return h;
}

type Update = Extract<JobEffect, { kind: 'update-teachers' }>;
const updates = (h: Harness) => h.effects.filter((effect): effect is Update => effect.kind === 'update-teachers');
/** Whom the students were told of last, each. */
const told = (h: Harness) =>
  updates(h).map(({ workerId, teachers }) => [workerId, ...teachers.map((one) => one.workerId)]);
const servingOf = (h: Harness, workerId: string) => h.state.run?.servings.find((one) => one.workerId === workerId);
const stateOf = (h: Harness) => h.job.phases.find(({ kind }) => kind === 'DISTIL');

function failServing(h: Harness, workerId: string, code: ErrorCode, message: string): void {
  const taskId = servingOf(h, workerId)?.taskId ?? '';
  h.open.delete(workerId);
  h.send({ kind: 'failed', workerId, taskId, code, message, field: '' });
}

function lose(h: Harness, workerId: string, view: ClusterView): void {
  h.open.delete(workerId);
  h.send({ kind: 'worker-lost', workerId, reason: 'its stream ended' });
  const lost = updates(h);
  h.send({ kind: 'cluster', cluster: view });
  h.effects.push(...lost);
}

test('teachers that are trained and given, an assistant, and its student', (t) => {
  const h = new Harness('', [GIVEN, CHAIN, 'data.labelled=20', 'data.views.flip=false']);
  t.deepEqual(
    h.job.phases.slice(0, -2).map(({ kind, subject }) => `${kind} ${subject}`),
    [
      'TRAIN_TEACHER big',
      'EVALUATE_TEACHER theirs',
      'LABEL big',
      'LABEL theirs',
      'DISTIL middle',
      'DISTIL left',
      'CONTROL left',
      'DISTIL right',
      'CONTROL right',
    ],
  );
  h.begin();
  h.finishPhase();
  t.deepEqual(h.tasks('evaluate-teacher')[0]?.command, { kind: 'evaluate-teacher', teacher: 'theirs' });
  h.finishPhase();
  t.like(h.job.phases[1], { state: 'DONE', modelDigest: sha256('theirs'), accuracy: 0.5, evaluatedImages: 2 });
  t.like(h.tasks('label-images')[0]?.command, { teacher: 'big', answers: true });
  h.finishPhase();
  const theirs = { teacher: 'theirs', modelDigest: sha256('theirs') };
  t.deepEqual(h.tasks('label-images')[0]?.command, { kind: 'label-images', answers: false, ...theirs });
  h.finishPhase();

  const big = { teacher: 'big', modelDigest: sha256('teacher') };
  t.deepEqual(h.tasks('serve-teacher')[0]?.command, { kind: 'serve-teacher', teachers: [big, theirs] });
  h.ready('serve-teacher', 0);
  const endpoint = { workerId: 'teacher-1', address: 'teacher-1:1' };
  const teachers = [big, theirs].map((one) => ({ ...endpoint, ...one }));
  t.like(h.tasks('train-student')[0]?.command, {
    student: 'middle',
    taughtBy: [big, theirs],
    teachers,
    labelsDigest: LABELS,
  });
  h.finishPhase();
  t.like(h.job.phases[4], { state: 'DONE', modelDigest: sha256('middle') });

  const middle = { teacher: 'middle', modelDigest: sha256('middle') };
  t.deepEqual(h.tasks('serve-teacher')[0]?.command, { kind: 'serve-teacher', teachers: [theirs, middle] });
  t.deepEqual(h.tasks('train-student'), [], 'who served others before has to load its own first');
  h.ready('serve-teacher', 0);
  t.like(h.tasks('train-student')[0]?.command, { student: 'left', taughtBy: [theirs, middle] });
  h.finishPhase();
  t.is(h.phase?.kind, 'CONTROL');
  h.finishPhase();
  h.finishPhase();
  h.finishPhase();
  t.deepEqual(
    h.publication?.models.map(({ name }) => name),
    ['demo/left', 'demo/right'],
  );
  t.deepEqual(
    h.publication?.route.legs.map(({ specialist }) => specialist),
    ['left', 'right'],
  );
  h.serveRoute();
  h.finishPhase();
  t.is(h.job.state, 'SUCCEEDED', h.job.message);
});

test('a given teacher that says nothing of which model it is fails the job', (t) => {
  const h = new Harness('', [GIVEN]);
  h.begin();
  h.finishPhase();
  h.ready('evaluate-teacher', 0);
  h.done('evaluate-teacher', (_, result) => ({ ...result, modelDigest: '' }));
  t.is(h.job.message, 'evaluation of teacher theirs: worker teacher-1 ended without saying which model it is');
});

test('a job that only labels needs teacher-workers alone, and has their phases', (t) => {
  const h = new Harness('evaluate: { floors: { gain: 0.5, teacher: 0.5, route: 1 } }', [GIVEN], 'LABEL');
  t.deepEqual(
    h.job.phases.map(({ kind, subject }) => `${kind} ${subject}`),
    ['TRAIN_TEACHER big', 'EVALUATE_TEACHER theirs', 'LABEL big', 'LABEL theirs'],
  );
  h.begin({ workers: [], routers: [] });
  t.is(h.job.message, 'waits for 1 more teacher-worker (0 of 1 there)');
  h.send({ kind: 'cluster', cluster: { workers: [worker('teacher-1', 'teacher')], routers: [] } });
  for (let at = 0; at < 2; at++) h.finishPhase();
  t.like(h.tasks('label-images')[0]?.command, { teacher: 'big', answers: false });
  h.finishPhase();
  h.finishPhase();
  t.like(h.job, { state: 'SUCCEEDED', message: '' });
});

test('teacher-workers train a teacher together, on lanes dealt as to students', (t) => {
  const h = new Harness('', ['teachers[0].train={lanes: 4, workers: 2}']);
  h.begin();
  t.regex(h.job.message, /waits for 1 more teacher-worker \(1 of 2 there\)/);
  h.send({ kind: 'cluster', cluster: cluster([worker('teacher-2', 'teacher', 'other')]) });
  t.is(h.job.message, 'waits for 2 teacher-workers with the same engine; there are "other", "same"');
  h.send({
    kind: 'cluster',
    cluster: cluster([worker('teacher-2', 'teacher', 'other'), worker('teacher-3', 'teacher')]),
  });
  const members = [
    { workerId: 'teacher-1', firstLane: 0, lanes: 2 },
    { workerId: 'teacher-3', firstLane: 2, lanes: 2 },
  ];
  const view = { number: 1, members };
  t.deepEqual(
    h.tasks('train-teacher').map(({ workerId, command }) => [workerId, command]),
    members.map(({ workerId }) => [workerId, { kind: 'train-teacher', teacher: 'big', view }]),
  );
  h.ready('train-teacher');
  const disagree = (_: string, result: TaskResult): TaskResult => {
    const share = result.last?.share;
    if (result.last === undefined || share?.workerId !== 'teacher-3') return result;
    return { ...result, last: { ...result.last, share: { ...share, weightsDigest: 'v' } } };
  };
  h.done('train-teacher', disagree);
  t.regex(h.job.message, /^training of teacher big: workers ended with different weights: teacher-1: w, teacher-3: v$/);
});

test('workers that have stopped early together are as good as others, with the best epoch', (t) => {
  const ended = (stopped: boolean[], steps: number[]) => {
    const h = training();
    const [first] = h.tasks('train-student') as [Started];
    const early = { stoppedEarly: true, bestEpoch: 1, bestAccuracy: 0.625 };
    const share = { ...shareOf(first.workerId, 0, 2), stepsCommitted: 6 };
    h.send({
      kind: 'progress',
      workerId: first.workerId,
      taskId: first.taskId,
      progress: { ...progressOf(6, 1, share), ...early },
    });
    t.like(h.phase, early);
    h.done('train-student', (workerId, result) => {
      const at = workerId === 'student-1' ? 0 : 1;
      const last = result.last as NonNullable<typeof result.last>;
      const own = { ...(last.share as NonNullable<typeof last.share>), stepsCommitted: steps[at] as number };
      return { ...result, last: { ...last, ...early, step: 6, stoppedEarly: stopped[at] as boolean, share: own } };
    });
    return h;
  };
  t.like(stateOf(ended([true, true], [6, 6])), {
    state: 'DONE',
    step: 6,
    stepsTotal: 10,
    stoppedEarly: true,
    bestEpoch: 1,
  });
  t.regex(ended([true, false], [6, 6]).job.message, /committed other than 10 steps: student-1: 6, student-2: 6$/);
  t.regex(ended([true, true], [6, 7]).job.message, /committed other than 10 steps: student-1: 6, student-2: 7$/);
  t.regex(ended([true, true], [0, 0]).job.message, /committed other than 10 steps/);
});

test('all teacher-workers serve, of one engine where the job is reproducible', (t) => {
  const view = cluster([SECOND, worker('teacher-3', 'teacher', 'other')]);
  const serving = (h: Harness) => h.tasks('serve-teacher').map(({ workerId }) => workerId);
  t.deepEqual(serving(distilling([], view)), ['teacher-1', 'teacher-2']);
  t.deepEqual(serving(distilling(['averaging.reproducible=false'], view)), ['teacher-1', 'teacher-2', 'teacher-3']);
  const h = distilling([], view);
  const others = view.workers.filter(({ role, fingerprint }) => role !== 'teacher' || fingerprint === 'other');
  h.send({ kind: 'cluster', cluster: { ...view, workers: others } });
  t.regex(h.job.message, /waits for 1 more teacher-worker \(0 of 1 there, and 1 that cannot be taken\)/);
});

test('students begin with the first teacher-worker that is ready, and are told of those that come later', (t) => {
  const h = distilling();
  const [first, second] = h.tasks('serve-teacher') as [Started, Started];
  h.send({ kind: 'ready', notice: '', workerId: second.workerId, taskId: second.taskId, parameters: 5, stepsTotal: 0 });
  const endpoint = (id: string) => ({
    workerId: id,
    address: `${id}:1`,
    teacher: 'big',
    modelDigest: sha256('teacher'),
  });
  const [student] = h.tasks('train-student') as [Started];
  t.like(student.command, { teachers: [endpoint('teacher-2')] });
  t.is(updates(h).length, 0);
  h.send({ kind: 'ready', notice: '', workerId: first.workerId, taskId: first.taskId, parameters: 5, stepsTotal: 0 });
  t.deepEqual(updates(h)[0], {
    kind: 'update-teachers',
    workerId: 'student-1',
    taskId: student.taskId,
    teachers: [endpoint('teacher-1'), endpoint('teacher-2')],
  });
  h.ready('train-student');
  h.send({ kind: 'tick' });
  t.is(updates(h).length, 0, 'nothing has changed');
  h.send({ kind: 'cluster', cluster: cluster([SECOND, worker('teacher-3', 'teacher')]) });
  const [third] = h.tasks('serve-teacher').filter(({ workerId }) => workerId === 'teacher-3') as [Started];
  t.is(updates(h).length, 0, 'it has to load first');
  h.send({ kind: 'ready', notice: '', workerId: third.workerId, taskId: third.taskId, parameters: 5, stepsTotal: 0 });
  t.deepEqual(told(h), [
    ['student-1', 'teacher-1', 'teacher-2', 'teacher-3'],
    ['student-2', 'teacher-1', 'teacher-2', 'teacher-3'],
  ]);
});

test('a teacher-worker that is lost while a student is distilled fails nothing, and is used again when it comes back', (t) => {
  const h = training();
  lose(h, 'teacher-1', gone('teacher-1'));
  t.deepEqual(told(h), [
    ['student-1', 'teacher-2'],
    ['student-2', 'teacher-2'],
  ]);
  lose(h, 'teacher-2', gone('teacher-2', gone('teacher-1')));
  t.deepEqual(told(h), [['student-1'], ['student-2']]);
  t.is(h.job.state, 'RUNNING');
  t.like(h.phase, { advice: 'no teacher-worker answers the students: start one', teachersWanted: 1 });
  h.nowMs += 600_000;
  h.send({ kind: 'tick' });
  t.is(h.job.state, 'RUNNING', 'students decide for how long they do without');
  h.send({ kind: 'cluster', cluster: gone('teacher-1') });
  h.ready('serve-teacher', 0);
  t.deepEqual(told(h), [
    ['student-1', 'teacher-2'],
    ['student-2', 'teacher-2'],
  ]);
  t.like(h.phase, { advice: '', teachersWanted: 0 });
  h.done('train-student');
  t.is(stateOf(h)?.state, 'DONE');
});

test('a student that loads while there is no teacher has all the time that it wants', (t) => {
  const h = distilling([], cluster());
  h.ready('serve-teacher', 0);
  lose(h, 'teacher-1', gone('teacher-1', cluster()));
  h.nowMs += 300_000;
  h.send({ kind: 'tick' });
  t.is(h.job.state, 'RUNNING');
  h.send({ kind: 'cluster', cluster: cluster() });
  h.ready('serve-teacher', 0);
  h.nowMs += 120_001;
  h.send({ kind: 'tick' });
  t.regex(h.job.message, /workers student-1, student-2 were not ready within 120 seconds/);
});

test('a teacher-worker that drains finishes what it has, and gets nothing new', (t) => {
  const h = training();
  h.send({ kind: 'cluster', cluster: cluster([SECOND], DRAINING) });
  t.deepEqual(told(h), [
    ['student-1', 'teacher-2'],
    ['student-2', 'teacher-2'],
  ]);
  t.false(h.effects.some(({ kind }) => kind === 'cancel-task'));
  const taskId = servingOf(h, 'teacher-1')?.taskId as string;
  const last = {
    ...progressOf(0, 0, shareOf('teacher-1', 0, 0)),
    share: undefined,
    teachers: [teacherShareOf('teacher-1', 'big', 30, 500)],
  };
  h.send({ kind: 'progress', workerId: 'teacher-1', taskId, progress: last });
  t.like(h.phase?.teachers[0], { workerId: 'teacher-1', samplesServed: 30 }, 'its last answers count');
  lose(h, 'teacher-1', gone('teacher-1'));
  t.is(updates(h).length, 0);
  h.done('train-student');
  t.is(h.phase?.kind, 'CONTROL');
  h.send({ kind: 'cluster', cluster: cluster([SECOND], { ...DRAINING, 'teacher-2': { isDraining: true } }) });
  h.finishPhase();
  t.regex(h.job.message, /waits for 1 more teacher-worker \(0 of 1 there\)/, 'both drain');
});

test('a worker that cannot serve is left out with the reason, and the job fails when there is no other', (t) => {
  const h = distilling();
  failServing(h, 'teacher-1', 'INTERNAL', 'no such file');
  t.is(h.phase?.notice, 'without worker teacher-1: it failed: no such file');
  h.nowMs += 10_000;
  h.send({ kind: 'tick' });
  t.is(servingOf(h, 'teacher-1'), undefined);
  h.ready('serve-teacher', 0);
  h.ready('train-student');
  h.done('train-student');
  h.finishPhase();
  t.like(h.phase, { subject: 'right', notice: 'without worker teacher-1: it failed: no such file' });
  const none = distilling();
  failServing(none, 'teacher-1', 'INTERNAL', 'no such file');
  failServing(none, 'teacher-2', 'INTERNAL', 'out of memory');
  t.is(
    none.job.message,
    'distillation of student left: no teacher-worker can serve: worker teacher-1 failed: no such file; worker teacher-2 failed: out of memory',
  );
  const again = distilling();
  failServing(again, 'teacher-1', 'INTERNAL', 'no such file');
  lose(again, 'teacher-1', gone('teacher-1'));
  again.send({ kind: 'cluster', cluster: cluster([SECOND]) });
  t.not(servingOf(again, 'teacher-1'), undefined, 'another process of that name has another chance');
});

const STORED = 'data.views.flip=false';

for (const overrides of [[STORED], ['distill.withoutTeachers=wait'], ['distill.withoutTeachers=fail']]) {
  for (const stage of ['loading', 'running']) {
    test(`students that are ${stage} decide what to do without teachers, with ${overrides.join()}`, (t) => {
      const h = distilling(overrides, cluster());
      h.ready('serve-teacher', 0);
      if (stage === 'running') h.ready('train-student');
      lose(h, 'teacher-1', gone('teacher-1', cluster()));
      h.send({ kind: 'cluster', cluster: gone('teacher-1') });
      failServing(h, 'teacher-2', 'NOT_FOUND', 'no such artefact');
      t.like(h.phase, { subject: 'left', notice: 'without worker teacher-2: it failed: no such artefact' });
      h.send({ kind: 'cluster', cluster: cluster() });
      failServing(h, 'teacher-1', 'NOT_FOUND', 'no such artefact either');
      t.is(h.job.state, 'RUNNING', h.job.message);
      if (stage === 'loading') h.ready('train-student');
      h.done('train-student');
      t.is(stateOf(h)?.state, 'DONE');
    });
  }
}

test('students are told that the one who served them has failed, and go on', (t) => {
  const h = training([], cluster());
  failServing(h, 'teacher-1', 'DATA_LOSS', 'the artefact is damaged');
  t.deepEqual(told(h), [['student-1'], ['student-2']]);
  t.like(h.phase, { state: 'RUNNING', notice: 'without worker teacher-1: it failed: the artefact is damaged' });
});

test('where students may do with what is stored, a phase begins although nobody can serve', (t) => {
  const h = distilling([STORED], cluster());
  failServing(h, 'teacher-1', 'NOT_FOUND', 'no such artefact');
  t.is(h.job.state, 'RUNNING', h.job.message);
  h.nowMs += 5_000;
  h.send({ kind: 'tick' });
  t.like(h.tasks('train-student')[0]?.command, { student: 'left', teachers: [] });
  t.is(h.phase?.notice, 'without worker teacher-1: it failed: no such artefact');
  const late = distilling([STORED], cluster());
  late.nowMs += 120_001;
  late.send({ kind: 'tick' });
  late.nowMs += 5_000;
  late.send({ kind: 'tick' });
  t.is(late.tasks('train-student').length, 2, 'and where one does not get ready');
});

test('a worker that was lost is asked nothing before the news of who is left', (t) => {
  const h = training();
  h.open.delete('teacher-1');
  h.send({ kind: 'worker-lost', workerId: 'teacher-1', reason: 'its stream ended' });
  t.false(h.effects.some((effect) => effect.kind === 'start-task'));
  t.is(servingOf(h, 'teacher-1'), undefined);
});

for (const code of ['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'RESOURCE_EXHAUSTED', 'ABORTED'] as const) {
  test(`a worker that cannot load a teacher tries again after longer and longer: ${code}`, (t) => {
    const h = distilling();
    h.send({ kind: 'cluster', cluster: cluster([SECOND]) });
    const [, second] = h.tasks('serve-teacher') as [Started, Started];
    h.send({ kind: 'ready', notice: '', workerId: 'teacher-2', taskId: second.taskId, parameters: 5, stepsTotal: 0 });
    h.ready('train-student');
    const pauses = () => {
      const all: number[] = [];
      for (let failures = 0; failures < 6; failures++) {
        failServing(h, 'teacher-1', code, 'later');
        const sinceMs = h.nowMs;
        while (servingOf(h, 'teacher-1') === undefined && h.nowMs < sinceMs + 60_000) {
          h.nowMs += 1_000;
          h.send({ kind: 'tick' });
        }
        all.push(h.nowMs - sinceMs);
      }
      return all;
    };
    t.deepEqual(pauses(), [2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    t.is(h.phase?.notice, '');
    h.ready('serve-teacher', 0);
    t.deepEqual(told(h).at(-1), ['student-2', 'teacher-1', 'teacher-2']);
    t.is(pauses()[0], 2_000, 'once it has served, it starts anew');
  });
}

test('a lost connection, or a serving that ends, is tried again', (t) => {
  const h = training();
  failServing(h, 'teacher-1', 'UNAVAILABLE', 'NATS is gone');
  t.deepEqual(told(h)[0], ['student-1', 'teacher-2']);
  t.is(h.phase?.notice, '');
  h.send({ kind: 'tick' });
  t.is(servingOf(h, 'teacher-1'), undefined);
  h.nowMs += 2_000;
  h.send({ kind: 'tick' });
  h.ready('serve-teacher', 0);
  t.deepEqual(told(h).at(-1), ['student-2', 'teacher-1', 'teacher-2']);
  h.done('serve-teacher');
  t.is(h.state.run?.servings.length, 0);
  h.nowMs += 2_000;
  h.send({ kind: 'tick' });
  t.is(h.state.run?.servings.length, 2);
  const never = distilling(['distill.withoutTeachers=wait'], cluster());
  for (let tries = 0; never.job.state === 'RUNNING' && tries < 100; tries++) {
    if (servingOf(never, 'teacher-1') !== undefined) failServing(never, 'teacher-1', 'UNAVAILABLE', 'NATS is gone');
    never.nowMs += 2_000;
    never.send({ kind: 'tick' });
  }
  t.regex(
    never.job.message,
    /left: no teacher-worker could serve within 120 seconds: worker teacher-1 failed: NATS is gone$/,
  );
});

// What the job says of being without teachers, and whether its student begins without any.
const WITHOUT: [string[], boolean][] = [
  [['data.views.flip=false'], true],
  [['data.views={flip: true, cycle: 3}'], true],
  [[], false],
  [['data.views.flip=false', 'distill.cache.mode=off'], false],
  [['data.views.flip=false', 'distill.withoutTeachers=wait'], false],
  [['data.views.flip=false', 'distill.withoutTeachers=fail'], false],
];

for (const [overrides, begins] of WITHOUT) {
  test(`without a teacher-worker a student ${begins ? 'begins' : 'waits'} with ${overrides.join(' ') || 'defaults'}`, (t) => {
    const h = distilling(overrides, cluster());
    lose(h, 'teacher-1', gone('teacher-1', cluster()));
    t.regex(h.job.message, /waits for 1 more teacher-worker/);
    h.nowMs += 4_999;
    h.send({ kind: 'tick' });
    t.deepEqual(h.tasks('train-student'), []);
    h.nowMs += 1;
    h.send({ kind: 'tick' });
    t.is(h.tasks('train-student').length, begins ? 2 : 0);
    if (begins) {
      t.like(h.tasks('train-student')[0]?.command, { teachers: [], taughtBy: [{ teacher: 'big' }] });
      h.send({ kind: 'cluster', cluster: cluster() });
      h.ready('serve-teacher', 0);
      t.is(told(h).length, 2);
    } else {
      h.nowMs += 60_000;
      h.send({ kind: 'tick' });
      t.regex(h.job.message, /after 60 seconds \(limits\.workerWaitSeconds\) it still waits for 1 more teacher-worker/);
    }
  });
}

test('what teachers did counts for the phase in which they did it, whoever comes and goes', (t) => {
  const h = training();
  const report = (workerId: string, samples: number, servingMs: number) => {
    const taskId = servingOf(h, workerId)?.taskId as string;
    const progress = { ...progressOf(0, 0, shareOf(workerId, 0, 0)), share: undefined };
    const teachers = [teacherShareOf(workerId, 'big', samples, servingMs)];
    h.send({ kind: 'progress', workerId, taskId, progress: { ...progress, teachers } });
  };
  const served = (index: number) =>
    h.job.phases[index]?.teachers.map(({ workerId, samplesServed, servingMs }) => [workerId, samplesServed, servingMs]);
  t.deepEqual(served(1), [
    ['teacher-1', 0, 0],
    ['teacher-2', 0, 0],
  ]);
  h.nowMs += 300;
  report('teacher-1', 10, 100);
  report('teacher-2', 5, 90);
  h.nowMs += 200;
  report('teacher-1', 30, 300);
  t.deepEqual(served(1), [
    ['teacher-1', 30, 500],
    ['teacher-2', 5, 500],
  ]);
  lose(h, 'teacher-1', gone('teacher-1'));
  t.like(h.job.phases[1]?.teachers[0], { samplesServed: 30, samplesQueued: 0, bytesSent: 120 });
  h.nowMs += 1_000;
  h.send({ kind: 'cluster', cluster: cluster([SECOND]) });
  h.ready('serve-teacher', 0);
  h.nowMs += 50;
  report('teacher-1', 7, 50);
  t.deepEqual(
    served(1),
    [
      ['teacher-1', 37, 550],
      ['teacher-2', 5, 1_550],
    ],
    'it has begun anew',
  );
  h.done('train-student');
  t.is(h.phase?.kind, 'CONTROL');
  h.nowMs += 80;
  report('teacher-1', 9, 130);
  t.deepEqual(served(1)?.[0], ['teacher-1', 39, 550], 'late, and idle since');
  h.finishPhase();
  t.deepEqual(served(3), []);
  h.ready('train-student');
  h.nowMs += 1_000;
  report('teacher-1', 19, 9_130);
  t.deepEqual(served(3)?.[0], ['teacher-1', 10, 1_000]);
  t.deepEqual(served(1)?.[0], ['teacher-1', 39, 550]);
  const stranger = servingOf(h, 'teacher-1')?.taskId as string;
  const progress = { ...progressOf(0, 0, shareOf('teacher-1', 0, 0)), share: undefined };
  h.send({
    kind: 'progress',
    workerId: 'teacher-1',
    taskId: stranger,
    progress: { ...progress, teachers: [teacherShareOf('teacher-2', 'big', 99, 99)] },
  });
  t.is(h.effects[0]?.kind, 'warn');
  const { revision } = h.job;
  h.nowMs += 250;
  h.send({ kind: 'tick' });
  t.is(h.job.revision, revision, 'time alone is no news');
});

/** What a serving says of a teacher, as another one may have taken its place. */
function tell(h: Harness, taskId: string, workerId: string, teacher: string, samples: number): void {
  const progress = { ...progressOf(0, 0, shareOf(workerId, 0, 0)), share: undefined };
  const teachers = [teacherShareOf(workerId, teacher, samples, samples)];
  h.send({ kind: 'progress', workerId, taskId, progress: { ...progress, teachers } });
}

/** Of the distillation of a student: who has served how much. */
const served = (h: Harness, subject: string) =>
  h.job.phases
    .find((phase) => phase.kind === 'DISTIL' && phase.subject === subject)
    ?.teachers.map(({ teacher, samplesServed, samplesQueued }) => [teacher, samplesServed, samplesQueued]);

test('in a chain, a share counts for the phase whose student learns from that teacher, and for which the serving is', (t) => {
  const chain =
    'students=[{name: middle, arch: simple-cnn, assistant: true, teachers: [big]}, {name: left, arch: simple-cnn, classes: [a, b], teachers: [big, middle]}, {name: right, arch: simple-cnn, classes: [c, d], teachers: [big]}]';
  const h = training([chain, 'evaluate.control=false'], cluster());
  const first = servingOf(h, 'teacher-1')?.taskId as string;
  tell(h, first, 'teacher-1', 'big', 40);
  t.deepEqual(served(h, 'middle'), [['big', 40, 1]]);
  h.done('train-student');
  const second = servingOf(h, 'teacher-1')?.taskId as string;
  t.not(second, first);
  tell(h, first, 'teacher-1', 'big', 64);
  t.deepEqual(served(h, 'middle'), [['big', 64, 0]], 'its last words, although another serving has taken its place');
  h.ready('serve-teacher', 0);
  tell(h, second, 'teacher-1', 'middle', 0);
  tell(h, second, 'teacher-1', 'big', 8);
  t.deepEqual(served(h, 'middle'), [['big', 64, 0]], 'nobody learns from itself, or from who serves the next');
  h.ready('train-student');
  tell(h, second, 'teacher-1', 'middle', 16);
  tell(h, second, 'teacher-1', 'big', 16);
  t.deepEqual(served(h, 'left'), [
    ['big', 16, 1],
    ['middle', 16, 1],
  ]);
  h.done('train-student');
  h.ready('serve-teacher', 0);
  h.ready('train-student');
  tell(h, second, 'teacher-1', 'middle', 20);
  t.deepEqual(served(h, 'left')?.[1], ['middle', 20, 0], 'the next student does not learn from it');
  t.deepEqual(served(h, 'right'), [['big', 0, 0]]);
  t.deepEqual(served(h, 'middle'), [['big', 64, 0]]);
});

test('a job ends when teachers have said their last words, after a second at most', (t) => {
  const h = training(['evaluate.control=false', 'evaluate.routeImages=0', 'students[1].teachers=[big]'], cluster());
  h.done('train-student');
  h.ready('serve-teacher', 0);
  h.ready('train-student');
  const taskId = servingOf(h, 'teacher-1')?.taskId as string;
  tell(h, taskId, 'teacher-1', 'big', 96);
  h.done('train-student');
  const endedMs = h.nowMs;
  t.is(h.phase?.kind, 'PUBLISH');
  h.serveRoute();
  t.like(h.job, { state: 'RUNNING' });
  t.is(h.phase, undefined);
  h.nowMs += 500;
  tell(h, taskId, 'teacher-1', 'big', 192);
  t.deepEqual(served(h, 'right'), [['big', 192, 0]]);
  h.nowMs = endedMs + 999;
  h.send({ kind: 'tick' });
  t.is(h.job.state, 'RUNNING');
  h.nowMs += 1;
  h.send({ kind: 'tick' });
  t.is(h.job.state, 'SUCCEEDED', h.job.message);
  t.is(h.tasks('serve-teacher').length, 0);
});

test('a teacher-worker that fails or goes after the last phase has the job end well at once', (t) => {
  for (const ends of ['fails', 'goes']) {
    const h = distilling(['evaluate.control=false', 'evaluate.routeImages=0'], cluster());
    h.finishPhase();
    h.ready('train-student');
    h.done('train-student');
    h.serveRoute();
    t.is(h.job.state, 'RUNNING');
    if (ends === 'fails') failServing(h, 'teacher-1', 'DATA_LOSS', 'the artefact is damaged');
    else lose(h, 'teacher-1', gone('teacher-1', cluster()));
    t.is(h.job.state, 'SUCCEEDED', h.job.message);
  }
});

test('students that wait for busy teachers lead to advice in the phase', (t) => {
  const h = training([], cluster());
  const taskId = servingOf(h, 'teacher-1')?.taskId as string;
  const students = h.tasks('train-student');
  for (let step = 1; step <= 8; step++) {
    h.nowMs += 1_000;
    const teachers = [{ ...teacherShareOf('teacher-1', 'big', step * 100, step * 1_000), computeMs: step * 1_000 }];
    const served = { ...progressOf(0, 0, shareOf('teacher-1', 0, 0)), share: undefined, teachers };
    h.send({ kind: 'progress', workerId: 'teacher-1', taskId, progress: served });
    for (const { workerId, taskId: own } of students) {
      const lane = workerId === 'student-1' ? 0 : 2;
      const share = { ...shareOf(workerId, lane, 2), samplesCommitted: step * 50, teacherWaitMs: step * 500 };
      h.send({ kind: 'progress', workerId, taskId: own, progress: progressOf(step, 1, share) });
    }
  }
  t.like(h.phase, {
    advice: 'students wait for logits for 50 % of their time and the teachers are 100 % busy: add 1 teacher-worker',
    teachersWanted: 2,
  });
});
