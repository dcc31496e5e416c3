import test, { type ExecutionContext } from 'ava';
import { createRandom, shuffle } from '../../../../lib/base/random.ts';
import { indexOfMax } from '../../../../lib/base/vectors.ts';
import type { Dataset } from '../../../../lib/data/dataset.ts';
import { openDataset } from '../../../../lib/data/open-dataset.ts';
import { OnnxSession } from '../../../../lib/engine/onnx-runtime.ts';
import { type Tensor, tf } from '../../../../lib/engine/tf.ts';
import { exportModel } from '../../../../lib/model/export/export-model.ts';
import { quantiseModel } from '../../../../lib/model/export/quantise-model.ts';
import { forward } from '../../../../lib/model/forward.ts';
import { exportTensors } from '../../../../lib/model/parameters.ts';
import { architectureNamed } from '../../../../lib/model/zoo.ts';
import { realDataRoot } from '../../../helpers/data-root.ts';
import {
  artefactOf,
  decoded,
  PREPROCESSING,
  type RandomModel,
  randomModel,
  relativeError,
} from '../../../helpers/random-model.ts';
import { SMALL_CLASS_NAMES, writeSmallDataset } from '../../../helpers/small-dataset.ts';
import { tempFolder } from '../../../helpers/temp-folder.ts';

const SEED = 20_261_121;
const STEPS = 60;
const BATCH = 64;
const signal = new AbortController().signal;

test(`a net that has learnt something answers in eight bits as it does in 32 (seed ${SEED})`, async (t) => {
  const dataset = await openDataset(realDataRoot(), 'cifar10', { verifyContent: false });
  t.teardown(() => dataset.close());
  const start = randomModel(architectureNamed('simple-cnn'), dataset.image, 10, SEED);
  const artefact = decoded(artefactOf(await trainBriefly(start, dataset), dataset.classNames));
  const request = { dataset, calibrationImages: 64, evaluationImages: 300, batchSize: 'dynamic', signal } as const;
  const { bytes, floatBytes, report } = await quantiseModel(artefact, request);
  t.true(report.accuracy.float32 > 0.2, `learnt: ${report.accuracy.float32}`);
  t.true(Math.abs(report.accuracy.int8 - report.accuracy.float32) <= 0.02, JSON.stringify(report));
  t.true(report.agreement >= 0.96, JSON.stringify(report));
  t.true(bytes.length < 0.3 * floatBytes);
  t.deepEqual(report.dataset, dataset.digest);

  const again = await quantiseModel(artefact, request);
  t.deepEqual(again.bytes, bytes, 'the same model gives the same file');
});

test(`eight bits stay close through residuals, depthwise convolutions and ReLU6 (seed ${SEED})`, async (t) => {
  const dataset = await openDataset(realDataRoot(), 'cifar10', { verifyContent: false });
  t.teardown(() => dataset.close());
  for (const { name, side } of [
    { name: 'resnet-8', side: 32 },
    { name: 'gap-cnn', side: 32 },
    // The data set's images are scaled in the model.
    { name: 'efficientnet-lite0', side: 48 },
  ]) {
    const model = randomModel(architectureNamed(name), { height: side, width: side, channels: 3 }, 10, SEED);
    const artefact = decoded(artefactOf(model, dataset.classNames, dataset.image));
    const request = { dataset, calibrationImages: 32, evaluationImages: 32, batchSize: 'dynamic', signal } as const;
    const { bytes } = await quantiseModel(artefact, request);
    const images = await dataset.load(dataset.idsOf('test').subarray(0, 32));
    const expected = await logitsOf((await exportModel(artefact, 'onnx', 'dynamic')) as Uint8Array, images, dataset);
    const error = relativeError(await logitsOf(bytes, images, dataset), expected);
    t.true(error < 0.1, `${name}: ${error}`);
  }
});

test('images are taken from the classes of the model, and their classes are told apart by the data set', async (t) => {
  const dataset = await smallDataset(t);
  const model = randomModel(architectureNamed('simple-cnn'), dataset.image, 2, SEED);
  const full = artefactOf(model, SMALL_CLASS_NAMES.slice(0, 2));
  const manifest = {
    ...full.manifest,
    parentClassNames: SMALL_CLASS_NAMES,
    classIds: [3, 1],
    classNames: ['elm', 'beech'],
  };
  const artefact = { ...decoded(full), manifest };
  const available = dataset.idsOf('test').filter((id) => [1, 3].includes(dataset.labels[id] as number)).length;
  const request = { dataset, calibrationImages: 1, evaluationImages: available, batchSize: 'dynamic', signal } as const;
  const { report } = await quantiseModel(artefact, request);
  const ids = dataset.idsOf('test').filter((id) => [1, 3].includes(dataset.labels[id] as number));
  const logits = await logitsOf(
    (await exportModel(artefact, 'onnx', 'dynamic')) as Uint8Array,
    await dataset.load(ids),
    dataset,
  );
  const found = [...ids].filter((id, row) => {
    const classId = indexOfMax(logits.subarray(2 * row, 2 * row + 2)) === 0 ? 3 : 1;
    return classId === dataset.labels[id];
  });
  t.is(report.accuracy.float32, found.length / available);

  await t.throwsAsync(quantiseModel(artefact, { ...request, evaluationImages: available + 1 }), {
    code: 'INVALID_ARGUMENT',
    message: new RegExp(`evaluate-images is ${available + 1}, but trees has ${available} test images`),
  });
  await t.throwsAsync(quantiseModel(artefact, { ...request, calibrationImages: 1000 }), {
    message: /calibration-images is 1000, but trees has \d+ train images of the model's classes/,
  });
});

