import test from 'ava';
import { phaseResult } from '../../cli/job-view.ts';
import { buildReport, type ReportInput } from '../../cli/report.ts';
import { reportLines } from '../../cli/report-lines.ts';
import { jobSpecFromJson } from '../../lib/wire/job-file.ts';
import { jobSnapshot, phaseSnapshot, workerShare } from '../helpers/job-snapshots.ts';

const SPEC = jobSpecFromJson(
  JSON.stringify({
    apiVersion: 'stillhouse/v1',
    kind: 'Job',
    name: 'tiny',
    data: { dataset: 'trees', labelled: 500, calibrate: 1000 },
    teachers: [{ name: 'big', arch: 'resnet-8' }],
    students: [
      { name: 'few', arch: 'simple-cnn', classes: ['ash', 'elm'], dustbin: true },
      { name: 'rest', arch: 'simple-cnn', classes: ['fir', 'oak'], dustbin: true },
    ],
    publish: { rule: 'best' },
    evaluate: {
      controlRoute: true,
      floors: { teacher: 0.79, gain: 0.1, route: 0.5, rules: { 'max-softmax': 0.4811 } },
    },
  }),
);

const RULES = [
  { rule: 'dustbin', correct: 5680, evaluatedImages: 10_000 },
  { rule: 'max-softmax', correct: 4810, evaluatedImages: 10_000 },
];
const CONTROL_RULES = [
  { rule: 'max-softmax', correct: 3740, evaluatedImages: 10_000 },
  { rule: 'dustbin', correct: 3700, evaluatedImages: 10_000 },
];
const CALIBRATE_RULES = [
  { rule: 'max-softmax', correct: 470, evaluatedImages: 1000 },
  { rule: 'dustbin', correct: 561, evaluatedImages: 1000 },
];

const model = { step: 10, stepsTotal: 10, parameters: 1234 };
const student = { ...model, evaluatedImages: 5000, predictImagesPerSecond: 9800 };

const JOB = jobSnapshot('JOB_STATE_FAILED', [
  phaseSnapshot('PHASE_KIND_TRAIN_TEACHER', 'PHASE_STATE_DONE', 'big', {
    ...model,
    ...{ parameters: 3_412_345, accuracy: 0.824, evaluatedImages: 2000, predictImagesPerSecond: 98, modelDigest: 'B' },
  }),
  phaseSnapshot('PHASE_KIND_LABEL', 'PHASE_STATE_DONE', 'big'),
  phaseSnapshot('PHASE_KIND_DISTIL', 'PHASE_STATE_DONE', 'few', {
    ...{ ...student, accuracy: 0.683, modelDigest: 'F', droppedDigest: 'left out by few' },
  }),
  phaseSnapshot('PHASE_KIND_CONTROL', 'PHASE_STATE_DONE', 'few', { ...student, accuracy: 0.549 }),
  phaseSnapshot('PHASE_KIND_DISTIL', 'PHASE_STATE_DONE', 'rest', { ...student, accuracy: 0.59, modelDigest: 'R' }),
  phaseSnapshot('PHASE_KIND_CONTROL', 'PHASE_STATE_DONE', 'rest', { ...student, accuracy: 0.5 }),
  phaseSnapshot('PHASE_KIND_CHOOSE_RULE', 'PHASE_STATE_DONE', 'tiny-control', {
    ...{ rules: CALIBRATE_RULES, rule: 'max-softmax' },
  }),
  phaseSnapshot('PHASE_KIND_EVALUATE_ROUTE', 'PHASE_STATE_DONE', 'tiny-control', {
    ...{ rules: CONTROL_RULES, rule: 'max-softmax', accuracy: 0.374, evaluatedImages: 10_000 },
  }),
  phaseSnapshot('PHASE_KIND_CHOOSE_RULE', 'PHASE_STATE_DONE', 'tiny', { rules: CALIBRATE_RULES, rule: 'dustbin' }),
  phaseSnapshot('PHASE_KIND_EVALUATE_ROUTE', 'PHASE_STATE_DONE', 'tiny', {
    ...{ rules: RULES, rule: 'dustbin', accuracy: 0.568, evaluatedImages: 10_000 },
  }),
]);

