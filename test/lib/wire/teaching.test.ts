/** Several teachers, assistants, and how logits get to students: what a job file may say of them. */
import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { requirePixelsFit } from '../../../lib/wire/batch-messages.ts';
import { parseJobFile, readJobFile, validateJob } from '../../../lib/wire/job-file.ts';
import { checkRoutes, publishedStudents } from '../../../lib/wire/job-routes.ts';
import { storesLogits, taughtBy } from '../../../lib/wire/teaching.ts';

const CLASS_NAMES = ['ash', 'beech', 'cedar', 'elm'];

const JOB = `apiVersion: stillhouse/v1
kind: Job
name: small
data: { dataset: trees, calibrate: 10 }
teachers:
  - { name: big, arch: simple-cnn }
  - { name: theirs, from: { type: onnx, path: big.onnx } }
students:
  - { name: middle, arch: simple-cnn, assistant: true }
  - { name: left, arch: simple-cnn, classes: [ash, beech], teachers: [middle, theirs] }
  - { name: right, arch: simple-cnn, classes: [cedar, elm] }
`;

const job = (...overrides: string[]) => parseJobFile(JOB, { overrides });

test('teachers that are there already, an assistant, and whom each student learns from', (t) => {
  const spec = job();
  t.like(spec.teachers[1], {
    name: 'theirs',
    from: { type: 'onnx', signature: 'serving_default', input: { layout: 'nhwc' } },
  });
  t.deepEqual(
    spec.students.map((student) => taughtBy(spec, student)),
    [
      ['big', 'theirs'],
      ['theirs', 'middle'],
      ['big', 'theirs'],
    ],
    'in the order of the job file',
  );
  const alone = job('distill.loss=[{type: cross-entropy, weight: 1}]', 'students[0].assistant=false');
  t.deepEqual(taughtBy(alone, { teachers: undefined }), []);
  t.deepEqual(
    publishedStudents(spec).map(({ name }) => name),
    ['left', 'right'],
  );
  validateJob(spec, CLASS_NAMES);
  checkRoutes({ ...spec, evaluate: { ...spec.evaluate, controlRoute: true } }, CLASS_NAMES);
  const student = (name: string, classes: string) =>
    `{name: ${name}, arch: simple-cnn, classes: [${classes}], dustbin: true`;
  const legs = `${student('left', 'ash, beech')}, teachers: [middle]}, ${student('right', 'cedar, elm')}}`;
  const dustbins = job(`students=[{name: middle, arch: simple-cnn, assistant: true}, ${legs}]`, 'publish.rule=dustbin');
  t.notThrows(() => checkRoutes(dustbins, CLASS_NAMES), 'an assistant is no leg');
});

// What is set, and whether the first teacher's logits are stored.
const STORED: [string[], boolean][] = [
  [[], true],
  [['data.views.flip=true'], false],
  [['data.views={flip: true, cycle: 3}'], true],
  [['data.views.flip=true', 'teachers[0].views={}'], true],
  [['data.views.flip=true', 'distill.cache.mode=on'], true],
  [['distill.cache.mode=off'], false],
  [['distill.request=pixels'], false],
];

for (const [overrides, expected] of STORED) {
  test(`logits are ${expected ? '' : 'not '}stored with ${overrides.join(' ') || 'defaults'}`, (t) => {
    const spec = job(...overrides);
    t.is(storesLogits(spec, 'big'), expected);
    if (!overrides.some((one) => one.startsWith('teachers'))) t.is(storesLogits(spec, 'middle'), expected);
  });
}

test('what is kept of a training that stops early is the best, unless the job says otherwise', (t) => {
  const keepOf = (keys: string) => job(`train={${keys}}`).train.keep;
  t.is(keepOf('earlyStopping: {patience: 3}'), 'best');
  t.is(keepOf('earlyStopping: {patience: 3}, keep: last'), 'last');
  t.is(keepOf('keep: best'), 'best');
});