test('a data set that does not fit the model is refused', async (t) => {
  const dataset = await smallDataset(t);
  const request = { dataset, calibrationImages: 1, evaluationImages: 1, batchSize: 'dynamic', signal } as const;
  const simpleCnn = architectureNamed('simple-cnn');
  const other = decoded(artefactOf(randomModel(simpleCnn, dataset.image, 2, SEED), ['ash', 'oak']));
  await t.throwsAsync(quantiseModel(other, request), {
    code: 'INVALID_ARGUMENT',
    message: /the data set trees does not have the model's class oak in its place/,
  });
  const large = { height: 40, width: 40, channels: 3 };
  const larger = decoded(artefactOf(randomModel(simpleCnn, large, 4, SEED), SMALL_CLASS_NAMES));
  await t.throwsAsync(quantiseModel(larger, request), {
    message: /the data set trees has images of 32x32x3, but the model takes 40x40x3/,
  });
});

test('an interruption ends the work', async (t) => {
  const dataset = await smallDataset(t);
  const artefact = decoded(
    artefactOf(randomModel(architectureNamed('simple-cnn'), dataset.image, 4, SEED), SMALL_CLASS_NAMES),
  );
  const request = { dataset, calibrationImages: 1, evaluationImages: 1, batchSize: 'dynamic' } as const;
  const reason = new Error('enough');
  await t.throwsAsync(quantiseModel(artefact, { ...request, signal: AbortSignal.abort(reason) }), { is: reason });
});

async function smallDataset(t: ExecutionContext): Promise<Dataset> {
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'trees', {
    files: [
      ['train', 20],
      ['test', 20],
    ],
  });
  const dataset = await openDataset(root, 'trees');
  t.teardown(() => dataset.close());
  return dataset;
}

async function logitsOf(model: Uint8Array, images: Float32Array, { image }: Dataset): Promise<Float32Array> {
  const { height, width, channels } = image;
  const session = await OnnxSession.open(model);
  const shape = [images.length / (height * width * channels), height, width, channels];
  const logits = (await session.run(images, shape)).get('logits') as Float32Array;
  await session.close();
  return logits;
}

/** Plain gradient descent, for nets without batch norm. */
async function trainBriefly(model: RandomModel, dataset: Dataset): Promise<RandomModel> {
  const { spec } = model;
  const parameters = model.parameters.slice();
  const ids = shuffle(dataset.idsOf('train').slice(), createRandom(SEED));
  for (let step = 0; step < STEPS; step++) {
    const batch = ids.subarray(step * BATCH, (step + 1) * BATCH);
    const pixels = await dataset.load(batch);
    tf.tidy(() => {
      let offset = 0;
      const weights = spec.parameters.map(({ shape, size }) => {
        offset += size;
        return tf.tensor(parameters.slice(offset - size, offset), [...shape]);
      });
      const images = tf.tensor4d(pixels, [BATCH, 32, 32, 3]);
      const input = tf.div(tf.sub(tf.div(images, 255), [...PREPROCESSING.mean]), [...PREPROCESSING.std]);
      const oneHot = tf.oneHot(
        tf.tensor1d(
          Array.from(batch, (id) => dataset.labels[id] as number),
          'int32',
        ),
        10,
      );
      const { grads } = tf.valueAndGrads((...values: Tensor[]) => {
        const tensors = new Map(spec.parameters.map(({ name }, index) => [name, values[index] as Tensor]));
        const { logits } = forward(spec, tensors, input, { training: true });
        return tf.losses.softmaxCrossEntropy(oneHot, logits) as tf.Scalar;
      })(weights);
      offset = 0;
      for (const gradient of grads) {
        for (const slope of gradient.dataSync()) parameters[offset] = (parameters[offset++] as number) - 0.02 * slope;
      }
    });
  }
  return { ...model, parameters, tensors: exportTensors(spec, parameters, model.statistics) };
}
