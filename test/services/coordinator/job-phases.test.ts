import { readFileSync } from 'node:fs';
import test from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import type { Random } from '../../../lib/base/random.ts';
import { parseJobFile } from '../../../lib/wire/job-file.ts';
import { ROUTE_RULES, type RouteRule } from '../../../lib/wire/route-rules.ts';
import type { TaskResult } from '../../../services/coordinator/job-events.ts';
import { labels, plannedPhases } from '../../../services/coordinator/job-plan.ts';
import { forCases } from '../../helpers/property.ts';
import { FULL, Harness, LABELS, progressOf, type Started, shareOf, spec, without, withRoute } from './job-harness.ts';

const DUSTBINS =
  'students=[{name: left, arch: simple-cnn, classes: [a, b], dustbin: true}, {name: right, arch: simple-cnn, classes: [c, d], dustbin: true}]';
const BEST = ['data.calibrate=10', 'publish.rule=best'];
const ALL = [...BEST, DUSTBINS, 'data.labelled=20', 'evaluate.controlRoute=true'];

/** A job that has come to this phase, which runs. */
function jobAt(kind: string, subject: string, overrides: readonly string[]): Harness {
  const h = new Harness('', overrides);
  h.begin();
  const index = h.job.phases.findIndex((phase) => phase.kind === kind && phase.subject === subject);
  h.runTo(index);
  return h;
}

/** Right answers by rule, out of ten. */
const counts = (correct: Record<string, number>) => (_: string, result: TaskResult) => ({
  ...result,
  rules: result.rules.map(({ rule }) => ({ rule, correct: correct[rule] ?? 0, evaluatedImages: 10 })),
});

const phaseOf = (h: Harness, kind: string, subject = 'demo') =>
  h.job.phases.find((phase) => phase.kind === kind && phase.subject === subject);

const evaluationOf = (h: Harness) => h.tasks('evaluate-route')[0]?.command;

test('a job with every option has all phases, in this order', (t) => {
  t.deepEqual(
    plannedPhases(spec('', ALL), 'ALL').map(({ kind, subject }) => `${kind} ${subject}`),
    [
      'TRAIN_TEACHER big',
      'LABEL big',
      'DISTIL left',
      'CONTROL left',
      'DISTIL right',
      'CONTROL right',
      'PUBLISH demo-control',
      'CHOOSE_RULE demo-control',
      'EVALUATE_ROUTE demo-control',
      'PUBLISH demo',
      'CHOOSE_RULE demo',
      'EVALUATE_ROUTE demo',
    ],
  );
});

for (const quick of [false, true]) {
  test(`the quickstart has these phases: ${quick ? 'the small version' : 'the whole job'}`, (t) => {
    const text = readFileSync(new URL('../../../examples/quickstart.yaml', import.meta.url), 'utf8');
    t.deepEqual(
      plannedPhases(parseJobFile(text, { quick }), 'ALL').map(({ kind, subject }) => `${kind} ${subject}`),
      [
        'TRAIN_TEACHER lite0',
        'LABEL lite0',
        'DISTIL first-five',
        'CONTROL first-five',
        'DISTIL last-five',
        'CONTROL last-five',
        'PUBLISH quickstart-control',
        'CHOOSE_RULE quickstart-control',
        'EVALUATE_ROUTE quickstart-control',
        'PUBLISH quickstart',
        'CHOOSE_RULE quickstart',
        'EVALUATE_ROUTE quickstart',
      ],
    );
  });
}

function randomOptions(random: Random): string[] {
  const maybe = (...options: string[]) => (random.nextInt(2) === 0 ? [] : options);
  const control = random.nextInt(2) === 0;
  return [
    ...maybe(DUSTBINS),
    ...maybe(...BEST),
    ...maybe('data.labelled=20'),
    ...maybe('data.views.flip=false'),
    ...maybe('teachers[0].views={shift: 2}'),
    ...maybe('evaluate.routeImages=0'),
    ...(control ? maybe('evaluate.controlRoute=true') : ['evaluate.control=false']),
    ...maybe('distill.loss=[{type: cross-entropy, weight: 1}]'),
    `averaging.workers=${1 + random.nextInt(2)}`,
  ];
}

