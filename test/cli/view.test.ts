import test from 'ava';
import { lastWords } from '../../cli/cluster/child-log.ts';
import { type Phase, ProgressLines, phaseProgress, phaseResult } from '../../cli/job-view.ts';
import { bar, byteSize, clockTime, grouped, percent, points, rate, table, times } from '../../cli/text.ts';
import { jobSnapshot, phaseSnapshot, workerShare } from '../helpers/job-snapshots.ts';

test('numbers as people read them', (t) => {
  t.deepEqual([7, 750, 3723].map(clockTime), ['0:07', '12:30', '1:02:03']);
  t.deepEqual([999, 1000, 1234567].map(grouped), ['999', '1,000', '1,234,567']);
  t.deepEqual([0.6125, 1, null].map(percent), ['61.3 %', '100.0 %', '-']);
  t.deepEqual([0.134, -0.005, 0, null].map(points), ['+13.4', '-0.5', '+0.0', '-']);
  t.deepEqual([0.424, 7.55, 123.4].map(rate), ['0.42', '7.5', '123']);
  t.deepEqual([6.31, 812.4, null].map(times), ['6.3x', '812x', '-']);
  t.deepEqual([0, 999, 2_180_864, 999_999_999, 5e12, null].map(byteSize), [
    '0 B',
    '999 B',
    '2.2 MB',
    '1000.0 MB',
    '5000.0 GB',
    '-',
  ]);
  t.deepEqual(
    [-1, 0, 0.25, 1, 2].map((share) => bar(share, 4, { full: '#', empty: '.' })),
    ['....', '....', '#...', '####', '####'],
  );
  t.deepEqual(
    table([
      ['NAME', 'N'],
      ['a', '10'],
      ['bbbbb', '-9'],
    ]),
    ['NAME    N', 'a      10', 'bbbbb  -9'],
  );
});

test('progress: changes at once, steps now and then, nothing twice', (t) => {
  const lines = new ProgressLines(2000);
  const running = (step: number, seconds: number) =>
    jobSnapshot('JOB_STATE_RUNNING', [
      phaseSnapshot('PHASE_KIND_TRAIN_TEACHER', 'PHASE_STATE_RUNNING', 'big', {
        step,
        stepsTotal: 100,
        loss: 1.5,
        seconds,
      }),
    ]);
  const waiting = jobSnapshot('JOB_STATE_QUEUED', [], 'waits for a student-worker');
  t.deepEqual(lines.next(waiting, 0), ['waits for a student-worker']);
  t.deepEqual(lines.next(waiting, 10), []);
  t.deepEqual(lines.next(running(0, 0), 100), ['train teacher big: running']);
  t.deepEqual(lines.next(running(5, 1), 1000), []);
  t.deepEqual(lines.next(running(20, 4), 4000), ['train teacher big: step 20/100, 5.0 steps/s, loss 1.500, ETA 0:16']);
  const done = {
    step: 100,
    stepsTotal: 100,
    firstLoss: 2.3,
    loss: 0.5,
    seconds: 20,
    accuracy: 0.5,
    evaluatedImages: 1000,
  };
  const ended = jobSnapshot('JOB_STATE_SUCCEEDED', [
    phaseSnapshot('PHASE_KIND_TRAIN_TEACHER', 'PHASE_STATE_DONE', 'big', done),
  ]);
  t.deepEqual(lines.next(ended, 4100), [
    'train teacher big: done in 20.0 s, 100 steps, loss 2.300 -> 0.500, accuracy 50.0 % of 1,000 test images',
  ]);
  t.deepEqual(lines.next(ended, 9000), []);
});

test('no time is told before there is anything to tell it by', (t) => {
  const lines = new ProgressLines(0);
  // What came before the first step is long over; the first steps say little.
  const at = (ms: number, step: number) => {
    const counts = { step, stepsTotal: 1000, loss: 1, seconds: 60 + ms / 1000 };
    const phase = phaseSnapshot('PHASE_KIND_DISTIL', 'PHASE_STATE_RUNNING', 'few', counts);
    return lines.next(jobSnapshot('JOB_STATE_RUNNING', [phase]), ms).join();
  };
  for (const [ms, step] of [
    [0, 1],
    [100, 20],
    [2_900, 30],
  ] as const) {
    t.is(at(ms, step), `distil few: step ${step}/1,000, loss 1.000`);
  }
  t.regex(at(3_000, 31), /10\.0 steps\/s, .*ETA 1:37$/);
});

