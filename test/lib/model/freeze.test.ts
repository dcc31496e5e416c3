import test from 'ava';
import { createRandom, hashName } from '../../../lib/base/random.ts';
import { type Tensor, tf } from '../../../lib/engine/tf.ts';
import { forward } from '../../../lib/model/forward.ts';
import {
  type FineTune,
  hasFixedFeatures,
  isFrozenLayer,
  joinHead,
  splitAtHead,
  trainableTensors,
  trainedStatistics,
} from '../../../lib/model/freeze.ts';
import type { Architecture } from '../../../lib/model/layers.ts';
import { describeModel, initialParameters, initialStatistics, type ModelSpec } from '../../../lib/model/parameters.ts';
import { architectureNamed, architectureNames, buildArchitecture } from '../../../lib/model/zoo.ts';
import { sameValues } from '../../helpers/same-values.ts';

const modelNamed = (name: string, side: number, classes = 3) =>
  describeModel(architectureNamed(name), { height: side, width: side, channels: 3 }, classes);

const layersOf = (model: ModelSpec, fineTune: FineTune) => [
  ...new Set(trainableTensors(model, fineTune).map(({ layer }) => layer)),
];

function tensorsOf(model: ModelSpec, parameters: Float32Array, statistics: Float32Array): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  const take = (specs: ModelSpec['parameters'], flat: Float32Array) => {
    let offset = 0;
    for (const { name, shape, size } of specs) {
      tensors.set(name, tf.tensor(flat.slice(offset, offset + size), [...shape]));
      offset += size;
    }
  };
  take(model.parameters, parameters);
  take(model.statistics, statistics);
  return tensors;
}

test('the head is what follows the last block, and blocks join it from the end', (t) => {
  const model = modelNamed('resnet-18', 32);
  t.deepEqual(layersOf(model, 'head'), ['fc']);
  t.deepEqual(layersOf(model, { lastBlocks: 0 }), ['fc']);
  const last = ['conv1', 'bn1', 'conv2', 'bn2'].map((name) => `layer4.1.${name}`);
  t.deepEqual(layersOf(model, { lastBlocks: 1 }), [...last, 'fc']);
  t.is(trainableTensors(model, 'all').length, model.parameters.length);
  t.false(layersOf(model, { lastBlocks: 8 }).includes('conv1'));
  t.true(layersOf(model, 'all').includes('conv1'));
  t.deepEqual(
    trainedStatistics(model, { lastBlocks: 1 }).map(({ layer }) => layer),
    ['layer4.1.bn1', 'layer4.1.bn1', 'layer4.1.bn2', 'layer4.1.bn2'],
  );
  t.true(isFrozenLayer(model, { lastBlocks: 1 }, 'layer4.0.bn1'));
  t.false(isFrozenLayer(model, { lastBlocks: 1 }, 'layer4.1.bn1'));
  t.throws(() => trainableTensors(model, { lastBlocks: 9 }), { message: /last 9 blocks of resnet-18.*it has 8/ });
  t.throws(() => trainableTensors(model, { lastBlocks: 1.5 }), { message: /1\.5/ });
});

test('every net of the zoo has a head of its classifier alone', (t) => {
  for (const name of architectureNames) {
    const model = modelNamed(name, 64);
    t.is(layersOf(model, 'head').length, 1, name);
    t.true(model.blocks > 0, name);
  }
});

test('backbone and head compute together what the whole computes', (t) => {
  for (const name of ['simple-cnn', 'student-net', 'resnet-8', 'efficientnet-lite0']) {
    const model = describeModel(buildArchitecture({ name, dropout: 0.3 }), { height: 32, width: 32, channels: 3 }, 5);
    const { backbone, head } = splitAtHead(model);
    const parameters = initialParameters(model, 3);
    const random = createRandom(hashName(name));
    const statistics = initialStatistics(model).map((value) => value + random.nextFloat());
    const cut = backbone.parameterCount;
    const [below, above] = [parameters.slice(0, cut), parameters.slice(cut)];
    t.is(above.length, head.parameterCount, name);
    t.true(sameValues(joinHead(below, above), parameters), name);
    t.is(backbone.statisticCount, model.statisticCount);
    tf.tidy(() => {
      const images = tf.randomNormal([2, 32, 32, 3], 0, 1, 'float32', 5);
      const evaluation = { training: false };
      const whole = forward(model, tensorsOf(model, parameters, statistics), images, evaluation).logits;
      const features = forward(backbone, tensorsOf(backbone, below, statistics), images, evaluation).logits;
      t.deepEqual(features.shape, [2, backbone.classes], name);
      const pixels = tf.reshape(features, [2, 1, 1, backbone.classes]);
      const tensors = tensorsOf(head, above, new Float32Array(0));
      t.deepEqual(forward(head, tensors, pixels, evaluation).logits.dataSync(), whole.dataSync(), name);
    });
  }
});

