import test from 'ava';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import { Compute } from '../../../lib/distill/compute.ts';
import { FrozenBackbone } from '../../../lib/distill/frozen-backbone.ts';
import type { ProgramSpec } from '../../../lib/distill/step-spec.ts';
import type { TrainableModel } from '../../../lib/distill/trainable-model.ts';
import { configureEngine } from '../../../lib/engine/environment.ts';
import { describeModel, initialParameters, initialStatistics } from '../../../lib/model/parameters.ts';
import { architectureNamed, withDropout } from '../../../lib/model/zoo.ts';
import { writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const SIZE = 8;

test('training a head on kept features is training it on the images, at one pass of the backbone per image', async (t) => {
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'small', {
    files: [
      ['train', 40],
      ['test', 8],
    ],
  });
  const dataset = await openDataset(root, 'small');
  t.teardown(() => dataset.close());
  configureEngine({ intraOpThreads: 1, interOpThreads: 1 });
  const compute = new Compute();
  t.teardown(() => compute.close());
  const model = describeModel(
    withDropout(architectureNamed('resnet-8'), 0.2),
    dataset.image,
    dataset.classNames.length,
  );
  const spec: ProgramSpec = {
    model,
    images: dataset.image,
    preprocessing: { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] },
    training: {
      loss: { terms: [{ type: 'cross-entropy', weight: 1 }], temperature: 1 },
      optimizer: { type: 'adam', learningRate: 0.01, weightDecay: 0, schedule: { type: 'constant', warmupSteps: 0 } },
      totalSteps: 20,
      batchSizes: [SIZE],
      fineTune: 'head',
      precision: 'float32',
      compile: 'required',
      seed: 3,
    },
    predictBatchSizes: [SIZE],
  };
  let reads = 0;
  const counted = Object.create(dataset, {
    load: {
      value: (ids: Uint32Array) => {
        reads += ids.length;
        return dataset.load(ids);
      },
    },
  });
  const frozen = await FrozenBackbone.open(compute, spec);
  const features = frozen.features(counted);
  const whole = await compute.open(spec);
  const train = async (program: TrainableModel, images: (ids: Uint32Array) => Promise<Float32Array>) => {
    await program.write('parameters', initialParameters(model, 5));
    await program.write('statistics', initialStatistics(model));
    for (const slot of program.slots) await program.write(slot, new Float32Array(program.slotSize));
    for (let step = 0; step < 20; step++) {
      const ids = Uint32Array.from({ length: SIZE }, (_, row) => (step * SIZE + row) % 40);
      const labels = Int32Array.from(ids, (id) => dataset.labels[id] as number);
      const batch = { step, lane: 1, count: SIZE, images: await images(ids), labels, teacherLogits: null };
      const sums = await program.sums(batch);
      t.is(sums.length, program.vectorSize);
      await program.apply(
        sums.map((value) => value / SIZE),
        step,
      );
    }
    return program.read('parameters');
  };
  const kept = await train(frozen, (ids) => features({ ids, partners: null, epoch: 0 }).images);
  const full = await train(whole, (ids) => dataset.load(ids));
  t.is(reads, 40);
  t.is(frozen.vectorSize, whole.vectorSize);
  const head = frozen.slotSize;
  t.deepEqual(kept.subarray(0, -head), full.subarray(0, -head));
  const difference = Math.hypot(...kept.map((value, index) => value - (full[index] as number)));
  t.true(difference < 1e-4 * Math.hypot(...full.subarray(-head)), `${difference}`);
  t.notDeepEqual(kept.subarray(-head), initialParameters(model, 5).subarray(-head));
  const images = await dataset.load(Uint32Array.from({ length: 11 }, (_, id) => id));
  const [a, b] = [await frozen.predict(images.slice(), 11), await whole.predict(images.slice(), 11)];
  t.true(Math.max(...a.map((value, index) => Math.abs(value - (b[index] as number)))) < 1e-4);
  t.deepEqual(await frozen.read('statistics'), initialStatistics(model));
  await frozen.close();
  await whole.close();
});
