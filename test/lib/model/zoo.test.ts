import test from 'ava';
import type { Architecture, Layer } from '../../../lib/model/layers.ts';
import { describeModel, initialParameters, type ModelSpec } from '../../../lib/model/parameters.ts';
import {
  architectureNamed,
  architectureNames,
  architectureSummaries,
  buildArchitecture,
} from '../../../lib/model/zoo.ts';

/** Parameters as published, or as the reference implementation counts them: classes, side of the image, count. */
const COUNTS: Record<string, [classes: number, side: number, count: number]> = {
  'simple-cnn': [5, 32, 41_861],
  'student-net': [2, 224, 100_474],
  'gap-cnn': [10, 32, 2_442],
  'resnet-8': [10, 32, 78_042],
  'resnet-14': [10, 32, 175_258],
  'resnet-20': [10, 32, 272_474],
  'resnet-32': [10, 32, 466_906],
  'resnet-56': [10, 32, 855_770],
  'resnet-8x4': [100, 32, 1_233_540],
  'resnet-32x4': [100, 32, 7_433_860],
  'resnet-18': [1000, 224, 11_689_512],
  'resnet-34': [1000, 224, 21_797_672],
  'resnet-50': [1000, 224, 25_557_032],
  'efficientnet-lite0': [1000, 224, 4_652_008],
};

const at = (architecture: Architecture, side: number, classes: number): ModelSpec =>
  describeModel(architecture, { height: side, width: side, channels: 3 }, classes);

test('parameter counts are the published ones', (t) => {
  t.deepEqual(Object.keys(COUNTS), [...architectureNames]);
  for (const [name, [classes, side, count]] of Object.entries(COUNTS)) {
    t.is(at(architectureNamed(name), side, classes).parameterCount, count, name);
  }
});

test('every architecture has a summary', (t) => {
  t.deepEqual(
    architectureSummaries.map(({ name }) => name),
    [...architectureNames],
  );
  t.true(architectureSummaries.every(({ summary }) => summary.length > 0 && !summary.includes('\n')));
});

test('dropout goes right before the classifier, once, wherever it is asked for', (t) => {
  const ends = (name: string, dropout?: number) =>
    buildArchitecture({ name, ...(dropout !== undefined && { dropout }) }).layers.slice(-2);
  for (const name of architectureNames) {
    t.deepEqual(ends(name, 0.4)[0], { kind: 'dropout', rate: 0.4 }, name);
    t.is(ends(name, 0.4)[1]?.kind, 'linear');
    t.not(ends(name, 0)[0]?.kind, 'dropout');
    t.deepEqual(buildArchitecture({ name }), architectureNamed(name));
    const dropouts = buildArchitecture({ name, dropout: 0.4 }).layers.filter(({ kind }) => kind === 'dropout');
    t.is(dropouts.length, 1);
  }
  t.deepEqual(ends('efficientnet-lite0')[0], { kind: 'dropout', rate: 0.2 });
  t.throws(() => buildArchitecture({ name: 'resnet-18', dropout: 1 }), {
    message: /dropout is 1, expected 0 to below 1/,
  });
  t.throws(() => buildArchitecture({ name: 'resnet-17' }), { message: /no architecture "resnet-17".*resnet-18/ });
});

function deviation(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

test('convolutions start as He et al. say, linear layers as PyTorch does', (t) => {
  const model = at(architectureNamed('efficientnet-lite0'), 64, 10);
  const values = initialParameters(model, 5);
  let offset = 0;
  for (const { name, shape, size, layout } of model.parameters) {
    const tensor = values.subarray(offset, offset + size);
    offset += size;
    if (shape.length === 4 && size > 2000) {
      const [height, width, , filters] = shape as [number, number, number, number];
      const fanOut = height * width * (layout.kind === 'conv2d' ? filters : 1);
      const ratio = deviation(tensor) / Math.sqrt(2 / fanOut);
      t.true(Math.abs(ratio - 1) < 4 / Math.sqrt(2 * size), `${name}: ${ratio}`);
    }
    const bound = 1 / Math.sqrt(1280);
    if (name === 'classifier.weight') {
      t.true(tensor.every((value) => Math.abs(value) <= bound));
      t.true(Math.abs(deviation(tensor) / (bound / Math.sqrt(3)) - 1) < 0.05);
    }
  }
});

test('a depthwise convolution starts by its own fan in where PyTorch is followed', (t) => {
  const model = withLayers([
    { kind: 'conv2d', name: 'wide', filters: 64, kernel: 1, padding: 0, bias: false },
    { kind: 'depthwise-conv2d', name: 'dw', kernel: 3, padding: 1, bias: true },
    { kind: 'global-average-pool' },
    { kind: 'linear', name: 'fc', features: 'classes' },
  ]);
  const start = 3 * 64;
  const tensor = initialParameters(model, 2).subarray(start, start + 9 * 64 + 64);
  t.true(tensor.every((value) => Math.abs(value) <= 1 / 3));
  t.true(tensor.some((value) => Math.abs(value) > 0.3));
});

function withLayers(layers: Layer[], side = 8): ModelSpec {
  return at({ name: 'net', summary: 'for tests', initialisation: 'pytorch', layers }, side, 3);
}

const conv = (name: string, kernel = 3): Layer => ({
  kind: 'conv2d',
  name,
  filters: 4,
  kernel,
  padding: 0,
  bias: true,
});
const end: Layer[] = [{ kind: 'global-average-pool' }, { kind: 'linear', name: 'fc', features: 'classes' }];

const misfits: [string, Layer[], RegExp][] = [
  [
    'a window larger than its input',
    [conv('big', 9), ...end],
    /^net: conv2d big has a window of 9, larger than its input of 8/,
  ],
  ['a name that occurs twice', [conv('a'), conv('a'), ...end], /^net: conv2d a has a name that another layer has/],
  [
    'branches of different shape',
    [{ kind: 'residual', main: [conv('a')], shortcut: [] }, ...end],
    /residual with conv2d a adds an image 6x6x4 of its main branch to an image 8x8x3 of its shortcut/,
  ],
  [
    'a linear layer on images',
    [{ kind: 'linear', name: 'fc', features: 'classes' }],
    /linear fc takes a vector but is given an image/,
  ],
  [
    'batch norm on a vector',
    [{ kind: 'flatten' }, { kind: 'batch-norm', name: 'bn' }],
    /batch-norm bn takes an image but is given a vector/,
  ],
  ['an end that is no classifier', [conv('a')], /^net ends in an image 6x6x4, not in one logit for each of 3 classes/],
  [
    'too much padding of a pool',
    [{ kind: 'max-pool', size: 2, stride: 2, padding: 2 }, ...end],
    /max-pool pads 2 on each side/,
  ],
  ['dropout of everything', [{ kind: 'dropout', rate: 1 }, ...end], /dropout has rate 1, expected 0 to below 1/],
  [
    'a tensor that no machine holds',
    [
      { kind: 'flatten' },
      { kind: 'linear', name: 'huge', features: 1e7 },
      { kind: 'linear', name: 'fc', features: 'classes' },
    ],
    /tensor huge\.weight would have 1920000000 numbers/,
  ],
];

for (const [what, layers, message] of misfits) {
  test(`${what} is refused by the layer's name`, (t) => {
    t.like(
      t.throws(() => withLayers(layers)),
      { code: 'INVALID_ARGUMENT' },
    );
    t.throws(() => withLayers(layers), { message });
  });
}
