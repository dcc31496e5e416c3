/** A teacher's training task in one process: a real compute thread, a real data set, the bus in memory. */
import test, { type ExecutionContext } from 'ava';
import type { StillhouseError } from '../../../lib/base/errors.ts';
import { loadDropped } from '../../../lib/checkpoint/dropped.ts';
import { loadModel, storeModel } from '../../../lib/checkpoint/models.ts';
import { createMemoryStore, type ObjectStore } from '../../../lib/checkpoint/store.ts';
import type { Dataset } from '../../../lib/data/dataset.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import { Compute } from '../../../lib/distill/compute.ts';
import { evaluate, onImages } from '../../../lib/distill/evaluate.ts';
import { openModel } from '../../../lib/distill/predictor.ts';
import { configureEngine } from '../../../lib/engine/environment.ts';
import { networkOf } from '../../../lib/model/manifest-network.ts';
import { exportTensors } from '../../../lib/model/parameters.ts';
import { architectureNamed } from '../../../lib/model/zoo.ts';
import { type JobSpec, parseJobFile } from '../../../lib/wire/job-file.ts';
import { planTeacher } from '../../../lib/wire/job-plan.ts';
import { MemoryBroker } from '../../../lib/wire/memory-bus.ts';
import type { TaskContext, TaskProgressFields, TaskReadyFields, TaskResult } from '../../../lib/wire/task-runner.ts';
import { TeacherTrainer } from '../../../services/teacher-worker/train-task.ts';
import { silent } from '../../helpers/logger.ts';
import { artefactOf, PREPROCESSING, randomModel, relativeError } from '../../helpers/random-model.ts';
import { sameValues } from '../../helpers/same-values.ts';
import { writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const SEED = 20_261_121;
const NOTHING = new Float32Array(0);
const WIDE = { height: 40, width: 40, channels: 3 };

configureEngine({ intraOpThreads: 1, interOpThreads: 1 });
const compute = new Compute();
test.after.always(() => compute.close());

async function openTrees(t: ExecutionContext, train: number): Promise<Dataset> {
  const root = await tempFolder(t);
  const files = [
    ['train', train],
    ['test', 10],
  ] as const;
  await writeSmallDataset(root, 'trees', { files });
  const dataset = await openDataset(root, 'trees');
  t.teardown(() => dataset.close());
  return dataset;
}

interface GroupRun {
  /** By member. */
  readonly results: readonly TaskResult[];
  readonly ready: readonly TaskReadyFields[];
  /** Of the first member. */
  readonly progress: readonly TaskProgressFields[];
}

/** The teacher `big` of the job, trained by workers with so many lanes each. */
async function trainTogether(
  job: JobSpec,
  blocks: readonly number[],
  { datasets, objects = createMemoryStore() }: { datasets: readonly Dataset[]; objects?: ObjectStore },
): Promise<GroupRun> {
  const broker = new MemoryBroker();
  const members = blocks.map((lanes, index) => {
    const firstLane = blocks.slice(0, index).reduce((sum, count) => sum + count, 0);
    return { workerId: `teacher-${index}`, firstLane, lanes };
  });
  const ready: TaskReadyFields[] = [];
  const progress: TaskProgressFields[] = [];
  const command = { teacher: 'big', view: { number: 1, members } };
  const trainers = members.map(() => new TeacherTrainer());
  const results = await Promise.all(
    trainers.map((trainer, self) => {
      const task: TaskContext = {
        signal: new AbortController().signal,
        leaderEpoch: 1,
        begun: Promise.resolve(),
        ready: (fields) => ready.push(fields),
        progress: (fields) => self === 0 && progress.push(fields),
        note: () => undefined,
        onTeachers: () => undefined,
      };
      const dataset = (datasets[self] ?? datasets[0]) as Dataset;
      const member = { jobId: 'job-1', job, leaderEpoch: 1, workerId: `teacher-${self}`, command, dataset };
      return trainer.run({ ...member, compute, bus: broker.connect(), objects, logger: silent }, task);
    }),
  );
  for (const trainer of trainers) trainer.close();
  return { results, ready, progress };
}

function job(init: string, views: string): JobSpec {
  return parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: trees, seed: 5,
    data: {dataset: trees, views: ${views}},
    teachers: [{name: big, arch: resnet-8, init: "${init}", fineTune: head,
      train: {lanes: 2, microBatch: 4, epochs: 3, tail: drop, optimizer: {type: sgd, learningRate: 0.1}}}],
    students: [{name: few, arch: simple-cnn}]}`);
}

test.serial(`only the head moves, whether the images are the same in each epoch or not (seed ${SEED})`, async (t) => {
  const dataset = await openTrees(t, 30);
  const objects = createMemoryStore();
  const before = randomModel(architectureNamed('resnet-8'), WIDE, 6, SEED);
  const images = { ...WIDE, height: 32, width: 32 };
  const classNames = ['cat', 'cow', 'dog', 'fox', 'hen', 'owl'];
  const init = await storeModel(objects, artefactOf(before, classNames, images));

  const train = async (views: string) => {
    const { ready, results } = await trainTogether(job(init, views), [2], { datasets: [dataset], objects });
    const result = results[0] as TaskResult;
    t.is(ready.length, 1);
    t.is(ready[0]?.notice, '');
    t.is(ready[0]?.stepsTotal, result.last?.step);
    const { epochs } = await loadDropped(objects, result.droppedDigest ?? '');
    t.deepEqual(
      epochs.map(({ length }) => length),
      [6, 6, 6],
    );
    return await loadModel(objects, result.modelDigest ?? '');
  };
  const kept = await train('{}');
  for (const [name, { values }] of kept.tensors) {
    if (!name.startsWith('fc.')) t.true(sameValues(values, before.tensors.get(name)?.values ?? NOTHING), name);
  }
  t.deepEqual(kept.tensors.get('fc.weight')?.shape, [4, 64]);
  // What the images looked like to the model that it started from: their size in the network, their normalisation.
  t.is(networkOf(kept.manifest).input.height, WIDE.height);
  t.deepEqual(kept.manifest.input, images);
  t.deepEqual(kept.manifest.preprocessing, {
    ...PREPROCESSING,
    mean: [...PREPROCESSING.mean],
    std: [...PREPROCESSING.std],
  });

  // A flip changes every other image, so nothing can be kept: another head, and the same layers before it.
  const flipped = await train('{flip: true}');
  const [one, other] = [kept, flipped].map(({ tensors }) => tensors.get('fc.weight')?.values ?? NOTHING);
  const difference = relativeError(one ?? NOTHING, other ?? NOTHING);
  t.true(difference > 1e-4 && difference < 1, String(difference));
  t.true(
    sameValues(
      flipped.tensors.get('conv1.weight')?.values ?? NOTHING,
      before.tensors.get('conv1.weight')?.values ?? NOTHING,
    ),
  );
});

/** A job that looks at 24 images after each epoch. */
function chosen(...overrides: string[]): JobSpec {
  return parseJobFile(
    `{apiVersion: stillhouse/v1, kind: Job, name: trees, seed: 5,
    data: {dataset: trees, calibrate: 24, views: {flip: true}},
    teachers: [{name: big, arch: resnet-8, train: {lanes: 3, microBatch: 4, epochs: 6, workers: 3, checkpointEpochs: 1,
      earlyStopping: {patience: 2}, optimizer: {type: sgd, learningRate: 0.1, momentum: 0.9}}}],
    students: [{name: few, arch: simple-cnn}]}`,
    { overrides },
  );
}

/** The same data set: which samples were looked at is noted, and the labels of the test images are others. */
function watched(dataset: Dataset, loaded: { add(id: number): void }): Dataset {
  const testIds = new Set(dataset.idsOf('test'));
  const labels = dataset.labels.map((label, id) => (testIds.has(id) ? (label + 1) % 4 : label));
  const load: Dataset['load'] = (ids, view) => {
    for (const id of Array.from(ids)) loaded.add(id);
    return dataset.load(ids, view);
  };
  const changed: Partial<Dataset> = { labels, load };
  return new Proxy(dataset, {
    get: (target, key) => {
      const value = Reflect.get(key in changed ? changed : target, key, key in changed ? changed : target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const shareOf = ({ last }: TaskResult) => last?.share;

test.serial('one, two and three workers stop at the same epoch and keep the same weights, the best ones', async (t) => {
  const dataset = await openTrees(t, 60);
  const spec = chosen();
  const objects = createMemoryStore();
  const alone = await trainTogether(spec, [3], { datasets: [dataset], objects });
  const { last, modelDigest } = alone.results[0] as TaskResult;
  const bestEpoch = last?.bestEpoch ?? 0;
  const bestAccuracy = Number(last?.bestAccuracy);
  t.true(bestEpoch > 0 && bestEpoch < (last?.epoch ?? 0), 'the best one is not the last one');
  t.is(last?.stoppedEarly, true);
  t.is(last?.epoch, bestEpoch + 2);
  t.is(last?.epochs, 6);
  const { metrics } = (await loadModel(objects, modelDigest ?? '')).manifest;
  t.is(metrics?.epoch, bestEpoch);
  t.is(metrics?.calibrateAccuracy, bestAccuracy);

  const loaded = [new Set<number>(), new Set<number>(), new Set<number>()];
  for (const blocks of [
    [2, 1],
    [1, 1, 1],
  ]) {
    const datasets = blocks.map((_, self) => watched(dataset, loaded[self] as Set<number>));
    const { results, ready } = await trainTogether(spec, blocks, { datasets });
    t.is(ready.length, blocks.length);
    for (const result of results) {
      t.is(shareOf(result)?.weightsDigest, last?.share?.weightsDigest, `${blocks}`);
      t.like(result.last, { bestEpoch, bestAccuracy, stoppedEarly: true });
    }
    t.deepEqual(
      results.map((result) => result.modelDigest !== undefined),
      blocks.map((_, self) => self === 0),
    );
    const samples = results.reduce((sum, result) => sum + (shareOf(result)?.samplesCommitted ?? 0), 0);
    t.is(samples, 36 * (bestEpoch + 2));
  }
  const { training, selection } = await planTeacher(spec, dataset, 'big', null);
  const held = selection?.questions.ids ?? [];
  t.is(held.length, 24);
  t.true([...held].every((id) => !training.ids.includes(id)));
  // Only the first member looks at test images, once all is chosen: the others have made the same choice without.
  for (const [self, ids] of loaded.entries()) {
    t.true([...held].every((id) => ids.has(id)));
    t.is(
      [...dataset.idsOf('test')].some((id) => ids.has(id)),
      self === 0,
    );
  }

  // What came out is what as many epochs as the best one has make.
  const cut = chosen(`teachers[0].train.epochs=${bestEpoch}`, 'teachers[0].train.keep=last');
  const short = await trainTogether(cut, [3], { datasets: [dataset] });
  t.is(short.results[0]?.last?.share?.weightsDigest, last?.share?.weightsDigest);
  t.is(short.results[0]?.last?.stoppedEarly, false);
  const stored = alone.progress.filter(({ checkpointDigest }) => checkpointDigest !== '').at(-1);
  t.is(stored?.checkpointEpoch, bestEpoch);
  const checkpoint = await loadModel(objects, stored?.checkpointDigest ?? '');
  t.deepEqual(checkpoint.manifest.metrics, { epoch: bestEpoch, calibrateAccuracy: bestAccuracy });
  const { tensors } = await loadModel(objects, modelDigest ?? '');
  for (const [name, { values }] of checkpoint.tensors) {
    t.true(sameValues(values, tensors.get(name)?.values ?? NOTHING), name);
  }
});

test.serial(`a head alone is looked at by features that are computed once (seed ${SEED})`, async (t) => {
  const dataset = await openTrees(t, 54);
  const objects = createMemoryStore();
  const before = randomModel(architectureNamed('resnet-8'), WIDE, 6, SEED);
  const classNames = ['cat', 'cow', 'dog', 'fox', 'hen', 'owl'];
  const init = await storeModel(objects, artefactOf(before, classNames, { ...WIDE, height: 32, width: 32 }));
  const spec = chosen(
    'data.views={}',
    ...[`init=${init}`, 'fineTune=head', 'train.lanes=1', 'train.workers=1', 'train.microBatch=8'].map(
      (setting) => `teachers[0].${setting}`,
    ),
    'teachers[0].train.keep=best',
  );
  const counts = new Map<number, number>();
  const counted = watched(dataset, {
    add: (id) => counts.set(id, (counts.get(id) ?? 0) + 1),
  });
  const { results } = await trainTogether(spec, [1], { datasets: [counted], objects });
  const { last, modelDigest } = results[0] as TaskResult;
  t.true((last?.epoch ?? 0) > 1);
  const plan = await planTeacher(spec, dataset, 'big', await loadModel(objects, init));
  const { ids = new Uint32Array(0), labelOf = () => 0 } = plan.selection?.questions ?? {};
  t.is(ids.length, 24);
  t.deepEqual(new Set([...ids].map((id) => counts.get(id))), new Set([1]));
  const stored = await loadModel(objects, modelDigest ?? '');
  const model = await openModel(compute, stored.manifest, stored.tensors);
  const { correct } = await evaluate(
    onImages(model, dataset),
    { ids, labelOf, classes: 4 },
    new AbortController().signal,
  );
  t.is(correct / ids.length, Number(last?.bestAccuracy));
  await model.close();

  // A second job goes on from there: the head that was found stays, and the blocks before it move too.
  const second = chosen(`teachers[0].init=${modelDigest}`, 'teachers[0].fineTune={lastBlocks: 1}');
  const { program, start } = await planTeacher(second, dataset, 'big', stored);
  t.deepEqual(program.training?.fineTune, { lastBlocks: 1 });
  for (const [name, { values }] of exportTensors(program.model, start.parameters, start.statistics)) {
    t.true(sameValues(values, stored.tensors.get(name)?.values ?? NOTHING), name);
  }
});

test.serial('what cannot be trained or chosen by is refused before anything is computed', async (t) => {
  const dataset = await openTrees(t, 60);
  const given = chosen('teachers[0]={name: big, from: {type: onnx, path: /some.onnx}}');
  await t.throwsAsync(trainTogether(given, [1], { datasets: [dataset] }), {
    message: /"big" is there already, and cannot be trained/,
  });
  const blind: JobSpec = { ...chosen(), data: { ...chosen().data, calibrate: 0 } };
  const error = await t.throwsAsync<StillhouseError>(trainTogether(blind, [3], { datasets: [dataset] }));
  t.is(error?.field, 'data.calibrate');
  const stranger = { jobId: 'job-1', job: chosen(), leaderEpoch: 1, workerId: 'nobody', dataset, compute };
  const view = { number: 1, members: [{ workerId: 'teacher-0', firstLane: 0, lanes: 3 }] };
  const objects = createMemoryStore();
  const bus = new MemoryBroker().connect();
  const task = { signal: new AbortController().signal } as TaskContext;
  await t.throwsAsync(
    new TeacherTrainer().run({ ...stranger, command: { teacher: 'big', view }, bus, objects, logger: silent }, task),
    { message: 'worker nobody is no member of the view that it was sent' },
  );
});