test('a slow first epoch is no measure of the time that is left', (t) => {
  const lines = new ProgressLines(0);
  const at = (seconds: number, step: number, epoch: number) => {
    const epochs = { epoch, epochs: 10, epochLoss: 1.25, epochAccuracy: 0.5 };
    const workers = [workerShare('a', 16 * step), workerShare('b', 16 * step)];
    const counts = { step, stepsTotal: 1000, imagesPerSecond: (32 * step) / seconds, workers, seconds };
    const phase = phaseSnapshot('PHASE_KIND_TRAIN_TEACHER', 'PHASE_STATE_RUNNING', 'big', { ...epochs, ...counts });
    return lines.next(jobSnapshot('JOB_STATE_RUNNING', [phase]), 1000 * seconds).at(-1);
  };
  // One step a second, then ten.
  for (let second = 1; second <= 100; second++) at(second, second, 1);
  t.regex(at(101, 101, 2) ?? '', /1\.0 steps\/s, 32\.0 images\/s, .*ETA 14:59$/);
  for (let second = 102; second <= 112; second++) at(second, 101 + 10 * (second - 101), 2);
  t.is(
    at(113, 221, 3),
    'train teacher big: epoch 3/10, step 221/1,000, 10.0 steps/s, 320 images/s, loss 1.250, accuracy 50.0 %, ETA 1:18',
  );
  // Begun again on other workers: what was seen before says nothing any more.
  t.notRegex(at(114, 1, 1) ?? '', /steps\/s/);
});

test('phases that train nothing say what they do', (t) => {
  const running = (kind: Phase['kind'], subject: string, step: number) => {
    const counts = { step, stepsTotal: 313, imagesPerSecond: 161.2, workers: [workerShare('a', 32 * step)] };
    return phaseSnapshot(kind, 'PHASE_STATE_RUNNING', subject, { ...counts, seconds: 10 });
  };
  t.is(
    phaseProgress(running('PHASE_KIND_LABEL', 'big', 72)),
    'label by big: batch 72/313, 2,304 images labelled, 161 images/s',
  );
  t.regex(phaseProgress(running('PHASE_KIND_EVALUATE_ROUTE', 'trees', 313)), /batch 313\/313, .*, finishing$/);
  t.is(phaseProgress(running('PHASE_KIND_PUBLISH', 'trees', 0)), 'publish trees: running');
  const ended = { state: 'PHASE_STATE_DONE' } as const;
  t.is(
    phaseResult({ ...running('PHASE_KIND_LABEL', 'big', 313), ...ended }),
    'label by big: done in 10.0 s, 10,016 images labelled, 161 images/s',
  );
  const rules = [
    { rule: 'max-softmax', correct: 480, evaluatedImages: 1000 },
    { rule: 'dustbin', correct: 561, evaluatedImages: 1000 },
  ];
  const about = { seconds: 3, rules, rule: 'dustbin', accuracy: 0.561, evaluatedImages: 1000 };
  t.is(
    phaseResult(phaseSnapshot('PHASE_KIND_CHOOSE_RULE', 'PHASE_STATE_DONE', 'trees', about)),
    'choose rule of trees: done in 3.0 s; max-softmax 48.0 %, dustbin 56.1 % (chosen) of 1,000 calibrate images',
  );
  t.is(
    phaseResult(phaseSnapshot('PHASE_KIND_EVALUATE_ROUTE', 'PHASE_STATE_DONE', 'trees', about)),
    'evaluate route trees: done in 3.0 s, accuracy 56.1 % of 1,000 test images; max-softmax 48.0 %, dustbin 56.1 % (in use)',
  );
});

test('what users should know of a phase is said once', (t) => {
  const lines = new ProgressLines(2000);
  const running = (notice: string) =>
    jobSnapshot('JOB_STATE_RUNNING', [phaseSnapshot('PHASE_KIND_DISTIL', 'PHASE_STATE_RUNNING', 'few', { notice })]);
  t.deepEqual(lines.next(running(''), 0), ['distil few: running']);
  t.deepEqual(lines.next(running('it is slow'), 100), ['distil few: it is slow']);
  t.deepEqual(lines.next(running('it is slow'), 200), []);
});

test('the last words of a log are the reason, not the noise around it', (t) => {
  const json = '{"level":30,"msg":"ending"}';
  t.is(lastWords(`${json}\nrouter: port 1 is in use\n${json}\n`), 'router: port 1 is in use');
  t.is(lastWords(`  at x\nError: no module\n    at y\n\nNode.js v20\n`), 'Error: no module');
  t.is(lastWords(`${json}\nplain`), 'ending | plain');
  t.is(lastWords(''), '');
});