const INPUT: ReportInput = {
  job: JOB,
  spec: SPEC,
  trainImages: 10_000,
  labelledImages: 500,
  testImages: 10_000,
  synthetic: null,
  samples: [{ sampleId: 50_007, label: 'ash', predicted: 'elm', probability: 0.5, specialist: 'few' }],
  samplesProblem: null,
  weightBytes: new Map([
    ['B', 13_800_000],
    ['F', 2_200_000],
    ['R', 2_300_000],
  ]),
  droppedPerEpoch: new Map([['left out by few', [5, 5, 80]]]),
};

test('one table says what each model is, what the teacher gave it, and how it compares with the teacher', (t) => {
  t.deepEqual(reportLines(buildReport(INPUT)), [
    '         name  architecture  parameters     size  accuracy  without   gain  test images  images/s  smaller  faster',
    'teacher  big   resnet-8       3,412,345  13.8 MB    82.4 %        -      -        2,000      98.0        -       -',
    'student  few   simple-cnn         1,234   2.2 MB    68.3 %   54.9 %  +13.4        5,000     9,800     6.3x    100x',
    'student  rest  simple-cnn         1,234   2.3 MB    59.0 %   50.0 %   +9.0        5,000     9,800     6.0x    100x',
    'router   tiny  2 students         2,468   4.5 MB    56.8 %   37.4 %  +19.4       10,000         -     3.1x       -',
    '',
    'data      10,000 training images, of which 500 have labels that were used; 1,000 calibrate images, whose labels chose the router’s rule; 10,000 test images of trees',
    'accuracy  right answers on the test images in the table; a student’s among its own classes; the router’s among all classes',
    'without   the same network and as many steps, without the teacher: the 500 labelled images alone; gain in percentage points',
    'images/s  answered while it was evaluated, computing alone; smaller, faster: than the teacher',
    '',
    'router tiny, by each rule, on 10,000 test images of all classes:',
    '  rule         accuracy  without   gain',
    '  dustbin *      56.8 %   37.0 %  +19.8',
    '  max-softmax    48.1 %   37.4 %  +10.7',
    '  * it answers by dustbin, chosen on 1,000 images of the calibrate split: max-softmax 47.0 %, dustbin 56.1 %',
    '  without distillation, it answers by max-softmax, chosen on 1,000 images of the calibrate split: max-softmax 47.0 %, dustbin 56.1 %',
    '',
    'floors:',
    '  teacher big                 at least 79.00 %            82.40 %  reached',
    '  gain of few                 at least 10.00 points  13.40 points  reached',
    '  gain of rest                at least 10.00 points   9.00 points  MISSED',
    '  router tiny                 at least 50.00 %            56.80 %  reached',
    '  router tiny by max-softmax  at least 48.11 %            48.10 %  MISSED',
    '',
    'test images through the router (REST):',
    '  image 50007: ash -> elm (50.0 %, specialist few): wrong',
  ]);
});

