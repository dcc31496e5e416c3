import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import type { Job } from '../../../cli/coordinator-client.ts';
import { type CurvePoint, curvePoints } from '../../../cli/run-folder/curve-points.ts';
import { EventFiles } from '../../../cli/run-folder/event-files.ts';
import { phaseChanges } from '../../../cli/run-folder/phase-changes.ts';
import { createRandom } from '../../../lib/base/random.ts';
import { readCurvesWithTensorboard, readEvents } from '../../helpers/event-reader.ts';
import { jobSnapshot, phaseSnapshot } from '../../helpers/job-snapshots.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const SEED = 11;
const WALL_TIME = 1_700_000_000.25;

/** Two runs; steps grow past 32 bits. */
function somePoints(): CurvePoint[] {
  const random = createRandom(SEED);
  return Array.from({ length: 40 }, (_, index) => ({
    run: index % 2 === 0 ? 'train-teacher-big' : 'distil-few',
    step: 7 ** (index % 13),
    scalars: { loss: random.nextNormal(), 'epoch/accuracy': random.nextFloat() },
  }));
}

/** As a float32, which is what the files hold. */
const stored = (scalars: CurvePoint['scalars']) =>
  Object.fromEntries(Object.entries(scalars).map(([tag, value]) => [tag, Math.fround(value)]));

async function writeSome(folder: string): Promise<void> {
  const files = new EventFiles(folder);
  for (const [index, point] of somePoints().entries()) files.add([point], WALL_TIME + index);
  files.close();
}

test(`a reader of our own, which shares no code with the writer, finds framing, checksums and values as written (seed ${SEED})`, async (t) => {
  const folder = await tempFolder(t);
  await writeSome(folder);
  t.deepEqual((await readdir(folder)).sort(), ['distil-few', 'train-teacher-big']);
  for (const [start, run] of ['train-teacher-big', 'distil-few'].entries()) {
    const [name, ...others] = await readdir(path.join(folder, run));
    t.deepEqual(others, []);
    t.regex(name ?? '', /^events\.out\.tfevents\.170000000[01]\./);
    const [first, ...events] = readEvents(await readFile(path.join(folder, run, name ?? '')));
    t.deepEqual(first, { wallTime: WALL_TIME + start, step: 0, fileVersion: 'brain.Event:2', scalars: {} });
    const expected = [...somePoints().entries()].filter(([, point]) => point.run === run);
    t.deepEqual(
      events,
      expected.map(([index, { step, scalars }]) => {
        return { wallTime: WALL_TIME + index, step, fileVersion: undefined, scalars: stored(scalars) };
      }),
    );
  }
});

test(`TensorBoard's own reader finds the values as written (seed ${SEED})`, async (t) => {
  const folder = await tempFolder(t);
  await writeSome(folder);
  const found = await readCurvesWithTensorboard(folder);
  t.deepEqual(Object.keys(found), ['distil-few', 'train-teacher-big']);
  for (const [run, curves] of Object.entries(found)) {
    const expected = [...somePoints().entries()].filter(([, point]) => point.run === run);
    t.deepEqual(Object.keys(curves).sort(), ['epoch/accuracy', 'loss']);
    for (const [tag, curve] of Object.entries(curves)) {
      t.deepEqual(
        curve,
        expected.map(([index, { step, scalars }]) => [WALL_TIME + index, step, stored(scalars)[tag] as number]),
      );
    }
  }
});

test('what was written can be read although nothing was closed', async (t) => {
  const folder = await tempFolder(t);
  const files = new EventFiles(folder);
  t.teardown(() => files.close());
  files.add([{ run: 'distil-few', step: 1, scalars: { loss: 0.5 } }], WALL_TIME);
  const [name] = await readdir(path.join(folder, 'distil-few'));
  const events = readEvents(await readFile(path.join(folder, 'distil-few', name ?? '')));
  t.deepEqual(
    events.map(({ scalars }) => scalars),
    [{}, { loss: 0.5 }],
  );
});

test('a finished epoch has one point, at its last step; the end of a phase has the test accuracy', (t) => {
  const at = (step: number, finishedEpoch: number, finishedEpochAccuracy: number, done = false): Job => {
    const state = done ? 'PHASE_STATE_DONE' : 'PHASE_STATE_RUNNING';
    const finished = { finishedEpoch, finishedEpochLoss: 2 - finishedEpochAccuracy, finishedEpochAccuracy };
    // What is seen of an epoch in the middle of it is no point of its curve.
    const current = { epoch: Math.min(2, finishedEpoch + 1), epochs: 2, epochLoss: 9, epochAccuracy: 0.125 };
    const test = done ? { accuracy: 0.75, evaluatedImages: 100 } : {};
    const figures = { step, stepsTotal: 20, loss: 1, imagesPerSecond: 64, ...current, ...finished, ...test };
    const phase = phaseSnapshot('PHASE_KIND_DISTIL', state, 'few', figures);
    const choice = { rules: [], accuracy: 0.5, evaluatedImages: 100 };
    const rule = phaseSnapshot('PHASE_KIND_CHOOSE_RULE', done ? state : 'PHASE_STATE_PENDING', 'trees', choice);
    return jobSnapshot('JOB_STATE_RUNNING', [phase, rule]);
  };
  const jobs = [at(0, 0, 0), at(3, 0, 0), at(9, 0, 0), at(9, 0, 0), at(12, 1, 0.5), at(20, 2, 0.75, true)];
  const points = jobs.flatMap((job, index) => curvePoints(phaseChanges(jobs[index - 1], job)));
  const run = 'distil-few';
  const progress = { loss: 1, images_per_second: 64 };
  t.deepEqual(points, [
    { run, step: 3, scalars: progress },
    { run, step: 9, scalars: progress },
    { run, step: 10, scalars: { 'epoch/loss': 1.5, 'epoch/accuracy': 0.5 } },
    { run, step: 12, scalars: progress },
    { run, step: 20, scalars: { 'epoch/loss': 1.25, 'epoch/accuracy': 0.75 } },
    // What is chosen on the calibrate split is no test accuracy: the other phase has no point.
    { run, step: 20, scalars: { ...progress, 'test/accuracy': 0.75 } },
  ]);
});
