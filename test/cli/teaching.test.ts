/** What is said of teachers: in a job's lines, in its report, in the run's metrics. */
import test from 'ava';
import { ProgressLines, phaseProgress, phaseResult } from '../../cli/job-view.ts';
import { buildReport } from '../../cli/report.ts';
import { reportLines } from '../../cli/report-lines.ts';
import { metricRows } from '../../cli/run-folder/metric-rows.ts';
import { teachingLines, teachingOf } from '../../cli/teaching.ts';
import { jobSpecFromJson } from '../../lib/wire/job-file.ts';
import { jobSnapshot, phaseSnapshot, teacherShare, workerShare } from '../helpers/job-snapshots.ts';

const ADVICE = 'students wait for logits: add 2 teacher-workers (3 in all)';

/** 1,000 samples at 500 a second; 400 of them from the worker's own cache, 100 of the others from the teachers'. */
const DISTIL = phaseSnapshot('PHASE_KIND_DISTIL', 'PHASE_STATE_DONE', 'few', {
  ...{ step: 20, stepsTotal: 20, epoch: 4, epochs: 9, imagesPerSecond: 500, seconds: 3, advice: ADVICE },
  ...{ teachersWanted: 3, bestEpoch: 2, bestAccuracy: 0.612, stoppedEarly: true, modelDigest: 'F' },
  workers: [
    workerShare('student-1', 400, {
      ...{ teacherSamples: 400, cachedSamples: 400, teacherWaitMs: 10, batchesResent: 1 },
    }),
    workerShare('student-2', 600, {
      ...{ teacherSamples: 600, teacherWaitMs: 500, duplicateAnswers: 2, logitsBytesReceived: 12_000 },
    }),
  ],
  teachers: [
    teacherShare('teacher-1', 'big', {
      ...{ samplesServed: 500, samplesComputed: 400, samplesCached: 100, computeMs: 600, servingMs: 1000 },
      ...{ bytesSent: 10_000, samplesQueued: 16 },
    }),
    teacherShare('teacher-2', 'big', { samplesServed: 100, samplesRepeated: 100, bytesSent: 4_000, batchesRefused: 7 }),
  ],
});

const CONTROL = phaseSnapshot('PHASE_KIND_CONTROL', 'PHASE_STATE_DONE', 'few', { workers: [workerShare('s', 10)] });

test('a phase tells how its student got its logits', (t) => {
  const teaching = teachingOf(DISTIL);
  t.like(teaching, {
    ...{ waitShare: 0.25, samples: 1000, cachedShare: 0.5, bytesPerSample: 20, resentBatches: 1, duplicateAnswers: 2 },
    teachersWanted: 3,
  });
  t.deepEqual(teachingLines(teaching as NonNullable<typeof teaching>), [
    '1,000 samples with logits, 50.0 % from the cache, 20.0 bytes a sample from teachers, 1 batch sent again, 2 duplicate answers',
    'teacher  on           busy  queued  samples  cached  repeated  refused  bytes/sample',
    'big      teacher-1  60.0 %      16      500  20.0 %         0        0          20.0',
    'big      teacher-2       -       0      100   0.0 %       100        7          20.0',
    ADVICE,
  ]);
  t.is(teachingOf(CONTROL), null);
  t.is(teachingOf({ ...DISTIL, workers: [], teachers: [], advice: '' }), null);
});

test('the answers of two teachers for one sample count as two, one from the cache as half', (t) => {
  const workers = [workerShare('s', 100, { teacherSamples: 100, logitsBytesReceived: 800 })];
  const teachers = [
    teacherShare('t', 'one', { samplesServed: 100, samplesCached: 100 }),
    teacherShare('t', 'other', { samplesServed: 100, samplesComputed: 100 }),
  ];
  t.like(teachingOf({ ...DISTIL, workers, teachers }), { cachedShare: 0.5, bytesPerSample: 4 });
  const half = [workerShare('s', 100, { teacherSamples: 100, cachedSamples: 100, logitsBytesReceived: 800 })];
  const served = teachers.map((one) => ({ ...one, samplesCached: 0 }));
  t.like(teachingOf({ ...DISTIL, workers: half, teachers: served }), { cachedShare: 0.5, bytesPerSample: 8 });
  // Both are stored, and no teacher-worker was there; some of it is for steps that are never taken.
  const all = [workerShare('s', 100, { teacherSamples: 100, cachedSamples: 240 })];
  t.like(teachingOf({ ...DISTIL, workers: all, teachers: [] }), { cachedShare: 1, bytesPerSample: null });
  // One teacher's answers for steps to come are not another teacher's.
  const ahead = [workerShare('s', 100, { teacherSamples: 100, cachedSamples: 130 })];
  t.like(teachingOf({ ...DISTIL, workers: ahead, teachers: teachers.slice(1) }), { cachedShare: 1 });
});

