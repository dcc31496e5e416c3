import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { parse } from 'yaml';
import type { Phase } from '../../../cli/job-view.ts';
import { curvePoints } from '../../../cli/run-folder/curve-points.ts';
import { phaseChanges } from '../../../cli/run-folder/phase-changes.ts';
import { RunRecorder } from '../../../cli/run-folder/recorder.ts';
import { RunFolder } from '../../../cli/run-folder/run-folder.ts';
import { sha256 } from '../../../lib/base/digest.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { storeModel } from '../../../lib/checkpoint/models.ts';
import { createFolderStore } from '../../../lib/checkpoint/store.ts';
import { encodeArtefact, readArtefactFolder } from '../../../lib/model/artefact.ts';
import { jobSpecFromJson } from '../../../lib/wire/job-file.ts';
import { jobSnapshot, phaseSnapshot, workerShare } from '../../helpers/job-snapshots.ts';
import { smallManifest, smallTensors } from '../../helpers/small-model.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const SPEC = jobSpecFromJson(
  JSON.stringify({
    ...{ apiVersion: 'stillhouse/v1', kind: 'Job', name: 'tiny', data: { dataset: 'trees' } },
    ...{ teachers: [{ name: 'big', arch: 'resnet-8' }], students: [{ name: 'few', arch: 'simple-cnn' }] },
  }),
);

const running = (kind: Phase['kind'], subject: string, more: Partial<Phase>) =>
  phaseSnapshot(kind, 'PHASE_STATE_RUNNING', subject, { stepsTotal: 10, ...more });

async function rowsOf({ metrics }: RunFolder): Promise<Record<string, unknown>[]> {
  const lines = (await readFile(metrics, 'utf8')).split('\n');
  return lines.slice(0, -1).map((line) => JSON.parse(line));
}

test('metrics are a row per progress and one per end, each a whole line at once', async (t) => {
  const folder = new RunFolder(path.join(await tempFolder(t), 'runs', 'tiny'), SPEC);
  const recorder = new RunRecorder(folder, createFolderStore(await tempFolder(t)), t.fail);
  const training = {
    step: 4,
    epoch: 1,
    epochs: 2,
    loss: 1.5,
    epochLoss: 1.75,
    epochAccuracy: 0.25,
    imagesPerSecond: 64,
  };
  recorder.observe(jobSnapshot('JOB_STATE_RUNNING', [running('PHASE_KIND_DISTIL', 'few', {})]));
  recorder.observe(jobSnapshot('JOB_STATE_RUNNING', [running('PHASE_KIND_DISTIL', 'few', training)]));
  recorder.observe(jobSnapshot('JOB_STATE_RUNNING', [running('PHASE_KIND_DISTIL', 'few', training)]));
  const [first, ...none] = await rowsOf(folder);
  t.deepEqual(none, []);
  const { time, ...row } = first ?? {};
  t.regex(String(time), /^\d{4}-\d\d-\d\dT.*Z$/);
  const head = { phase: 'distil', subject: 'few' };
  t.deepEqual(row, { ...head, event: 'progress', ...training, stepsTotal: 10, seconds: 0 });

  const result = { accuracy: 0.75, evaluatedImages: 100, predictImagesPerSecond: 900, parameters: 12, seconds: 3 };
  // 64 images at 64 a second, of which one worker waited for 20 ms.
  const workers = [workerShare('a', 24, { dataWaitMs: 5 }), workerShare('b', 40, { dataWaitMs: 20 })];
  const done = running('PHASE_KIND_DISTIL', 'few', { ...training, step: 10, ...result, workers, firstLoss: 2 });
  const rules = [{ rule: 'dustbin', correct: 6, evaluatedImages: 10 }];
  const chosen = running('PHASE_KIND_CHOOSE_RULE', 'trees', { rules, rule: 'dustbin' });
  const ended = [done, chosen].map((phase) => ({ ...phase, state: 'PHASE_STATE_DONE' as const }));
  recorder.observe(jobSnapshot('JOB_STATE_SUCCEEDED', ended));
  recorder.close();
  const [, moved, end, choice, ...others] = (await rowsOf(folder)).map(({ time: _, ...fields }) => fields);
  t.deepEqual(others, []);
  t.deepEqual(moved, { ...head, event: 'progress', ...training, step: 10, stepsTotal: 10, seconds: 3 });
  const losses = { firstLoss: 2, loss: 1.5, step: 10, imagesPerSecond: 64, dataWaitShare: 0.02 };
  t.deepEqual(end, { ...head, event: 'done', ...result, ...losses, workers: 2 });
  t.deepEqual(choice, {
    ...{ phase: 'choose-rule', subject: 'trees', event: 'done', seconds: 0, workers: 0, rule: 'dustbin', rules },
  });
  t.deepEqual(await readdir(folder.tensorboard), ['distil-few']);
});