test('whatever the options, a job walks through exactly the planned phases, in order', async (t) => {
  await forCases(t, 200, (random, seed) => {
    const options = randomOptions(random);
    const h = new Harness('', options);
    const planned = h.job.phases.map(({ kind, subject }) => `${kind} ${subject}`);
    const walked: string[] = [];
    h.begin();
    while (h.phase !== undefined && walked.length <= planned.length) {
      const running = h.job.phases.filter(({ state }) => state === 'RUNNING');
      walked.push(...running.map(({ kind, subject }) => `${kind} ${subject}`));
      h.finishPhase();
    }
    const where = `seed ${seed}: ${options.join(' ')}`;
    t.deepEqual(walked, planned, where);
    t.is(h.job.state, 'SUCCEEDED', `${where}: ${h.job.message}`);
    t.true(
      h.job.phases.every(({ state }) => state === 'DONE'),
      where,
    );
    t.is(h.open.size, 0, where);
  });
});

// What is set, and whether the teacher labels all images.
const LABELLING: [string[], boolean][] = [
  [[], false],
  [['data.views.flip=false'], true],
  [['data.views={shift: 1}'], false],
  [['teachers[0].views={}'], true],
  [['data.views.flip=false', 'teachers[0].views={flip: true}'], false],
  [['data.labelled=20'], true],
  [['data.labelled=20', 'distill.cache.mode=off'], true],
  [['data.views.flip=false', 'distill.cache.mode=off'], false],
  [['distill.cache.mode=on'], false],
  [['data.labelled=20', 'distill.loss=[{type: cross-entropy, weight: 1}]'], false],
  [['data.views.flip=false', 'distill.loss=[{type: cross-entropy, weight: 1}, {type: kl, weight: 0}]'], false],
];

for (const [overrides, expected] of LABELLING) {
  test(`the teacher labels ${expected ? 'all images' : 'nothing'} with ${overrides.join(', ') || 'defaults'}`, (t) => {
    t.is(labels(spec('', overrides), 'big'), expected);
  });
}

test('the teacher’s labels go to all students', (t) => {
  const h = jobAt('LABEL', 'big', ['data.labelled=20']);
  const [task] = h.tasks('label-images') as [Started];
  t.is(task.workerId, 'teacher-1');
  t.deepEqual(task.command, { kind: 'label-images', teacher: 'big', modelDigest: sha256('teacher'), answers: true });
  h.ready('label-images', 40);
  h.nowMs += 2_000;
  const share = { ...shareOf('teacher-1', 0, 0), stepsCommitted: 3, samplesCommitted: 96 };
  h.send({ kind: 'progress', workerId: 'teacher-1', taskId: task.taskId, progress: progressOf(3, 0, share) });
  t.like(h.phase, { kind: 'LABEL', step: 3, stepsTotal: 40, imagesPerSecond: 48 });
  h.done('label-images');
  t.is(phaseOf(h, 'LABEL', 'big')?.state, 'DONE');
  h.ready('serve-teacher', 0);
  t.like(h.tasks('train-student')[0]?.command, { student: 'left', control: false, labelsDigest: LABELS });
  h.finishPhase();
  t.like(h.tasks('train-student')[0]?.command, { student: 'left', control: true, labelsDigest: LABELS, teachers: [] });
});

test('a teacher that labels and stores nothing fails the job', (t) => {
  const empty = jobAt('LABEL', 'big', ['data.labelled=20']);
  empty.ready('label-images');
  empty.done('label-images', (_, result) => ({ ...result, labelsDigest: '' }));
  t.is(empty.job.message, "labelling by teacher big: worker teacher-1 ended without storing the teacher's answers");
  t.is(phaseOf(empty, 'LABEL', 'big')?.state, 'FAILED');
});

