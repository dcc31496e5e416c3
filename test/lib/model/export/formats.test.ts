import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { ImageShape } from '../../../../lib/data/manifest.ts';
import { OnnxSession } from '../../../../lib/engine/onnx-runtime.ts';
import { type Tensor, tf } from '../../../../lib/engine/tf.ts';
import { observeRanges } from '../../../../lib/model/export/calibration.ts';
import { foldBatchNorm } from '../../../../lib/model/export/fold-batch-norm.ts';
import { lowerNetwork } from '../../../../lib/model/export/network.ts';
import { encodeFloatOnnx } from '../../../../lib/model/export/onnx-float.ts';
import { encodeInt8Onnx, observedValues } from '../../../../lib/model/export/onnx-int8.ts';
import { encodeSavedModel } from '../../../../lib/model/export/saved-model.ts';
import type { BatchSize } from '../../../../lib/model/export/signature.ts';
import { tensorflowGraph } from '../../../../lib/model/export/tensorflow-nodes.ts';
import { encodeTfjs } from '../../../../lib/model/export/tfjs.ts';
import { writeExport } from '../../../../lib/model/export/write-export.ts';
import type { Architecture } from '../../../../lib/model/layers.ts';
import { architectureNamed } from '../../../../lib/model/zoo.ts';
import {
  ownLogits,
  PREPROCESSING,
  type RandomModel,
  randomImages,
  randomModel,
  relativeError,
} from '../../../helpers/random-model.ts';
import { tempFolder } from '../../../helpers/temp-folder.ts';
import { tfNode } from '../../../helpers/tfjs-node.ts';

const SEED = 20_261_121;
const TOLERANCE = 1e-4;
const CLASSES = 7;

/** Every kind of layer, every kind of padding at both strides, sides that differ and are odd. */
const everything: Architecture = {
  name: 'everything',
  summary: 'for tests',
  initialisation: 'pytorch',
  layers: [
    { kind: 'conv2d', name: 'stem', filters: 6, kernel: 3, stride: 2, padding: 'same', bias: true },
    { kind: 'relu6' },
    {
      kind: 'block',
      name: 'first',
      layers: [
        {
          kind: 'residual',
          main: [
            { kind: 'depthwise-conv2d', name: 'first.deep', kernel: 5, padding: 'same', bias: false },
            { kind: 'batch-norm', name: 'first.bn', epsilon: 1e-3 },
            { kind: 'relu6' },
            { kind: 'conv2d', name: 'first.conv', filters: 6, kernel: 1, padding: 0, bias: false },
          ],
          shortcut: [],
          activation: 'none',
        },
        { kind: 'depthwise-conv2d', name: 'first.even', kernel: 4, padding: 'same', bias: true },
        { kind: 'depthwise-conv2d', name: 'first.wide', kernel: 3, stride: 2, padding: 1, bias: true },
      ],
    },
    { kind: 'max-pool', size: 3, stride: 2, padding: 1 },
    {
      kind: 'residual',
      main: [
        { kind: 'conv2d', name: 'a', filters: 8, kernel: 3, stride: 2, padding: 1, bias: false },
        { kind: 'batch-norm', name: 'a.bn' },
        { kind: 'relu' },
      ],
      shortcut: [{ kind: 'conv2d', name: 'b', filters: 8, kernel: 1, stride: 2, padding: 0, bias: true }],
    },
    { kind: 'average-pool', size: 2, stride: 1, padding: 1 },
    { kind: 'batch-norm', name: 'late' },
    { kind: 'flatten' },
    { kind: 'dropout', rate: 0.5 },
    { kind: 'linear', name: 'hidden', features: 9 },
    { kind: 'relu' },
    { kind: 'linear', name: 'fc', features: 'classes' },
  ],
};

const square = (side: number): ImageShape => ({ height: side, width: side, channels: 3 });
const nets: { architecture: Architecture; input: ImageShape }[] = [
  { architecture: everything, input: { height: 33, width: 46, channels: 3 } },
  { architecture: architectureNamed('simple-cnn'), input: square(32) },
  { architecture: architectureNamed('resnet-18'), input: square(32) },
  { architecture: architectureNamed('efficientnet-lite0'), input: square(64) },
];

for (const { architecture, input } of nets) {
  const model = randomModel(architecture, input, CLASSES, SEED);
  const title = (what: string) => `${what} of ${architecture.name} computes what we compute (seed ${SEED})`;

  test(title('ONNX'), async (t) => {
    const weights = { network: lowerNetwork(model.spec, model.spec.input), tensors: model.tensors };
    const options = { preprocessing: manifestPreprocessing(), batchSize: 'dynamic', metadata: {} } as const;
    const session = await OnnxSession.open(encodeFloatOnnx(weights, options));
    const folded = await OnnxSession.open(encodeFloatOnnx(foldBatchNorm(weights), options));
    for (const count of [1, 3]) {
      const images = randomImages(input, count, SEED + count);
      const expected = ownLogits(model, images);
      const shape = [count, input.height, input.width, input.channels];
      for (const each of [session, folded]) {
        const logits = (await each.run(images, shape)).get('logits') as Float32Array;
        t.true(relativeError(logits, expected) < TOLERANCE, `${count}: ${relativeError(logits, expected)}`);
      }
    }
    await session.close();
    await folded.close();
  });

  test.serial(title('the SavedModel'), async (t) => {
    const folder = path.join(await tempFolder(t), 'saved');
    await writeExport(folder, new Map([['saved_model.pb', encodeSavedModel(graphOf(model, 'dynamic'))]]));
    const loaded = await tfNode.node.loadSavedModel(folder);
    compareWith(t, model, (x) => (loaded.predict({ image: x }) as Record<string, Tensor>).logits as Tensor);
    loaded.dispose();
  });

  test.serial(title('the TensorFlow.js model'), async (t) => {
    const folder = path.join(await tempFolder(t), 'tfjs');
    await writeExport(folder, encodeTfjs(graphOf(model, 'dynamic'), {}));
    const loaded = await tf.loadGraphModel(tfNode.io.fileSystem(path.join(folder, 'model.json')));
    compareWith(t, model, (x) => loaded.predict(x) as Tensor);
    loaded.dispose();
  });
}

