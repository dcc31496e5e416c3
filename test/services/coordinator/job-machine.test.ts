import test from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import type { ShareRecord } from '../../../services/coordinator/job-record.ts';
import {
  CLASS_NAMES,
  FULL,
  Harness,
  progressOf,
  resultOf,
  type Started,
  shareOf,
  without,
  withRoute,
  worker,
} from './job-harness.ts';

test('the happy path: phases in order, tasks as they should be, everything told', (t) => {
  const h = new Harness();
  t.deepEqual(
    h.job.phases.map(({ kind, subject }) => `${kind} ${subject}`),
    [
      'TRAIN_TEACHER big',
      'DISTIL left',
      'CONTROL left',
      'DISTIL right',
      'CONTROL right',
      'PUBLISH demo',
      'EVALUATE_ROUTE demo',
    ],
  );
  h.begin();
  t.is(h.job.state, 'RUNNING');
  t.deepEqual(
    h.tasks('train-teacher').map(({ workerId }) => workerId),
    ['teacher-1'],
  );
  h.finishPhase();
  t.like(h.job.phases[0], { state: 'DONE', modelDigest: sha256('teacher'), accuracy: 0.5, step: 10, parameters: 5 });

  const [serving] = h.tasks('serve-teacher');
  const taught = { teacher: 'big', modelDigest: sha256('teacher') };
  t.deepEqual(serving?.command, { kind: 'serve-teacher', teachers: [taught] });
  t.deepEqual(h.tasks('train-student'), []);
  h.ready('serve-teacher', 0);
  const students = h.tasks('train-student');
  t.deepEqual(
    students.map(({ workerId }) => workerId),
    ['student-1', 'student-2'],
  );
  const view = {
    number: 2,
    members: [
      { workerId: 'student-1', firstLane: 0, lanes: 2 },
      { workerId: 'student-2', firstLane: 2, lanes: 2 },
    ],
  };
  const teachers = [{ workerId: 'teacher-1', address: 'teacher-1:1', ...taught }];
  const taughtBy = [taught];
  for (const { command } of students)
    t.deepEqual(command, {
      kind: 'train-student',
      student: 'left',
      control: false,
      view,
      taughtBy,
      teachers,
      labelsDigest: '',
    });

  const [first, second] = students as [Started, Started];
  h.send({ kind: 'ready', notice: '', workerId: first.workerId, taskId: first.taskId, parameters: 5, stepsTotal: 10 });
  t.false(h.effects.some(({ kind }) => kind === 'begin-task'));
  h.send({
    kind: 'ready',
    notice: 'it is slow',
    workerId: second.workerId,
    taskId: second.taskId,
    parameters: 5,
    stepsTotal: 10,
  });
  t.is(h.effects.filter(({ kind }) => kind === 'begin-task').length, 2);
  t.is(h.job.phases[1]?.notice, 'it is slow');
  h.nowMs += 4_000;
  const share = { ...shareOf('student-2', 2, 2), stepsCommitted: 5, samplesCommitted: 80 };
  h.send({
    kind: 'progress',
    workerId: 'student-2',
    taskId: second.taskId,
    progress: { ...progressOf(5, 1.5, share), notice: 'no teacher answers' },
  });
  t.is(h.job.phases[1]?.notice, 'it is slow; no teacher answers');
  t.like(h.job.phases[1], { state: 'RUNNING', step: 5, stepsTotal: 10, loss: 1.5, imagesPerSecond: 20 });
  t.deepEqual(
    h.job.phases[1]?.workers.map(({ samplesCommitted }) => samplesCommitted),
    [0, 80],
  );
  h.done('train-student');
  t.like(h.job.phases[1], { state: 'DONE', step: 10, loss: 1, imagesPerSecond: 50, modelDigest: sha256('left') });
  t.is(h.job.phases[1]?.droppedDigest, sha256('dropped by left'));

  const control = h.tasks('train-student')[0]?.command;
  t.like(control, { student: 'left', control: true, teachers: [], taughtBy: [], view: { number: 3 } });
  h.finishPhase();
  t.is(h.tasks('serve-teacher').length, 1, 'the teacher serves on');
  t.like(h.tasks('train-student')[0]?.command, { student: 'right', control: false, view: { number: 4 }, teachers });
  h.finishPhase();
  t.is(h.tasks('serve-teacher').length, 1, 'it still has to say what its last answers were');
  h.nowMs += 1_000;
  h.send({ kind: 'tick' });
  t.is(h.tasks('serve-teacher').length, 0, 'nobody needs the teacher any more');
  h.finishPhase();

  const publish = h.effects.find(({ kind }) => kind === 'publish');
  t.like(publish, {
    route: {
      name: 'demo',
      rule: 'max-softmax',
      classNames: CLASS_NAMES,
      legs: [
        { specialist: 'left', modelDigest: sha256('left'), classIds: [0, 1], dustbin: false },
        { specialist: 'right', modelDigest: sha256('right'), classIds: [2, 3], dustbin: false },
      ],
    },
  });
  h.send({ kind: 'published', routeRevision: 7 });
  h.send({ kind: 'cluster', cluster: withRoute(6) });
  t.is(h.job.phases[5]?.state, 'RUNNING');
  h.send({ kind: 'cluster', cluster: withRoute(7) });
  t.is(h.job.phases[5]?.state, 'DONE');
  const evaluation = h.tasks('evaluate-route')[0]?.command;
  const how = { rules: ['max-softmax'], split: 'test' };
  t.deepEqual(evaluation as object, { kind: 'evaluate-route', route: 'demo', routerAddress: 'router-1:1', ...how });
  h.finishPhase();
  t.like(h.job, { state: 'SUCCEEDED', message: '', endedAt: 'now' });
  t.like(h.job.phases[6], { state: 'DONE', accuracy: 0.75, evaluatedImages: 4, rule: 'max-softmax' });
});