test('epochs come from the furthest worker, checkpoints from whoever stores them', (t) => {
  const h = jobAt('CONTROL', 'left', []);
  h.ready('train-student');
  const [first, second] = h.tasks('train-student') as [Started, Started];
  const send = ({ workerId, taskId }: Started, step: number, changes: object) => {
    const share = shareOf(workerId, workerId === 'student-1' ? 0 : 2, 2);
    h.send({ kind: 'progress', workerId, taskId, progress: { ...progressOf(step, 1, share), ...changes } });
  };
  send(second, 6, { epoch: 2, epochs: 3, epochLoss: 0.5, epochAccuracy: 0.75 });
  send(first, 5, { epoch: 1, epochs: 3, epochLoss: 9, checkpointDigest: sha256('one'), checkpointEpoch: 1 });
  const epoch = { step: 6, epoch: 2, epochs: 3, epochLoss: 0.5, epochAccuracy: 0.75 };
  t.like(h.phase, { ...epoch, checkpointDigest: sha256('one'), checkpointEpoch: 1 });
  send(second, 7, { epoch: 2 });
  t.like(h.phase, { step: 7, checkpointDigest: sha256('one'), checkpointEpoch: 1 }, 'it stays');
  h.done('train-student');
  t.like(phaseOf(h, 'CONTROL', 'left'), { predictImagesPerSecond: 300, checkpointEpoch: 1 });
});

test('the control arm’s models are published as a route of their own', (t) => {
  const h = jobAt('PUBLISH', 'demo-control', ['evaluate.controlRoute=true']);
  t.deepEqual(
    h.publication?.models.map(({ name, digest }) => [name, digest]),
    [
      ['demo/left-control', sha256('left-control')],
      ['demo/right-control', sha256('right-control')],
    ],
  );
  t.like(h.publication?.route, {
    name: 'demo-control',
    legs: [
      { specialist: 'left', modelDigest: sha256('left-control'), classIds: [0, 1], dustbin: false },
      { specialist: 'right', modelDigest: sha256('right-control'), classIds: [2, 3], dustbin: false },
    ],
  });
  h.send({ kind: 'published', routeRevision: 5 });
  const router = { id: 'router-1', address: 'router-1:1', routes: { demo: 9 } };
  h.send({ kind: 'cluster', cluster: { ...FULL, routers: [router] } });
  t.is(h.phase?.kind, 'PUBLISH', 'another route is no sign of this one');
  h.send({ kind: 'cluster', cluster: { ...FULL, routers: [{ ...router, routes: { 'demo-control': 5 } }] } });
  t.like(evaluationOf(h), { route: 'demo-control', routerAddress: 'router-1:1', rules: ['max-softmax'] });
  h.finishPhase();
  t.like(h.publication, {
    route: { name: 'demo', legs: [{ modelDigest: sha256('left') }, { modelDigest: sha256('right') }] },
  });
  t.deepEqual(
    h.publication?.models.map(({ name }) => name),
    ['demo/left', 'demo/right'],
  );
});

test('the best rule on the calibrate split is put, and the router has to take it over', (t) => {
  const h = jobAt('PUBLISH', 'demo', [...BEST, DUSTBINS]);
  t.like(h.publication?.route, { rule: 'max-softmax', legs: [{ dustbin: true }, { dustbin: true }] });
  h.serveRoute();
  t.like(evaluationOf(h), { route: 'demo', rules: [...ROUTE_RULES], split: 'calibrate' });
  h.ready('evaluate-route');
  h.done('evaluate-route', counts({ 'max-softmax': 4, 'max-logit': 5, dustbin: 6 }));
  t.like(h.phase, { kind: 'CHOOSE_RULE', rule: 'dustbin', accuracy: 0.6, evaluatedImages: 10 });
  t.deepEqual(h.publication?.models, [], 'the models are there already');
  t.like(h.publication?.route, {
    name: 'demo',
    rule: 'dustbin',
    legs: [{ specialist: 'left' }, { specialist: 'right' }],
  });
  h.send({ kind: 'published', routeRevision: 8 });
  t.is(h.phase?.kind, 'CHOOSE_RULE', 'the router still goes by the revision before');
  h.send({ kind: 'cluster', cluster: withRoute(8) });
  t.is(phaseOf(h, 'CHOOSE_RULE')?.state, 'DONE');
  t.like(evaluationOf(h), { rules: ['dustbin', 'max-softmax', 'max-logit'], split: 'test' });
  h.ready('evaluate-route');
  h.done('evaluate-route', counts({ 'max-softmax': 9, 'max-logit': 8, dustbin: 7 }));
  t.is(h.job.state, 'SUCCEEDED');
  const rules = [
    { rule: 'dustbin', correct: 7, evaluatedImages: 10 },
    { rule: 'max-softmax', correct: 9, evaluatedImages: 10 },
    { rule: 'max-logit', correct: 8, evaluatedImages: 10 },
  ];
  t.like(phaseOf(h, 'EVALUATE_ROUTE'), { rule: 'dustbin', accuracy: 0.7, evaluatedImages: 10, rules });
});