test('a narrow terminal gets fewer columns, the first ones that can be spared; their numbers stand below', (t) => {
  const report = buildReport(INPUT);
  const whole = reportLines(report);
  const width = (lines: readonly string[]) => Math.max(...lines.slice(0, 5).map((line) => line.length));
  t.deepEqual(reportLines(report, width(whole)), whole);
  const left = (columns: number) => {
    const lines = reportLines(report, columns);
    const names = ['test images', 'parameters', 'architecture'];
    for (const name of names) {
      const isInTable = lines[0]?.includes(name);
      t.is(
        lines.filter((line) => line.startsWith(`${name}  `)).length,
        isInTable ? 0 : 1,
        `${name} at ${columns} columns`,
      );
    }
    return names.filter((name) => !lines[0]?.includes(name));
  };
  for (const columns of [width(whole) - 1, 100, 90, 80]) t.true(width(reportLines(report, columns)) <= columns);
  t.deepEqual(left(width(whole) - 1), ['test images']);
  t.deepEqual(left(90), ['test images', 'parameters']);
  // No narrower than it can be made.
  for (const columns of [80, 20]) t.deepEqual(left(columns), ['test images', 'parameters', 'architecture']);
  t.deepEqual(reportLines(report, 80).slice(0, 13), [
    '         name     size  accuracy  without   gain  images/s  smaller  faster',
    'teacher  big   13.8 MB    82.4 %        -      -      98.0        -       -',
    'student  few    2.2 MB    68.3 %   54.9 %  +13.4     9,800     6.3x    100x',
    'student  rest   2.3 MB    59.0 %   50.0 %   +9.0     9,800     6.0x    100x',
    'router   tiny   4.5 MB    56.8 %   37.4 %  +19.4         -     3.1x       -',
    '',
    ...whole.slice(6, 7).map((line) => line.replace('data      ', 'data          ')),
    'accuracy      right answers on the test images below; a student’s among its own classes; the router’s among all classes',
    ...whole.slice(8, 10).map((line) => `${line.slice(0, 8)}      ${line.slice(10)}`),
    'test images   big 2,000; few 5,000; rest 5,000; tiny 10,000',
    'parameters    big 3,412,345; few 1,234; rest 1,234; tiny 2,468',
    'architecture  big resnet-8; few simple-cnn; rest simple-cnn; tiny 2 students',
  ]);
});

test('a router that did not answer costs the samples alone, and the report says so', (t) => {
  const report = buildReport({ ...INPUT, samples: [], samplesProblem: 'POST http://router failed' });
  t.deepEqual(reportLines(report), [
    ...reportLines(buildReport(INPUT)).slice(0, -2),
    'test images through the router (REST): none, POST http://router failed',
  ]);
});

test('labels of calibrate images are not counted as used where the job file names the rule', (t) => {
  const phases = JOB.phases.filter(({ kind }) => kind !== 'PHASE_KIND_CHOOSE_RULE');
  const lines = reportLines(buildReport({ ...INPUT, job: { ...JOB, phases } }));
  t.is(
    lines[6],
    'data      10,000 training images, of which 500 have labels that were used; 10,000 test images of trees',
  );
});

test('the report for programs has the same numbers', (t) => {
  const { formatVersion, data, teachers, students, route, floors } = JSON.parse(JSON.stringify(buildReport(INPUT)));
  t.is(formatVersion, 1);
  t.deepEqual(data, {
    dataset: 'trees',
    synthetic: null,
    train: 10_000,
    labelled: 500,
    calibrate: 1000,
    test: 10_000,
    skipped: [],
  });
  t.like(teachers[0], { accuracy: 0.824, evaluatedImages: 2000, weightBytes: 13_800_000, predictImagesPerSecond: 98 });
  t.like(students[0], { accuracy: 0.683, control: { accuracy: 0.549 }, timesFaster: 100 });
  t.true(Math.abs(students[0].gain - 0.134) < 1e-12);
  t.like(route, { name: 'tiny', rule: 'dustbin', accuracy: 0.568, choice: { images: 1000 }, weightBytes: 4_500_000 });
  t.like(route.control, { name: 'tiny-control', rule: 'max-softmax', accuracy: 0.374 });
  t.deepEqual(
    floors.map(({ isReached }: { isReached: boolean }) => isReached),
    [true, true, false, true, false],
  );
});

