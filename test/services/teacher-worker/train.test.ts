/** A teacher's training task in one process: a real compute thread and a real data set. */
import test from 'ava';
import { loadDropped } from '../../../lib/checkpoint/dropped.ts';
import { loadModel, storeModel } from '../../../lib/checkpoint/models.ts';
import { createMemoryStore } from '../../../lib/checkpoint/store.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import { Compute } from '../../../lib/distill/compute.ts';
import { configureEngine } from '../../../lib/engine/environment.ts';
import { networkOf } from '../../../lib/model/manifest-network.ts';
import { architectureNamed } from '../../../lib/model/zoo.ts';
import { type JobSpec, parseJobFile } from '../../../lib/wire/job-file.ts';
import type { TaskContext, TaskReadyFields } from '../../../lib/wire/task-runner.ts';
import { trainTeacher } from '../../../services/teacher-worker/train-task.ts';
import { silent } from '../../helpers/logger.ts';
import { artefactOf, PREPROCESSING, randomModel, relativeError } from '../../helpers/random-model.ts';
import { sameValues } from '../../helpers/same-values.ts';
import { writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const SEED = 20_261_121;
const NOTHING = new Float32Array(0);
const WIDE = { height: 40, width: 40, channels: 3 };

function job(init: string, views: string): JobSpec {
  return parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: trees, seed: 5,
    data: {dataset: trees, views: ${views}},
    teachers: [{name: big, arch: resnet-8, init: "${init}", fineTune: head,
      train: {lanes: 2, microBatch: 4, epochs: 3, tail: drop, optimizer: {type: sgd, learningRate: 0.1}}}],
    students: [{name: few, arch: simple-cnn}]}`);
}

test(`only the head moves, whether the images are the same in each epoch or not (seed ${SEED})`, async (t) => {
  const root = await tempFolder(t);
  const files = [
    ['train', 30],
    ['test', 10],
  ] as const;
  await writeSmallDataset(root, 'trees', { files });
  const dataset = await openDataset(root, 'trees');
  configureEngine({ intraOpThreads: 1, interOpThreads: 1 });
  const compute = new Compute();
  t.teardown(async () => {
    await compute.close();
    await dataset.close();
  });
  const objects = createMemoryStore();
  const before = randomModel(architectureNamed('resnet-8'), WIDE, 6, SEED);
  const images = { ...WIDE, height: 32, width: 32 };
  const classNames = ['cat', 'cow', 'dog', 'fox', 'hen', 'owl'];
  const init = await storeModel(objects, artefactOf(before, classNames, images));

  const train = async (views: string) => {
    const ready: TaskReadyFields[] = [];
    const task: TaskContext = {
      signal: new AbortController().signal,
      leaderEpoch: 1,
      begun: Promise.resolve(),
      ready: (fields) => ready.push(fields),
      progress: () => undefined,
    };
    const request = { jobId: 'job-1', job: job(init, views), teacher: 'big', workerId: 'teacher-1' };
    const result = await trainTeacher({ ...request, dataset, compute, objects, logger: silent }, task);
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