test('a model whose head drops values of images is not split', (t) => {
  const architecture: Architecture = {
    name: 'odd',
    summary: 'for tests',
    initialisation: 'pytorch',
    layers: [
      { kind: 'block', name: 'a', layers: [{ kind: 'relu' }] },
      { kind: 'dropout', rate: 0.5 },
      { kind: 'flatten' },
      { kind: 'linear', name: 'fc', features: 'classes' },
    ],
  };
  const model = describeModel(architecture, { height: 4, width: 4, channels: 3 }, 2);
  t.throws(() => splitAtHead(model), { message: /head of odd drops values of images/ });
});

test('a frozen batch norm keeps to its moving statistics in training, and lets the gradient through', (t) => {
  const model = modelNamed('resnet-8', 16);
  const parameters = initialParameters(model, 1);
  const statistics = initialStatistics(model).map((value, index) => value + (index % 7) / 10);
  const mode = (isFrozen: (layer: string) => boolean) => ({ training: true, isFrozen });
  tf.tidy(() => {
    const tensors = tensorsOf(model, parameters, statistics);
    const images = tf.randomNormal([4, 16, 16, 3], 0, 1, 'float32', 2);
    const frozen = forward(
      model,
      tensors,
      images,
      mode(() => true),
    );
    t.is(frozen.statistics.length, 0);
    t.deepEqual(frozen.logits.dataSync(), forward(model, tensors, images, { training: false }).logits.dataSync());
    const some = forward(
      model,
      tensors,
      images,
      mode((layer) => isFrozenLayer(model, { lastBlocks: 1 }, layer)),
    );
    t.is(some.statistics.length, trainedStatistics(model, { lastBlocks: 1 }).length);
    tf.dispose([...some.statistics]);
    // The slope along a direction, by differences, of a loss in the images: the gradient passes every frozen layer.
    const loss = (x: Tensor) =>
      tf.sum(
        tf.square(
          forward(
            model,
            tensors,
            x,
            mode(() => true),
          ).logits,
        ),
      ) as tf.Scalar;
    const direction = tf.randomNormal(images.shape, 0, 1, 'float32', 3);
    const slope = tf.sum(tf.mul(tf.grad(loss)(images), direction)).dataSync()[0] as number;
    const at = (step: number) => loss(tf.add(images, tf.mul(direction, step))).dataSync()[0] as number;
    const difference = (at(1e-3) - at(-1e-3)) / 2e-3;
    t.true(Math.abs(slope - difference) < 0.02 * Math.abs(slope), `${slope} and ${difference}`);
  });
});

test('features may be kept where the head alone is trained on them, and nothing before it is random', (t) => {
  for (const name of architectureNames) t.true(hasFixedFeatures(modelNamed(name, 64)), name);
  const listOf = (layers: Architecture['layers']) =>
    describeModel(
      { name: 'own', summary: '', initialisation: 'pytorch', layers },
      { height: 8, width: 8, channels: 3 },
      3,
    );
  const conv = (name: string) => ({ kind: 'conv2d', name, filters: 4, kernel: 3, padding: 1, bias: true }) as const;
  const block = { kind: 'block', name: 'body', layers: [conv('conv1'), { kind: 'relu' }] } as const;
  const end = [{ kind: 'global-average-pool' }, { kind: 'linear', name: 'fc', features: 'classes' }] as const;
  t.true(hasFixedFeatures(listOf([block, ...end])));
  // `head` trains the convolution too.
  t.false(hasFixedFeatures(listOf([block, conv('head_conv'), ...end])));
  t.false(hasFixedFeatures(listOf([block, { kind: 'dropout', rate: 0.5 }, ...end])));
  const random = { ...block, layers: [...block.layers, { kind: 'dropout', rate: 0.5 } as const] };
  t.false(hasFixedFeatures(listOf([random, ...end])));
});