test('without enough workers it says what is missing, and gives up after the limit', (t) => {
  const h = new Harness();
  h.begin({ workers: [worker('student-1', 'student')], routers: [] });
  t.is(
    h.job.message,
    'waits for 1 more teacher-worker (0 of 1 there), 1 more student-worker (1 of 2 there), 1 more specialist (0 of 1 there), 1 more router (0 of 1 there)',
  );
  h.nowMs = 60_000;
  h.send({ kind: 'cluster', cluster: without('student-2') });
  t.is(h.job.message, 'waits for 1 more student-worker (1 of 2 there)');
  h.nowMs = 60_001;
  h.send({ kind: 'tick' });
  t.is(h.job.state, 'FAILED');
  t.regex(
    h.job.message,
    /^training of teacher big: after 60 seconds \(limits.workerWaitSeconds\) it still waits for 1 more/,
  );
  t.is(h.job.phases[0]?.state, 'PENDING');
});

test('students with different engines do not train together', (t) => {
  const h = new Harness();
  const workers = FULL.workers.map((one) => (one.id === 'student-2' ? { ...one, fingerprint: 'other' } : one));
  h.begin({ ...FULL, workers });
  t.is(h.job.message, 'waits for 2 student-workers with the same engine; there are "other", "same"');
  h.send({ kind: 'cluster', cluster: { ...FULL, workers: [...workers, worker('student-3', 'student')] } });
  h.finishPhase();
  h.ready('serve-teacher');
  t.deepEqual(
    h.tasks('train-student').map(({ workerId }) => workerId),
    ['student-1', 'student-3'],
  );
});

// Phase index, the worker that is lost in it, the beginning of the message.
const LOSSES: [number, string, RegExp][] = [
  [1, 'student-2', /^distillation of student left: worker student-2 was lost: its stream ended$/],
  [2, 'student-1', /^control arm of student left: worker student-1 was lost/],
  [3, 'student-1', /^distillation of student right: worker student-1 was lost/],
  [6, 'student-1', /^evaluation of route demo: worker student-1 was lost/],
];