test('the latest two checkpoints of a phase are kept as they were stored', async (t) => {
  const folder = new RunFolder(await tempFolder(t), SPEC);
  const objects = createFolderStore(await tempFolder(t));
  const recorder = new RunRecorder(folder, objects, t.fail);
  const digests: string[] = [];
  for (let epoch = 1; epoch <= 4; epoch++) {
    digests.push(await storeModel(objects, encodeArtefact(smallManifest, smallTensors(epoch))));
    const checkpoint = { checkpointDigest: digests[epoch - 1] as string, checkpointEpoch: epoch };
    recorder.observe(
      jobSnapshot('JOB_STATE_RUNNING', [
        running('PHASE_KIND_DISTIL', 'few', checkpoint),
        running('PHASE_KIND_TRAIN_TEACHER', 'big', epoch === 2 ? checkpoint : {}),
      ]),
    );
    await recorder.settled();
  }
  recorder.close();
  t.deepEqual((await readdir(folder.checkpoints)).sort(), ['distil-few', 'train-teacher-big']);
  t.deepEqual(await readdir(path.join(folder.checkpoints, 'train-teacher-big')), ['epoch-0002']);
  const few = path.join(folder.checkpoints, 'distil-few');
  t.deepEqual((await readdir(few)).sort(), ['epoch-0003', 'epoch-0004']);
  for (const epoch of [3, 4]) await readArtefactFolder(path.join(few, `epoch-000${epoch}`), digests[epoch - 1]);
  t.pass();
});

test('a checkpoint that cannot be had is said once and costs nothing else', async (t) => {
  const folder = new RunFolder(await tempFolder(t), SPEC);
  const objects = createFolderStore(await tempFolder(t));
  const notes: string[] = [];
  const recorder = new RunRecorder(folder, objects, (line) => notes.push(line));
  const observe = async (checkpointDigest: string, checkpointEpoch: number) => {
    const checkpoint = { step: checkpointEpoch, checkpointDigest, checkpointEpoch };
    recorder.observe(jobSnapshot('JOB_STATE_RUNNING', [running('PHASE_KIND_DISTIL', 'few', checkpoint)]));
    await recorder.settled();
  };
  await observe(sha256('lost'), 1);
  await observe(sha256('lost too'), 2);
  const digest = await storeModel(objects, encodeArtefact(smallManifest, smallTensors()));
  await observe(digest, 3);
  recorder.close();
  t.is(notes.length, 1);
  t.regex(notes[0] ?? '', /^a checkpoint of distil-few could not be kept, the run goes on: .*no object sha256:/);
  t.is((await rowsOf(folder)).length, 3);
  t.deepEqual(await readdir(path.join(folder.checkpoints, 'distil-few')), ['epoch-0003']);
});

test('a run takes the place of the earlier one; its models stay until there are others', async (t) => {
  const root = path.join(await tempFolder(t), 'tiny');
  new RunFolder(root, SPEC).release();
  for (const file of ['checkpoints/old', 'tensorboard/old', 'logs/old', 'models/few/model.json', 'report.json']) {
    await mkdir(path.join(root, path.dirname(file)), { recursive: true });
    await writeFile(path.join(root, file), 'old');
  }
  await writeFile(path.join(root, 'metrics.jsonl'), 'old');
  await writeFile(path.join(root, 'notes.txt'), 'of the user');
  const folder = new RunFolder(root, SPEC);
  t.deepEqual((await readdir(root)).sort(), ['job.yaml', 'logs', 'models', 'notes.txt', 'run.pid']);
  t.deepEqual(await readdir(folder.logs), []);
  t.deepEqual(parse(await readFile(path.join(root, 'job.yaml'), 'utf8')), JSON.parse(JSON.stringify(SPEC)));
  t.false(existsSync(folder.checkpoints));

  folder.writeReport({ formatVersion: 1 });
  const [where, ...entries] = folder.contents();
  t.is(where, `in ${root}:`);
  t.deepEqual(
    entries.map((line) => line.trim().split(' ')[0]),
    ['job.yaml', 'report.json', 'models'],
  );
});