const BY_CLASS = 'distill.teachers={combine: by-class, classes: {big: [ash, beech], theirs: [2, elm]}}';
const ALL_TEACH = 'students[1].teachers=[big, theirs]';
const NO_ASSISTANT = ['students[0].assistant=false', ALL_TEACH];

test('the label of an image may say who answers for it', (t) => {
  const spec = job(BY_CLASS, ...NO_ASSISTANT);
  t.notThrows(() => validateJob(spec, CLASS_NAMES));
  t.notThrows(() => job(BY_CLASS, 'students[1].teachers=[middle]'), 'one teacher needs no choice');
});

// What is set beside the job above, where the message is, and what it says was expected.
const REFUSED: [string[], string, RegExp][] = [
  [['students[1].teachers=[right]'], 'students[1].teachers[0]', /before it: one of big, theirs, middle, got "right"/],
  [['students[1].teachers=[left, middle]'], 'students[1].teachers[0]', /before it/],
  [['students[1].teachers=[middle, big, middle]'], 'students[1].teachers[2]', /every name once, got "middle"/],
  [['students[1].teachers=[]'], 'students[1].teachers', /at least one name/],
  [[ALL_TEACH], 'students[0].assistant', /false, or middle among the teachers of a student after it, got true/],
  [['students[2].assistant=true'], 'students[2].assistant', /false, or right among/],
  [['distill.loss=[{type: cross-entropy, weight: 1}]'], 'students[0].assistant', /no term of distill\.loss looks at a/],
  [['distill.teachers.weights={small: 1}'], 'distill.teachers.weights.small', /one who teaches: big, theirs, middle/],
  [['distill.teachers.weights={right: 1}'], 'distill.teachers.weights.right', /big, theirs, middle, got 1/],
  [['distill.teachers.weights={big: 0}'], 'distill.teachers.weights.big', /a number > 0, got 0/],
  [['distill.teachers={combine: most-confident, weights: {big: 2}}'], 'distill.teachers.weights', /weighs nobody/],
  [
    ['distill.teachers.classes={big: [ash]}'],
    'distill.teachers.classes',
    /combine: by-class beside it \(mean-logits\)/,
  ],
  [['distill.teachers.combine=by-class'], 'distill.teachers.classes', /the classes that each teacher answers for/],
  [[BY_CLASS, ...NO_ASSISTANT, 'data.labelled=20'], 'distill.teachers.combine', /data\.labelled leaves some without/],
  [[BY_CLASS, ...NO_ASSISTANT, 'data.source={dataset: b}'], 'distill.teachers.combine', /data\.source leaves some/],
  [[BY_CLASS, ...NO_ASSISTANT, 'data.views.mixup=0.2'], 'distill.teachers.combine', /data\.views mixes images/],
  [[BY_CLASS], 'students[1].teachers', /\(big, theirs\) as teachers, or one teacher.*it has theirs, middle/],
  [
    ['distill={request: pixels, cache: {mode: on}}'],
    'distill.cache.mode',
    /auto or off, because distill\.request is pixels/,
  ],
  [['teachers[0].train={workers: 2}'], 'teachers[0].train.workers', /at most teachers\[0\]\.train\.lanes \(1\), got 2/],
  [['data.calibrate=0', 'train.keep=best'], 'train.keep', /last, or data\.calibrate above 0, .*got "best"/],
  [
    ['data.calibrate=0', 'train.earlyStopping={patience: 1}'],
    'train.earlyStopping',
    /nothing, or data\.calibrate above 0/,
  ],
  [['data.calibrate=0', 'teachers[0].train={keep: best}'], 'teachers[0].train.keep', /data\.calibrate above 0/],
  [['train.earlyStopping={}'], 'train.earlyStopping.patience', /whole number from 1 to 10000, but it is missing/],
  [['teachers[1].train={}'], 'teachers[1].train', /unknown key; expected one of name, from, views/],
  [
    ['teachers[1].from={type: torch, path: a}'],
    'teachers[1].from.type',
    /weights, onnx, saved-model, tfjs, endpoint, got "torch"/,
  ],
  [
    ['teachers[1].from={type: endpoint, url: "host:1", model: m}'],
    'teachers[1].from.url',
    /grpc:\/\/host:port.*got "host:1"/,
  ],
  [['distill.logits={topK: 4}'], 'distill.teachers.combine', /distill\.logits names a topK/],
];