for (const [phaseIndex, workerId, message] of LOSSES) {
  test(`losing ${workerId} in phase ${phaseIndex} fails the job and drops the other tasks`, (t) => {
    const h = new Harness();
    h.begin();
    h.runTo(phaseIndex);
    t.is(h.job.phases[phaseIndex]?.state, 'RUNNING');
    if (h.job.phases[phaseIndex]?.kind === 'DISTIL') h.ready('serve-teacher');
    h.send({ kind: 'worker-lost', workerId, reason: 'its stream ended' });
    t.is(h.job.state, 'FAILED');
    t.regex(h.job.message, message);
    t.is(h.job.phases[phaseIndex]?.state, 'FAILED');
    t.is(h.open.size, 0, 'every open task is cancelled');
  });
}

test('what a worker says about the task of another one is ignored', (t) => {
  const h = new Harness();
  h.begin();
  h.runTo(1);
  const [serving] = h.tasks('serve-teacher') as [Started];
  const warnings = () => h.effects.filter(({ kind }) => kind === 'warn').length;
  const ready = { kind: 'ready', notice: '', parameters: 5, stepsTotal: 10 } as const;
  h.send({ ...ready, workerId: 'student-1', taskId: serving.taskId });
  t.is(warnings(), 1);
  t.deepEqual(h.tasks('train-student'), []);
  h.ready('serve-teacher');
  const [first, second] = h.tasks('train-student') as [Started, Started];
  const asSecond = { workerId: second.workerId, taskId: first.taskId };
  h.send({ ...ready, ...asSecond });
  h.send({ ...ready, workerId: second.workerId, taskId: second.taskId });
  t.false(
    h.effects.some(({ kind }) => kind === 'begin-task'),
    'the first one has not said that it is ready',
  );
  h.ready('train-student');
  const before = h.job;
  const share = shareOf('student-2', 2, 2);
  const progress = progressOf(5, 1, share);
  h.send({ kind: 'progress', ...asSecond, progress });
  t.is(warnings(), 1);
  h.send({ kind: 'progress', workerId: first.workerId, taskId: first.taskId, progress });
  t.is(warnings(), 1, 'its own task, and the share of another worker');
  h.send({ kind: 'failed', ...asSecond, code: 'INTERNAL', message: 'x', field: '' });
  h.send({ kind: 'done', ...asSecond, result: resultOf(first, true, h.state.spec) });
  t.is(warnings(), 1);
  t.is(h.job, before);
  h.send({ kind: 'ready', notice: '', workerId: 'student-9', taskId: 'old', parameters: 5, stepsTotal: 10 });
  t.is(warnings(), 0, 'a task of the past is no reason to warn');
});

test('workers that never get ready fail the job, by name', (t) => {
  const late = (h: Harness, message: RegExp) => {
    h.nowMs += 120_000;
    h.send({ kind: 'tick' });
    t.is(h.job.state, 'RUNNING');
    h.nowMs += 1;
    h.send({ kind: 'tick' });
    t.is(h.job.state, 'FAILED');
    t.regex(h.job.message, message);
    t.is(h.open.size, 0);
  };
  const teacher = new Harness();
  teacher.begin();
  teacher.nowMs = 5_000;
  teacher.runTo(1);
  late(teacher, /left: no teacher-worker can serve: worker teacher-1 was not ready within 120 seconds; see its log$/);
  const students = new Harness();
  students.begin();
  students.runTo(1);
  students.nowMs += 119_000;
  students.ready('serve-teacher');
  late(students, /^distillation of student left: workers student-1, student-2 were not ready within 120 seconds/);
  const one = new Harness();
  one.begin();
  one.runTo(2);
  const [{ workerId, taskId }] = one.tasks('train-student') as [Started];
  one.send({ kind: 'ready', notice: '', workerId, taskId, parameters: 5, stepsTotal: 10 });
  late(one, /^control arm of student left: worker student-2 was not ready/);
  const begun = new Harness();
  begun.begin();
  begun.ready('train-teacher');
  begun.nowMs += 600_000;
  begun.send({ kind: 'tick' });
  t.is(begun.job.state, 'RUNNING', 'training itself has no such limit');
});