test('a folder with other things in it is refused and stays as it is', async (t) => {
  const parent = await tempFolder(t);
  const foreign = { code: 'FAILED_PRECONDITION', field: '--out' };
  for (const [index, file] of ['checkpoints/mine', 'metrics.jsonl', 'report.json', 'job.yaml'].entries()) {
    const root = path.join(parent, String(index));
    await mkdir(path.join(root, path.dirname(file)), { recursive: true });
    await writeFile(path.join(root, file), 'name: mine\n');
    const error = t.throws(() => new RunFolder(root, SPEC), { instanceOf: StillhouseError });
    t.like(error, foreign);
    t.regex(error?.message ?? '', new RegExp(`/${index} is not empty and not the folder of a run`));
    t.regex(error?.hint ?? '', /another folder with --out/);
    t.is(await readFile(path.join(root, file), 'utf8'), 'name: mine\n');
    t.is((await readdir(root)).length, 1);
  }
  const file = path.join(parent, 'file');
  await writeFile(file, '');
  t.like(
    t.throws(() => new RunFolder(file, SPEC), { message: /file is a file, expected a folder/ }),
    foreign,
  );
  t.notThrows(() => new RunFolder(path.join(parent, 'new', 'deep'), SPEC).release());
});

test('two runs do not write to one folder; a killed one does not keep it', async (t) => {
  const root = await tempFolder(t);
  const first = new RunFolder(root, SPEC);
  first.writeReport({ formatVersion: 1 });
  const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  t.teardown(() => other.kill('SIGKILL'));
  const lock = path.join(root, 'run.pid');
  for (const holder of [process.pid, other.pid as number]) {
    await writeFile(lock, `${holder}\n`);
    const error = t.throws(() => new RunFolder(root, SPEC), { code: 'FAILED_PRECONDITION' });
    t.regex(error?.message ?? '', new RegExp(`^another run is writing to .* \\(process ${holder}\\)$`));
    t.true(existsSync(path.join(root, 'report.json')));
    t.is(await readFile(lock, 'utf8'), `${holder}\n`);
  }
  other.kill('SIGKILL');
  await once(other, 'exit');
  first.release();
  // Of a run that was killed, and in a container of one with this very process id.
  for (const left of [other.pid, process.pid]) {
    await writeFile(lock, `${left}\n`);
    if (left !== process.pid) new RunFolder(root, SPEC).release();
  }
  const second = new RunFolder(root, SPEC);
  t.false(existsSync(path.join(root, 'report.json')));
  t.is(Number.parseInt(await readFile(lock, 'utf8'), 10), process.pid);
  second.release();
  t.false(existsSync(lock));
});

test('curves: a point per finished epoch, at its last step, however few of its steps were seen', (t) => {
  const seen = [
    { step: 0 },
    { step: 3, epoch: 2, epochLoss: 9, finishedEpoch: 1, finishedEpochLoss: 3, finishedEpochAccuracy: 0.25 },
    { step: 4, epoch: 2, epochLoss: 8, finishedEpoch: 2, finishedEpochLoss: 2, finishedEpochAccuracy: 0.5 },
    { step: 5, epoch: 3, epochLoss: 7, finishedEpoch: 2, finishedEpochLoss: 2, finishedEpochAccuracy: 0.5 },
    // Epochs 3 and 4 ended between two snapshots.
    { step: 9, epoch: 5, epochLoss: 6, finishedEpoch: 4, finishedEpochLoss: 1, finishedEpochAccuracy: 0.75 },
    { step: 10, epoch: 5, epochLoss: 5, finishedEpoch: 5, finishedEpochLoss: 0.5, finishedEpochAccuracy: 1 },
  ];
  const pointsOf = (epochs: number) => {
    const jobs = seen.map((more) =>
      jobSnapshot('JOB_STATE_RUNNING', [running('PHASE_KIND_DISTIL', 'few', { ...more, epochs })]),
    );
    return jobs
      .flatMap((job, index) => curvePoints(phaseChanges(jobs[index - 1], job)))
      .filter(({ scalars }) => 'epoch/loss' in scalars)
      .map(({ run, step, scalars }) => [run, step, scalars['epoch/loss'], scalars['epoch/accuracy']]);
  };
  const run = 'distil-few';
  t.deepEqual(pointsOf(5), [
    [run, 2, 3, 0.25],
    [run, 4, 2, 0.5],
    [run, 8, 1, 0.75],
    [run, 10, 0.5, 1],
  ]);
  // Ten steps are no whole number of four epochs: the step at which it was seen.
  t.deepEqual(
    pointsOf(4).map(([, step]) => step),
    [3, 4, 9, 10],
  );
});
