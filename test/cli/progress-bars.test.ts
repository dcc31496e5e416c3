import { Writable } from 'node:stream';
import test from 'ava';
import type { Job } from '../../cli/coordinator-client.ts';
import { type JobDisplay, startDisplay } from '../../cli/job-display.ts';
import { PhaseRates } from '../../cli/phase-rates.ts';
import { barLines } from '../../cli/progress-bars.ts';
import { monotonicMs } from '../../lib/base/clock.ts';
import { jobSnapshot, phaseSnapshot, workerShare } from '../helpers/job-snapshots.ts';

const STYLE = { full: '#', empty: '.' };

/** A student in the middle of its training, after a teacher and before the publication. */
function training(step: number): Job {
  const epochs = { epoch: 1 + Math.floor(step / 40), epochs: 12, epochLoss: 1.2344, epochAccuracy: 0.567 };
  const counts = { step, stepsTotal: 480, imagesPerSecond: 64, workers: [workerShare('a', 64 * step)], seconds: step };
  return jobSnapshot('JOB_STATE_RUNNING', [
    phaseSnapshot('PHASE_KIND_TRAIN_TEACHER', 'PHASE_STATE_DONE', 'lite0', { seconds: 12 }),
    phaseSnapshot('PHASE_KIND_DISTIL', 'PHASE_STATE_RUNNING', 'first-five', { ...epochs, ...counts }),
    phaseSnapshot('PHASE_KIND_PUBLISH', 'PHASE_STATE_PENDING', 'tiny'),
  ]);
}

function bars(job: Job, columns: number): string[] {
  const rates = new PhaseRates();
  rates.observe(training(75), 1000);
  rates.observe(training(120), 4000);
  return barLines(job, rates, 151, { columns, style: STYLE });
}

test('a bar for the running phase and one for the whole job, as wide as the terminal allows', (t) => {
  const figures = 'epoch 4/12  step 120/480  15.0 steps/s  960 images/s  loss 1.234  accuracy 56.7 %  ETA 0:24';
  t.deepEqual(bars(training(120), 160), [
    `distil first-five  ${'#'.repeat(8)}${'.'.repeat(22)}  ${figures}`,
    `whole job          ${'#'.repeat(13)}${'.'.repeat(17)}  1 of 3 phases, 2:31`,
  ]);
  t.deepEqual(bars(training(120), 124), [
    `distil first-five  ${'#'.repeat(3)}${'.'.repeat(7)}  ${figures}`,
    `whole job          ${'#'.repeat(4)}${'.'.repeat(6)}  1 of 3 phases, 2:31`,
  ]);
  t.deepEqual(bars(training(120), 80), [
    `distil first-five  ${'#'.repeat(5)}${'.'.repeat(15)}  epoch 4/12  step 120/480  ETA 0:24`,
    '                   15.0 steps/s  960 images/s  loss 1.234  accuracy 56.7 %',
    `whole job          ${'#'.repeat(8)}${'.'.repeat(12)}  1 of 3 phases, 2:31`,
  ]);
  for (const columns of [20, 40, 60, 79, 123, 124, 200]) {
    t.true(
      bars(training(120), columns).every((line) => line.length < columns),
      `${columns} columns`,
    );
  }
});

test('a phase without steps has no bar; a job that has not been planned has none at all', (t) => {
  const publishing = phaseSnapshot('PHASE_KIND_PUBLISH', 'PHASE_STATE_RUNNING', 'tiny');
  t.deepEqual(bars(jobSnapshot('JOB_STATE_RUNNING', [publishing]), 80), [
    'publish tiny  running',
    `whole job     ${'.'.repeat(30)}  0 of 1 phases, 2:31`,
  ]);
  t.deepEqual(bars(jobSnapshot('JOB_STATE_QUEUED', []), 80), []);
});

/** A terminal of 100 columns that keeps what is written to it. */
class Terminal extends Writable {
  readonly isTTY = true;
  readonly columns = 100;
  readonly rows = 30;
  written = '';

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.written += chunk.toString();
    done();
  }
}

/** What a display writes of a training that runs and ends, with bars and lines in the order in which they came. */
function show(environment: Record<string, string>): string {
  const terminal = new Terminal();
  const stream = terminal as unknown as NodeJS.WriteStream;
  const out = (line: string) => void terminal.write(`${line}\n`);
  const display: JobDisplay = startDisplay({ stream, environment, out, startedMs: monotonicMs() });
  display.show(training(120));
  display.above(() => out('a word in between'));
  const ended = training(480).phases.map((phase) => ({ ...phase, state: 'PHASE_STATE_DONE' as const }));
  display.show(jobSnapshot('JOB_STATE_SUCCEEDED', ended));
  display.close();
  return terminal.written;
}

/** What is left on the screen: the escape codes that the display uses, obeyed. */
function screenOf(written: string): string[] {
  const lines = [''];
  let row = 0;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal's codes are made of them
  for (const [token] of written.matchAll(/\u001b\[[?\d]*[A-Za-z]|\n|[^\u001b\n]+/g)) {
    if (token === '\n') row += 1;
    else if (token === '\u001b[2K') lines[row] = '';
    else if (token === '\u001b[1A') row -= 1;
    else if (!token.startsWith('\u001b')) lines[row] = (lines[row] ?? '') + token;
    lines[row] ??= '';
  }
  return lines.filter((line) => line !== '');
}

test('on a terminal the bars are redrawn in place; lines above them stay', (t) => {
  const written = show({ TERM: 'xterm', LANG: 'C.UTF-8' });
  t.regex(written, /distil first-five {2}█+░+ {2}epoch 4\/12/);
  t.regex(show({ TERM: 'xterm', LANG: 'C' }), /distil first-five {2}#+\.+ {2}epoch 4\/12/);
  const screen = screenOf(written);
  t.is(screen.length, 4, screen.join('\n'));
  t.regex(screen[0] ?? '', /^\[0:00\] train teacher lite0: done in 12\.0 s/);
  t.is(screen[1], 'a word in between');
  t.regex(screen[2] ?? '', /^\[0:00\] distil first-five: done/);
  t.regex(screen[3] ?? '', /^\[0:00\] publish tiny: done/);
});

test('plain lines where a terminal is not to be drawn on', (t) => {
  for (const environment of [{ TERM: 'xterm', NO_COLOR: '1' }, { TERM: 'dumb' }]) {
    const written = show(environment);
    t.false(written.includes('\u001b'));
    t.regex(written, /\n\[0:00\] distil first-five: epoch 4\/12, step 120\/480, 64\.0 images\/s, loss 1\.234, /);
    t.regex(written, /\na word in between\n/);
  }
});