test('a worker that vanishes from the cluster counts as lost too', (t) => {
  const h = new Harness();
  h.begin();
  h.runTo(2);
  h.send({ kind: 'cluster', cluster: without('student-1') });
  t.regex(h.job.message, /student-1 was lost: it is no longer attached$/);
});

test('a teacher lost in the control arm is replaced before the next distillation', (t) => {
  const h = new Harness();
  h.begin();
  h.runTo(2);
  h.open.delete('teacher-1');
  h.send({ kind: 'worker-lost', workerId: 'teacher-1', reason: 'its stream ended' });
  const workers = [...without('teacher-1').workers, worker('teacher-2', 'teacher')];
  h.send({ kind: 'cluster', cluster: { ...FULL, workers } });
  h.finishPhase();
  t.deepEqual(
    h.tasks('serve-teacher').map(({ workerId }) => workerId),
    ['teacher-2'],
  );
  h.ready('serve-teacher');
  t.like(h.tasks('train-student')[0]?.command, { teachers: [{ workerId: 'teacher-2' }] });
});

test('a failed task fails the job with the worker, the field and its words', (t) => {
  const h = new Harness();
  h.begin();
  const [task] = h.tasks('train-teacher');
  const { workerId, taskId } = task as Started;
  const message = 'no training image';
  h.send({ kind: 'failed', workerId, taskId: 'old', code: 'INTERNAL', message: 'stale', field: '' });
  t.is(h.job.state, 'RUNNING');
  h.send({ kind: 'failed', workerId, taskId, code: 'INVALID_ARGUMENT', message, field: 'data.train' });
  t.like(h.job, {
    state: 'FAILED',
    message: 'training of teacher big: worker teacher-1 failed: data.train: no training image',
  });
});

test('a lost connection waits for the news that the other side died, the better reason', (t) => {
  const failed = (h: Harness) => {
    h.begin();
    h.runTo(1);
    h.ready('serve-teacher');
    const { workerId, taskId } = h.tasks('train-student')[0] as Started;
    h.send({ kind: 'failed', workerId, taskId, code: 'UNAVAILABLE', message: 'partner unreachable', field: '' });
    t.is(h.job.state, 'RUNNING');
  };
  const died = new Harness();
  failed(died);
  died.send({ kind: 'worker-lost', workerId: 'student-2', reason: 'its stream ended' });
  t.regex(died.job.message, /student-2 was lost/);
  const lives = new Harness();
  failed(lives);
  lives.nowMs += 1_000;
  lives.send({ kind: 'tick' });
  t.regex(lives.job.message, /student-1 failed: partner unreachable$/);
});

// What a worker answers at the end, and what the job says to it.
const DISAGREEMENTS: [string, (share: ShareRecord) => Partial<ShareRecord>, RegExp][] = [
  ['weights', () => ({ weightsDigest: 'v' }), /different weights: student-1: w, student-2: v$/],
  ['steps', () => ({ stepsCommitted: 9 }), /other than 10 steps: student-1: 10, student-2: 9$/],
  ['samples', () => ({ samplesCommitted: 0 }), /student-2 contributed no samples$/],
  ['no digest', () => ({ weightsDigest: '' }), /student-2: none$/],
];

for (const [what, change, message] of DISAGREEMENTS) {
  test(`students that disagree fail the job: ${what}`, (t) => {
    const h = new Harness();
    h.begin();
    h.runTo(1);
    h.ready('serve-teacher');
    h.ready('train-student');
    h.done('train-student', (workerId, result) => {
      if (workerId !== 'student-2' || result.last?.share === undefined) return result;
      return { ...result, last: { ...result.last, share: { ...result.last.share, ...change(result.last.share) } } };
    });
    t.is(h.job.state, 'FAILED');
    t.regex(h.job.message, message);
    t.is(h.tasks('serve-teacher').length, 0);
  });
}