// Right answers by rule, and the rule that they lead to.
const CHOICES: [Record<string, number>, RouteRule][] = [
  [{ 'max-softmax': 5, 'max-logit': 4 }, 'max-softmax'],
  [{ 'max-softmax': 5, 'max-logit': 5 }, 'max-logit'],
  [{ 'max-softmax': 0, 'max-logit': 0 }, 'max-logit'],
];

for (const [correct, expected] of CHOICES) {
  test(`${JSON.stringify(correct)} leads to ${expected}, and without dustbins there is no third rule`, (t) => {
    const h = jobAt('CHOOSE_RULE', 'demo', BEST);
    t.like(evaluationOf(h), { rules: ['max-softmax', 'max-logit'] });
    h.ready('evaluate-route');
    h.done('evaluate-route', counts(correct));
    t.is(phaseOf(h, 'CHOOSE_RULE')?.rule, expected);
    t.is(h.publication?.route.rule, expected === 'max-softmax' ? undefined : expected, 'only a change is written');
    if (h.publication !== undefined) h.serveRoute();
    const other = expected === 'max-softmax' ? 'max-logit' : 'max-softmax';
    t.like(evaluationOf(h), { rules: [expected, other] });
  });
}

test('a job with a rule of its own is evaluated by no other', (t) => {
  const h = jobAt('PUBLISH', 'demo', ['publish.rule=dustbin', DUSTBINS]);
  t.is(h.publication?.route.rule, 'dustbin');
  h.serveRoute();
  t.like(evaluationOf(h), { rules: ['dustbin'], split: 'test' });
});

test('a worker that is lost after it counted for the choice of a rule fails nothing, one that still counts does', (t) => {
  const counting = jobAt('CHOOSE_RULE', 'demo', BEST);
  const { workerId } = counting.tasks('evaluate-route')[0] as Started;
  const choosing = () => {
    const h = jobAt('CHOOSE_RULE', 'demo', BEST);
    h.ready('evaluate-route');
    h.done('evaluate-route', counts({ 'max-logit': 5 }));
    return h;
  };
  counting.send({ kind: 'worker-lost', workerId, reason: 'it ended' });
  t.is(counting.job.message, `choice of the rule of route demo: worker ${workerId} was lost: it ended`);
  const writing = choosing();
  writing.send({ kind: 'worker-lost', workerId, reason: 'it ended' });
  writing.send({ kind: 'cluster', cluster: { ...withRoute(7), workers: without(workerId).workers } });
  t.like(writing.phase, { kind: 'CHOOSE_RULE', rule: 'max-logit' }, 'while the route is written');
  const routing = choosing();
  routing.send({ kind: 'published', routeRevision: 8 });
  routing.send({ kind: 'worker-lost', workerId, reason: 'it ended' });
  t.like(routing.phase, { kind: 'CHOOSE_RULE', rule: 'max-logit' }, 'while the router takes it over');
  routing.send({ kind: 'cluster', cluster: { ...withRoute(8), workers: without(workerId).workers } });
  t.not(evaluationOf(routing), undefined, 'another worker evaluates the route');
  routing.ready('evaluate-route');
  routing.done('evaluate-route');
  t.is(routing.job.state, 'SUCCEEDED');
});

