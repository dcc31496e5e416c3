import test from 'ava';
import { lastWords } from '../../cli/cluster/child-log.ts';
import type { Job } from '../../cli/coordinator-client.ts';
import { type Phase, ProgressLines } from '../../cli/job-view.ts';
import { buildReport, reportLines } from '../../cli/report.ts';
import { clockTime, grouped, percent, table } from '../../cli/text.ts';
import { jobSpecFromJson } from '../../lib/wire/job-file.ts';

const SPEC = jobSpecFromJson(
  JSON.stringify({
    apiVersion: 'stillhouse/v1',
    kind: 'Job',
    name: 'tiny',
    data: { dataset: 'trees' },
    teachers: [{ name: 'big', arch: 'resnet-8' }],
    students: [{ name: 'few', arch: 'simple-cnn' }],
  }),
);

function phase(kind: Phase['kind'], state: Phase['state'], subject: string, more: Partial<Phase> = {}): Phase {
  return {
    kind,
    state,
    subject,
    step: 0,
    stepsTotal: 0,
    firstLoss: 0,
    loss: 0,
    imagesPerSecond: 0,
    accuracy: 0,
    evaluatedImages: 0,
    workers: [],
    modelDigest: '',
    seconds: 0,
    parameters: 0,
    notice: '',
    ...more,
  };
}

function job(state: Job['state'], phases: Phase[], message = ''): Job {
  const times = { createdAt: '2024-01-01T00:00:00.000Z', endedAt: '' };
  return { id: 'job-1', name: 'tiny', state, message, phases, specJson: '', revision: 1, datasetDigest: '', ...times };
}

test('numbers as people read them', (t) => {
  t.deepEqual([7, 750, 3723].map(clockTime), ['0:07', '12:30', '1:02:03']);
  t.deepEqual([999, 1000, 1234567].map(grouped), ['999', '1,000', '1,234,567']);
  t.deepEqual([0.6125, 1, null].map(percent), ['61.3 %', '100.0 %', '-']);
  t.deepEqual(
    table([
      ['NAME', 'N'],
      ['a', '10'],
      ['bbbbb', '9'],
    ]),
    ['NAME    N', 'a      10', 'bbbbb   9'],
  );
});

test('progress: changes at once, steps now and then, nothing twice', (t) => {
  const lines = new ProgressLines(2000);
  const running = (step: number, seconds: number) =>
    job('JOB_STATE_RUNNING', [
      phase('PHASE_KIND_TRAIN_TEACHER', 'PHASE_STATE_RUNNING', 'big', { step, stepsTotal: 100, loss: 1.5, seconds }),
    ]);
  t.deepEqual(lines.next(job('JOB_STATE_QUEUED', [], 'waits for a student-worker'), 0), ['waits for a student-worker']);
  t.deepEqual(lines.next(job('JOB_STATE_QUEUED', [], 'waits for a student-worker'), 10), []);
  t.deepEqual(lines.next(running(0, 0), 100), ['train teacher big: running']);
  t.deepEqual(lines.next(running(5, 1), 1000), []);
  t.deepEqual(lines.next(running(20, 4), 4000), ['train teacher big: step 20/100, loss 1.500, ETA 0:16']);
  const done = {
    step: 100,
    stepsTotal: 100,
    firstLoss: 2.3,
    loss: 0.5,
    seconds: 20,
    accuracy: 0.5,
    evaluatedImages: 1000,
  };
  const ended = job('JOB_STATE_SUCCEEDED', [phase('PHASE_KIND_TRAIN_TEACHER', 'PHASE_STATE_DONE', 'big', done)]);
  t.deepEqual(lines.next(ended, 4100), [
    'train teacher big: done in 20.0 s, 100 steps, loss 2.300 -> 0.500, accuracy 50.0 % of 1,000 test images',
  ]);
  t.deepEqual(lines.next(ended, 9000), []);
});

test('what users should know of a phase is said once', (t) => {
  const lines = new ProgressLines(2000);
  const running = (notice: string) =>
    job('JOB_STATE_RUNNING', [phase('PHASE_KIND_DISTIL', 'PHASE_STATE_RUNNING', 'few', { notice })]);
  t.deepEqual(lines.next(running(''), 0), ['distil few: running']);
  t.deepEqual(lines.next(running('it is slow'), 100), ['distil few: it is slow']);
  t.deepEqual(lines.next(running('it is slow'), 200), []);
});

test('the report joins what belongs to a student, and says what was not measured', (t) => {
  const model = { step: 10, stepsTotal: 10, parameters: 1234, evaluatedImages: 100 };
  const ended = job('JOB_STATE_SUCCEEDED', [
    phase('PHASE_KIND_TRAIN_TEACHER', 'PHASE_STATE_DONE', 'big', { ...model, accuracy: 0.8 }),
    phase('PHASE_KIND_DISTIL', 'PHASE_STATE_DONE', 'few', { ...model, accuracy: 0.7 }),
    phase('PHASE_KIND_CONTROL', 'PHASE_STATE_DONE', 'few', { ...model, accuracy: 0.6 }),
  ]);
  const sample = { sampleId: 50_007, label: 'ash', predicted: 'elm', probability: 0.5, specialist: 'few' };
  const report = buildReport(ended, SPEC, [sample]);
  t.is(report.students[0]?.accuracy, 0.7);
  t.is(report.students[0]?.control?.accuracy, 0.6);
  t.is(report.route.accuracy, null);
  const text = reportLines(report).join('\n');
  t.regex(text, /teacher +big +resnet-8 +1,234 +80\.0 % +-/);
  t.regex(text, /student +few +simple-cnn +1,234 +70\.0 % +60\.0 %/);
  t.regex(text, /image 50007: ash -> elm \(50\.0 %, specialist few\): wrong/);
  t.notRegex(text, /route tiny/);
});

test('the last words of a log are the reason, not the noise around it', (t) => {
  const json = '{"level":30,"msg":"ending"}';
  t.is(lastWords(`${json}\nrouter: port 1 is in use\n${json}\n`), 'router: port 1 is in use');
  t.is(lastWords(`  at x\nError: no module\n    at y\n\nNode.js v20\n`), 'Error: no module');
  t.is(lastWords(`${json}\nplain`), 'ending | plain');
  t.is(lastWords(''), '');
});