test('workers that expect different numbers of steps do not begin', (t) => {
  const h = new Harness();
  h.begin();
  h.runTo(1);
  h.ready('serve-teacher');
  for (const [at, { workerId, taskId }] of h.tasks('train-student').entries()) {
    h.send({ kind: 'ready', notice: '', workerId, taskId, parameters: 5, stepsTotal: 10 + at });
  }
  t.regex(
    h.job.message,
    /disagree on the model's parameters and the number of steps \(student-1: 5, 10; student-2: 5, 11\)/,
  );
});

for (let phaseIndex = 0; phaseIndex < 7; phaseIndex++) {
  test(`a cancelled job drops its tasks and keeps what is done: phase ${phaseIndex}`, (t) => {
    const h = new Harness();
    h.begin();
    h.runTo(phaseIndex);
    h.send({ kind: 'cancel' });
    t.like(h.job, { state: 'CANCELLED', endedAt: 'now' });
    t.is(h.open.size, 0);
    const states = h.job.phases.map(({ state }) => state);
    t.deepEqual(states.slice(0, phaseIndex), Array(phaseIndex).fill('DONE'));
    t.is(states[phaseIndex], 'FAILED');
    const { revision } = h.job;
    h.send({ kind: 'cancel' });
    h.send({ kind: 'published', routeRevision: 7 });
    t.is(h.job.revision, revision, 'an ended job does not change');
  });
}

test('a queued job can be cancelled', (t) => {
  const h = new Harness();
  h.send({ kind: 'cancel' });
  t.is(h.job.state, 'CANCELLED');
});

test('without control arm and without a teacher in the loss there are fewer phases and no teacher serves', (t) => {
  const h = new Harness(
    'evaluate: { control: false, routeImages: 0 }\ndistill: { loss: [{ type: cross-entropy, weight: 1 }] }',
  );
  t.deepEqual(
    h.job.phases.map(({ kind }) => kind),
    ['TRAIN_TEACHER', 'DISTIL', 'DISTIL', 'PUBLISH'],
  );
  h.begin();
  h.finishPhase();
  t.deepEqual(h.tasks('serve-teacher'), []);
  t.like(h.tasks('train-student')[0]?.command, { student: 'left', control: false, teachers: [] });
  h.finishPhase();
  h.finishPhase();
  h.finishPhase();
  t.is(h.job.state, 'SUCCEEDED');
});

test('publishing that fails, or a route that no router takes over, fails the job', (t) => {
  const refused = new Harness();
  refused.begin();
  refused.runTo(5);
  refused.send({ kind: 'publish-failed', message: 'NATS is gone' });
  t.is(refused.job.message, 'publishing failed: NATS is gone');
  const ignored = new Harness();
  ignored.begin();
  ignored.runTo(5);
  ignored.send({ kind: 'published', routeRevision: 7 });
  ignored.nowMs += 60_001;
  ignored.send({ kind: 'tick' });
  t.regex(ignored.job.message, /^publication of route demo: no router took revision 7 over within 60 seconds/);
});

test('the deadline of a job counts from its start', (t) => {
  const h = new Harness();
  h.nowMs = 1_000_000;
  h.begin();
  h.ready('train-teacher');
  h.nowMs += 30 * 60_000;
  h.send({ kind: 'tick' });
  t.is(h.job.state, 'RUNNING');
  h.nowMs += 1;
  h.send({ kind: 'tick' });
  t.regex(
    h.job.message,
    /limit of 30 minutes \(limits.deadlineMinutes\) has passed; it was at: training of teacher big$/,
  );
  t.is(h.open.size, 0);
});