for (const [overrides, field, message] of REFUSED) {
  test(`refused: ${overrides.join(' ')}`, (t) => {
    const error = t.throws(() => job(...overrides), { instanceOf: StillhouseError });
    t.is(error?.field, field);
    t.regex(error?.message ?? '', message);
  });
}

const withClasses = (classNames: string) => `teachers[1].from={type: onnx, path: a.onnx, classNames: [${classNames}]}`;

// Also set, where the message is, and what it says, once the classes of the data set are known.
const REFUSED_CLASSES: [string[], string, RegExp][] = [
  [
    [BY_CLASS.replace('[2, elm]', '[2, oak]'), ...NO_ASSISTANT],
    'distill.teachers.classes.theirs[1]',
    /a class of the data set: ash, .*got "oak"/,
  ],
  [
    [BY_CLASS.replace('[2, elm]', '[1, cedar, elm]'), ...NO_ASSISTANT],
    'distill.teachers.classes.theirs[0]',
    /every class once, got 1 again \(class 1, "beech", is big's\)/,
  ],
  [
    [BY_CLASS.replace('[2, elm]', '[elm]'), ...NO_ASSISTANT],
    'distill.teachers.classes',
    /every class of the data set with one teacher; nobody has cedar/,
  ],
  [[withClasses('ash, beech, cedar, ash')], 'teachers[1].from.classNames[3]', /every class once, got "ash" again/],
  [[withClasses('ash, beech, cedar')], 'students[0].classes', /know all classes of middle; theirs lacks elm/],
  [
    ['students[0].classes=[ash, cedar]'],
    'students[1].teachers',
    /expected teachers that know all classes of left; middle lacks beech/,
  ],
  [
    ['students[0].classes=[ash, beech]', 'students[1].teachers=[middle]', 'students[1].dustbin=true'],
    'students[1].dustbin',
    /expected false, because middle, who teaches it, knows no other classes/,
  ],
  [
    ['teachers[1].from={type: weights, weights: it, arch: simple-cmm}'],
    'teachers[1].from.arch',
    /did you mean "simple-cnn"/,
  ],
];

for (const [overrides, field, message] of REFUSED_CLASSES) {
  test(`refused with the data set at hand: ${overrides.join(' ')}`, (t) => {
    const { spec, locate } = readJobFile(JOB, { overrides });
    const error = t.throws(() => validateJob(spec, CLASS_NAMES, locate), { instanceOf: StillhouseError });
    t.is(error?.field, field, error?.message);
    t.regex(error?.message ?? '', message);
  });
}

test('a teacher of another framework may know more classes than the data set', (t) => {
  t.notThrows(() => validateJob(job(withClasses('oak, elm, cedar, beech, ash')), CLASS_NAMES));
});

test('a micro-batch of images has to fit into a message', (t) => {
  const images = { height: 256, width: 256, channels: 3 as const };
  const of = (microBatch: number) => job('distill.request=pixels', `train.microBatch=${microBatch}`);
  t.notThrows(() => requirePixelsFit(of(341), images));
  const error = t.throws(() => requirePixelsFit(of(342), images), { instanceOf: StillhouseError });
  t.is(error?.field, 'train.microBatch');
  t.regex(
    error?.message ?? '',
    /^train\.microBatch: expected at most 341, because distill\.request is pixels.*got 342$/,
  );
  t.notThrows(() => requirePixelsFit(job('train.microBatch=4096'), images));
});