test('a chosen rule that cannot be written, or that no router takes over, fails the job', (t) => {
  const chosen = () => {
    const h = jobAt('CHOOSE_RULE', 'demo', BEST);
    h.ready('evaluate-route');
    h.done('evaluate-route', counts({ 'max-logit': 5 }));
    return h;
  };
  const refused = chosen();
  refused.send({ kind: 'publish-failed', message: 'NATS is gone' });
  t.is(refused.job.message, 'publishing failed: NATS is gone');
  t.is(phaseOf(refused, 'CHOOSE_RULE')?.state, 'FAILED');
  const ignored = chosen();
  ignored.send({ kind: 'published', routeRevision: 8 });
  ignored.nowMs += 60_001;
  ignored.send({ kind: 'tick' });
  t.regex(ignored.job.message, /^choice of the rule of route demo: no router took revision 8 over within 60 seconds/);
});

test('a route that is gone from the routers is waited for', (t) => {
  const h = jobAt('CHOOSE_RULE', 'demo', BEST);
  h.ready('evaluate-route');
  h.send({ kind: 'cluster', cluster: FULL });
  h.done('evaluate-route', counts({ 'max-softmax': 5 }));
  t.is(h.job.message, 'waits for a router that serves route demo at revision 7');
  h.send({ kind: 'cluster', cluster: withRoute(7) });
  t.is(h.phase?.kind, 'EVALUATE_ROUTE');
});

type Rules = TaskResult['rules'];

// What a worker answers for the rules max-softmax and max-logit, and what the job says to it.
const FAULTS: [string, (rules: Rules) => Rules, RegExp][] = [
  ['nothing', () => [], /: the rules max-softmax, max-logit were to be tried, not none$/],
  ['one rule of two', (rules) => rules.slice(0, 1), /were to be tried, not max-softmax$/],
  ['another order', (rules) => [...rules].reverse(), /were to be tried, not max-logit, max-softmax$/],
  ['another rule', (rules) => rules.map((one) => ({ ...one, rule: 'majority' })), /not majority, majority$/],
  [
    'no images',
    (rules) => rules.map((one) => ({ ...one, correct: 0, evaluatedImages: 0 })),
    /no image was evaluated by the rule max-softmax$/,
  ],
  [
    'different images',
    (rules) => rules.map((one, at) => ({ ...one, evaluatedImages: 10 + at })),
    /different numbers of images: max-softmax: 10, max-logit: 11$/,
  ],
  [
    'more than all right',
    (rules) => rules.map((one) => ({ ...one, correct: 11, evaluatedImages: 10 })),
    /the rule max-softmax has 11 right answers to 10 images$/,
  ],
];

for (const [what, change, message] of FAULTS) {
  test(`an evaluation that comes with ${what} fails the job`, (t) => {
    for (const kind of ['CHOOSE_RULE', 'EVALUATE_ROUTE']) {
      const h = jobAt(kind, 'demo', BEST);
      h.ready('evaluate-route');
      h.done('evaluate-route', (_, result) => ({ ...result, rules: change(result.rules) }));
      t.is(h.job.state, 'FAILED');
      if (kind === 'CHOOSE_RULE') t.regex(h.job.message, message);
      t.is(phaseOf(h, kind)?.state, 'FAILED');
    }
  });
}

test('a model that lacks the dustbin of the job file is not published', (t) => {
  const h = new Harness('', [DUSTBINS, 'publish.rule=dustbin', 'evaluate.control=false']);
  h.begin();
  h.runTo(2);
  h.ready('train-student');
  h.done('train-student', (_, result) => {
    return { ...result, manifestJson: result.manifestJson.replace('"dustbin":true,', '') };
  });
  t.is(h.job.message, 'publication of route demo: demo/right has no dustbin, against the job file');
});