test('lines name the wait, the epoch that was kept, and advice when it changes', (t) => {
  t.is(
    phaseResult(DISTIL),
    'distil few: done in 3.0 s, 20 steps, loss 0.000 -> 0.000, 500 images/s, waited for data 0.0 % of the time, ' +
      'waited for logits 25.0 % of the time, stopped early, epoch 2 of 4 kept (61.2 % on the calibrate split)',
  );
  const running = { ...DISTIL, state: 'PHASE_STATE_RUNNING' as const };
  t.regex(phaseProgress(running), /500 images\/s, waits for logits 25\.0 % of the time, loss/);
  const lines = new ProgressLines(Number.POSITIVE_INFINITY);
  const snapshot = (advice: string) => jobSnapshot('JOB_STATE_RUNNING', [{ ...running, advice }]);
  t.deepEqual(lines.next(snapshot(''), 0), []);
  t.deepEqual(lines.next(snapshot(ADVICE), 1), [`distil few: ${ADVICE}`]);
  t.deepEqual(lines.next(snapshot(ADVICE), 2), []);
  t.deepEqual(lines.next(snapshot('other'), 3), ['distil few: other']);
  t.is(
    phaseResult(phaseSnapshot('PHASE_KIND_EVALUATE_TEACHER', 'PHASE_STATE_DONE', 'onnx', { seconds: 2 })),
    'evaluate teacher onnx: done in 2.0 s',
  );
});

test('the metrics of a run and its report have the same figures', (t) => {
  const change = { phase: DISTIL, hasMoved: false, hasFinishedEpoch: false, hasEnded: true };
  const [row] = metricRows([change], '2024-01-01T00:00:00.000Z');
  const best = { epoch: 2, accuracy: 0.612, stoppedEarly: true };
  t.deepEqual(row?.teaching, teachingOf(DISTIL));
  t.deepEqual(row?.best, best);
});

test('given teachers and assistants are named in the report; an assistant is no part of the route', (t) => {
  const spec = jobSpecFromJson(
    JSON.stringify({
      ...{ apiVersion: 'stillhouse/v1', kind: 'Job', name: 'tiny', data: { dataset: 'trees', calibrate: 100 } },
      teachers: [
        { name: 'remote', from: { type: 'endpoint', url: 'grpc://gpu:8001', model: 'vit' } },
        { name: 'file', from: { type: 'onnx', path: '/models/file.onnx' } },
        {
          name: 'zoo',
          from: { type: 'weights', weights: 'pretrained:efficientnet-lite0', arch: 'efficientnet-lite0' },
        },
      ],
      students: [
        { name: 'middle', arch: 'resnet-8', assistant: true, teachers: ['remote', 'file'] },
        { name: 'few', arch: 'simple-cnn', teachers: ['middle'] },
      ],
      evaluate: { control: false, routeImages: 0 },
      train: { earlyStopping: { patience: 2 } },
    }),
  );
  const job = jobSnapshot('JOB_STATE_SUCCEEDED', [
    phaseSnapshot('PHASE_KIND_EVALUATE_TEACHER', 'PHASE_STATE_DONE', 'remote', {
      ...{ accuracy: 0.9, evaluatedImages: 50, modelDigest: 'R' },
    }),
    phaseSnapshot('PHASE_KIND_DISTIL', 'PHASE_STATE_DONE', 'middle', { parameters: 500, modelDigest: 'M' }),
    { ...DISTIL, parameters: 100 },
  ]);
  const report = buildReport({
    ...{ job, spec, trainImages: 1000, labelledImages: 1000, testImages: 50, synthetic: null },
    ...{ samples: [], samplesProblem: null, weightBytes: new Map(), droppedPerEpoch: new Map() },
  });
  t.deepEqual(
    report.teachers.map(({ name, arch, accuracy }) => [name, arch, accuracy]),
    [
      ['remote', 'vit at grpc://gpu:8001', 0.9],
      ['file', 'ONNX', null],
      ['zoo', 'efficientnet-lite0', null],
    ],
  );
  t.deepEqual(
    report.students.map(({ assistant, taughtBy }) => [assistant, taughtBy]),
    [
      [true, ['remote', 'file']],
      [false, ['middle']],
    ],
  );
  t.is(report.route.parameters, 100);
  const lines = reportLines(report);
  t.true(
    lines.some((line) => /^assistant +middle +resnet-8 +500/.test(line)),
    lines.join('\n'),
  );
  t.true(lines.includes('few was taught by middle; it waited for logits 25.0 % of its time'));
  t.true(lines.includes(`  ${ADVICE}`));
  const kept = 'few as it was after epoch 2 (61.2 % of the calibrate split, where training stopped early)';
  t.true(
    lines.some((line) => line.startsWith('epochs') && line.endsWith(kept)),
    lines.join('\n'),
  );
});