test('samples that were skipped are listed, and how long the training waited for images is told', (t) => {
  const skippedSamples = [3, 40, 41, 77].map((id) => ({ id, source: `train/ash/${id}.jpg`, reason: 'it ends early' }));
  // 1,000 images at 500 a second.
  const waited = {
    imagesPerSecond: 500,
    workers: [
      workerShare('a', 400, { dataWaitMs: 10 }),
      workerShare('b', 600, { dataWaitMs: 34, evaluationMs: 2_345 }),
    ],
  };
  const phases = JOB.phases.map((phase) => (phase.kind === 'PHASE_KIND_CONTROL' ? { ...phase, ...waited } : phase));
  const report = buildReport({ ...INPUT, job: { ...JOB, phases, skippedSamples } });
  t.deepEqual(report.data.skipped, skippedSamples);
  t.is(report.students[0]?.control?.dataWaitShare, 0.017);
  t.is(report.students[0]?.dataWaitShare, null);
  const lines = reportLines(report);
  t.is(
    lines.find((line) => line.startsWith('skipped')),
    'skipped    4 damaged samples: 3 (train/ash/3.jpg: it ends early), 40 (train/ash/40.jpg: it ends early), 41 (train/ash/41.jpg: it ends early) and 1 more',
  );
  const looked = 'looked at the calibrate split for';
  t.true(lines.includes(`data wait  training waited for images at most 1.7 % of its time; it ${looked} at most 2.3 s`));
  t.regex(
    phaseResult(phases[3] as (typeof phases)[0]),
    /500 images\/s, waited for data 1\.7 % of the time, looked at the calibrate split for 2\.3 s/,
  );
});

test('a gain of exactly its floor has reached it', (t) => {
  // 0.59 - 0.5 is a little less than 0.09 in binary.
  const floors = { ...SPEC.evaluate.floors, gain: 0.09 };
  const spec = { ...SPEC, evaluate: { ...SPEC.evaluate, floors } };
  const gains = buildReport({ ...INPUT, spec }).floors.filter(({ what }) => what === 'gain');
  t.deepEqual(
    gains.map(({ isReached }) => isReached),
    [true, true],
  );
});

test('what was not measured is said, not guessed', (t) => {
  const spec = jobSpecFromJson(
    JSON.stringify({
      ...{ apiVersion: 'stillhouse/v1', kind: 'Job', name: 'tiny', data: { dataset: 'trees' } },
      ...{ teachers: [{ name: 'big', arch: 'resnet-8' }], students: [{ name: 'few', arch: 'simple-cnn' }] },
      evaluate: { control: false, routeImages: 0, floors: { teacher: 0.1 } },
    }),
  );
  const job = jobSnapshot('JOB_STATE_FAILED', [
    phaseSnapshot('PHASE_KIND_TRAIN_TEACHER', 'PHASE_STATE_FAILED', 'big', { step: 3, stepsTotal: 10 }),
    phaseSnapshot('PHASE_KIND_DISTIL', 'PHASE_STATE_PENDING', 'few'),
  ]);
  const report = buildReport({ ...INPUT, job, spec, labelledImages: 10_000, samples: [], weightBytes: new Map() });
  t.like(report.students[0], { control: null, gain: null, timesSmaller: null, timesFaster: null, accuracy: null });
  t.like(report.route, { accuracy: null, control: null, choice: null, weightBytes: null });
  t.like(report.floors[0], { value: null, isReached: false });
  t.deepEqual(reportLines(report), [
    '         name  architecture  parameters  size  accuracy  test images  images/s  smaller  faster',
    'teacher  big   resnet-8               -     -         -            -         -        -       -',
    'student  few   simple-cnn             -     -         -            -         -        -       -',
    '',
    'data  10,000 training images, all with their labels; 10,000 test images of trees',
    '',
    'floors:',
    '  teacher big  at least 10.00 %  not measured  MISSED',
  ]);
});

test('the report counts what each epoch has left out, where tails are dropped', (t) => {
  const { teachers, students } = buildReport(INPUT);
  t.deepEqual(
    [teachers[0], students[0], students[0]?.control, students[1]].map((model) => model?.droppedPerEpoch),
    [null, [5, 5, 80], null, null],
  );
});

test('a report of synthetic data says so', (t) => {
  const report = buildReport({ ...INPUT, synthetic: 'digits over photographs' });
  t.is(report.data.synthetic, 'digits over photographs');
  t.true(reportLines(report).includes('synthetic  digits over photographs'));
  t.is(buildReport(INPUT).data.synthetic, null);
});