test.serial('the TensorFlow.js model runs on kernels in plain JavaScript, as in a browser', async (t) => {
  const { architecture, input } = nets[0] as (typeof nets)[number];
  const model = randomModel(architecture, input, CLASSES, SEED);
  const expected = ownLogits(model, randomImages(input, 2, SEED));
  const folder = path.join(await tempFolder(t), 'tfjs');
  await writeExport(folder, encodeTfjs(graphOf(model, 2), { author: 'test' }));
  t.true(await tf.setBackend('cpu'));
  try {
    const loaded = await tf.loadGraphModel(tfNode.io.fileSystem(path.join(folder, 'model.json')));
    t.deepEqual(loaded.metadata, { author: 'test' });
    const x = tf.tensor4d(randomImages(input, 2, SEED), [2, input.height, input.width, input.channels]);
    const logits = loaded.predict(x) as Tensor;
    t.true(relativeError(await logits.data(), expected) < TOLERANCE);
    tf.dispose([x, logits]);
    loaded.dispose();
  } finally {
    await tf.setBackend('tensorflow');
  }
});

test(`in eight bits every kind of layer stays close (seed ${SEED})`, async (t) => {
  const { architecture, input } = nets[0] as (typeof nets)[number];
  const model = randomModel(architecture, input, CLASSES, SEED);
  const weights = foldBatchNorm({ network: lowerNetwork(model.spec, model.spec.input), tensors: model.tensors });
  const preprocessing = manifestPreprocessing();
  const pixels = randomImages(input, 8, SEED);
  async function* batches() {
    yield { pixels, count: 8 };
  }
  const ranges = await observeRanges(weights, preprocessing, observedValues(weights), batches());
  const options = { preprocessing, batchSize: 'dynamic', metadata: {} } as const;
  const session = await OnnxSession.open(encodeInt8Onnx(weights, options, ranges));
  const logits = (await session.run(pixels, [8, input.height, input.width, input.channels])).get('logits');
  const error = relativeError(logits as Float32Array, ownLogits(model, pixels));
  t.true(error < 0.05, String(error));
  await session.close();
});

test('a fixed batch size is part of the model', async (t) => {
  const { architecture, input } = nets[1] as (typeof nets)[number];
  const model = randomModel(architecture, input, CLASSES, SEED);
  const weights = { network: lowerNetwork(model.spec, model.spec.input), tensors: model.tensors };
  const options = { preprocessing: manifestPreprocessing(), batchSize: 2, metadata: {} };
  const session = await OnnxSession.open(encodeFloatOnnx(weights, options));
  const shapeOf = (count: number) => [count, input.height, input.width, input.channels];
  t.is((await session.run(randomImages(input, 2, SEED), shapeOf(2))).get('logits')?.length, 2 * CLASSES);
  await t.throwsAsync(session.run(randomImages(input, 3, SEED), shapeOf(3)), { message: /image.*Got: 3 Expected: 2/s });
  t.deepEqual(graphOf(model, 2).inputs, [{ name: 'image', shape: shapeOf(2) }]);
  await session.close();
});

test('large models are cut into shards that browsers cache', (t) => {
  const model = randomModel(architectureNamed('simple-cnn'), square(128), 10, SEED);
  const files = encodeTfjs(graphOf(model, 'dynamic'), {});
  const shards = [...files].filter(([name]) => name.endsWith('.bin'));
  t.is(shards.length, 2);
  t.true(shards.every(([, { length }]) => length <= 4 * 1024 * 1024));
  const { weightsManifest } = JSON.parse(new TextDecoder().decode(files.get('model.json')));
  t.deepEqual(
    weightsManifest[0].paths,
    shards.map(([name]) => name),
  );
});

test('what is no model is refused by name', async (t) => {
  await t.throwsAsync(OnnxSession.open(Uint8Array.of(1, 2, 3)), { message: /^ONNX Runtime refuses the model: / });
});

function manifestPreprocessing() {
  return { ...PREPROCESSING, mean: [...PREPROCESSING.mean], std: [...PREPROCESSING.std] };
}

function graphOf({ spec, tensors }: RandomModel, batchSize: BatchSize) {
  return tensorflowGraph(spec, tensors, { images: spec.input, preprocessing: manifestPreprocessing(), batchSize });
}

/** With one image and with several. */
function compareWith(t: ExecutionContext, model: RandomModel, predict: (images: Tensor) => Tensor): void {
  const { height, width, channels } = model.spec.input;
  for (const count of [1, 3]) {
    const images = randomImages(model.spec.input, count, SEED + count);
    const x = tf.tensor4d(images, [count, height, width, channels]);
    const logits = predict(x);
    t.deepEqual(logits.shape, [count, CLASSES]);
    const error = relativeError(logits.dataSync(), ownLogits(model, images));
    t.true(error < TOLERANCE, `${count}: ${error}`);
    tf.dispose([x, logits]);
  }
}