/** Ends a job whose models reach these shares of right answers. */
function reached(
  floors: string,
  accuracies: { teacher?: number; left?: number; control?: number; route?: object; images?: number },
) {
  const h = new Harness('', [...BEST, `evaluate.floors=${floors}`]);
  h.begin();
  while (h.phase !== undefined) {
    const { kind, subject } = h.phase;
    const { teacher = 0.9, left = 0.9, control = 0.5, route = { 'max-softmax': 600 }, images = 1e4 } = accuracies;
    const share = kind === 'TRAIN_TEACHER' ? teacher : kind === 'CONTROL' ? control : subject === 'left' ? left : 0.9;
    if (kind === 'TRAIN_TEACHER' || kind === 'DISTIL' || kind === 'CONTROL') {
      h.ready('serve-teacher', 0);
      h.ready(kind === 'TRAIN_TEACHER' ? 'train-teacher' : 'train-student');
      h.done(kind === 'TRAIN_TEACHER' ? 'train-teacher' : 'train-student', (_, result) =>
        result.modelDigest === ''
          ? result
          : { ...result, correct: Math.round(images * share), evaluatedImages: images },
      );
    } else if (kind === 'EVALUATE_ROUTE') {
      h.ready('evaluate-route');
      h.done('evaluate-route', (_, result) => ({
        ...result,
        rules: result.rules.map(({ rule }) => {
          return { rule, correct: (route as Record<string, number>)[rule] ?? 0, evaluatedImages: 1_000 };
        }),
      }));
    } else if (kind === 'CHOOSE_RULE') {
      h.ready('evaluate-route');
      h.done('evaluate-route', counts({ 'max-softmax': 1 }));
    } else h.finishPhase();
  }
  return h.job;
}

const ALL_FLOORS = '{teacher: 0.79, gain: 0.09, route: 0.46, rules: {max-softmax: 0.46, max-logit: 0.53}}';

test('missed floors fail the job at its end, each with what was reached; the phases are done', (t) => {
  const job = reached(ALL_FLOORS, {
    teacher: 0.782,
    left: 0.581,
    control: 0.5,
    route: { 'max-softmax': 455, 'max-logit': 529 },
  });
  t.is(job.state, 'FAILED');
  t.is(
    job.message,
    'test accuracy below evaluate.floors: teacher big 78.2 % < 79.0 %; left gained 8.1 points < 9.0; ' +
      'route demo 45.5 % < 46.0 %; route demo by max-softmax 45.5 % < 46.0 %; route demo by max-logit 52.9 % < 53.0 %',
  );
  t.true(job.phases.every(({ state }) => state === 'DONE'));
});

// Shares that are just there, or just not.
const EDGES: [string, Parameters<typeof reached>[1], string][] = [
  [ALL_FLOORS, { teacher: 0.79, route: { 'max-softmax': 460, 'max-logit': 530 } }, ''],
  ['{gain: 0.09}', { left: 0.59 }, ''],
  ['{gain: 0.09}', { left: 0.774, control: 0.684 }, ''],
  ['{gain: 0.09}', { left: 0.5899 }, 'left gained 8.99 points < 9.00'],
  ['{gain: 0.01}', { left: 0.4, control: 0.5 }, 'left gained -10.0 points < 1.0'],
  ['{teacher: 0.79}', { teacher: 0.7896 }, 'teacher big 78.96 % < 79.00 %'],
  ['{}', { teacher: 0, left: 0, route: {} }, ''],
  [
    '{teacher: 0, gain: 0.01}',
    { images: 0 },
    'teacher big was not measured; gain of left was not measured; gain of right was not measured',
  ],
];

for (const [floors, accuracies, missed] of EDGES) {
  test(`floors ${floors} with ${JSON.stringify(accuracies)}: ${missed || 'all reached'}`, (t) => {
    const job = reached(floors, accuracies);
    t.is(job.message, missed === '' ? '' : `test accuracy below evaluate.floors: ${missed}`);
    t.is(job.state, missed === '' ? 'SUCCEEDED' : 'FAILED');
  });
}
