import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { createRandom } from '../../../lib/base/random.ts';
import { resolveArchitecture } from '../../../lib/model/architecture-choice.ts';
import { decodeArtefact, writeArtefactFolder } from '../../../lib/model/artefact.ts';
import { type ImportOptions, importModel } from '../../../lib/model/imported-model.ts';
import { networkOf } from '../../../lib/model/manifest-network.ts';
import { describeModel, exportTensors, initialStatistics } from '../../../lib/model/parameters.ts';
import { pretrainedNamed } from '../../../lib/model/pretrained.ts';
import { encodeSafetensors, type NamedTensor, type NamedTensors } from '../../../lib/model/safetensors.ts';
import { toZooNames } from '../../../lib/model/weight-names.ts';
import { architecturesThatFit, fitWeights } from '../../../lib/model/weights-fit.ts';
import { openWeights, type WeightsSource } from '../../../lib/model/weights-source.ts';
import { architectureNamed } from '../../../lib/model/zoo.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const fixtures = fileURLToPath(new URL('../../', import.meta.url));
const stateDicts: Record<string, Record<string, number[]>> = JSON.parse(
  readFileSync(path.join(fixtures, 'goldens/state-dicts.json'), 'utf8'),
);
const CIFAR = { height: 32, width: 32, channels: 3 };
const IMAGENET = { height: 224, width: 224, channels: 3 };

/** A tensor of zeros takes no time, whatever its size. */
function zeros(shape: readonly number[]): NamedTensor {
  return { shape, values: new Float32Array(shape.reduce((product, length) => product * length, 1)) };
}

/** Weights of a zoo architecture, every value another. */
function zooTensors(architecture: string, classes: number): Map<string, NamedTensor> {
  const model = describeModel(architectureNamed(architecture), CIFAR, classes);
  const random = createRandom(20_261_121);
  const parameters = Float32Array.from({ length: model.parameterCount }, () => random.nextNormal());
  return new Map(exportTensors(model, parameters, initialStatistics(model)));
}

/** Of the size at which the architecture is commonly used. */
function exportedZeros(architecture: string): NamedTensors {
  const model = describeModel(architectureNamed(architecture), IMAGENET, 2);
  return exportTensors(model, new Float32Array(model.parameterCount), initialStatistics(model));
}

function renamed(tensors: NamedTensors, rename: (name: string) => string): Map<string, NamedTensor> {
  return new Map([...tensors].map(([name, tensor]) => [rename(name), tensor]));
}

async function sourceOf(t: ExecutionContext, tensors: NamedTensors): Promise<WeightsSource> {
  const file = path.join(await tempFolder(t), 'w.safetensors');
  await writeFile(file, encodeSafetensors(tensors));
  return await openWeights(file, '/nowhere');
}

for (const [name, shapes] of Object.entries(stateDicts)) {
  test(`the state dict of ${name} fits its architecture by name, and no other`, (t) => {
    const tensors = new Map(Object.entries(shapes).map(([key, shape]) => [key, zeros(shape)]));
    const architecture = name.replace(/^.* resnet/, 'resnet-').replace(/^.*efficientnet_lite0$/, 'efficientnet-lite0');
    const known = toZooNames(tensors);
    t.deepEqual(architecturesThatFit(known), [{ architecture, classes: 1000, size: 224 }]);
  });
}

test('the number of classes is the classifier’s', (t) => {
  const shapes = Object.entries(stateDicts['timm tf_efficientnet_lite0'] as Record<string, number[]>);
  const tensors = new Map(shapes.map(([key, shape]) => [key, zeros(shape)]));
  tensors.set('classifier.weight', zeros([12, 1280])).set('classifier.bias', zeros([12]));
  const model = fitWeights(toZooNames(tensors), architectureNamed('efficientnet-lite0'), IMAGENET);
  t.is(model.classes, 12);
});

test('names of other projects become the zoo’s', (t) => {
  const own = zooTensors('resnet-20', 7);
  const foreign: [string, (name: string) => string][] = [
    ['torch.compile in DataParallel', (name) => `module._orig_mod.${name}`],
    ['Lightning', (name) => `model.${name}`],
    ['another classifier', (name) => name.replace('fc.', 'linear.')],
    ['another shortcut', (name) => name.replace('downsample', 'shortcut')],
  ];
  for (const [what, rename] of foreign) {
    const tensors = renamed(own, rename).set(rename('bn1.num_batches_tracked'), zeros([]));
    t.deepEqual(toZooNames(tensors), own, what);
  }
  const some = renamed(own, (name) => (name.startsWith('fc') ? name : `module.${name}`));
  t.deepEqual(toZooNames(some), some, 'a prefix that only some have is part of the names');
  t.throws(() => toZooNames(new Map(own).set('linear.bias', zeros([7]))), {
    instanceOf: StillhouseError,
    message: /tensor .*\.bias would be called fc\.bias/,
  });
});

test('names of efficientnet_pytorch become timm’s, tensor by tensor in their common order', async (t) => {
  const timm = Object.keys(stateDicts['timm tf_efficientnet_lite0'] as object);
  const blocks = [1, 2, 2, 3, 3, 4, 1];
  const layers = ['_expand_conv', '_bn0', '_depthwise_conv', '_bn1', '_project_conv', '_bn2'];
  // The common order of both, written down here from the two networks' definitions.
  const lukemelas = ['_conv_stem', '_bn0']
    .concat(
      blocks
        .flatMap((count, stage) => new Array<number>(count).fill(stage))
        .flatMap((stage, block) =>
          (stage === 0 ? layers.slice(2) : layers).map((layer) => `_blocks.${block}.${layer}`),
        ),
    )
    .concat(['_conv_head', '_bn1', '_fc']);
  const layersOfTimm = [...new Set(timm.map((name) => name.replace(/\.[^.]+$/, '')))];
  t.is(lukemelas.length, layersOfTimm.length);
  const tensors = new Map(lukemelas.map((layer, index) => [`${layer}.weight`, zeros([index])]));
  t.deepEqual(
    [...toZooNames(tensors)].map(([name, { shape }]) => [name, shape[0]]),
    layersOfTimm.map((layer, index) => [`${layer}.weight`, index]),
  );
  const odd = new Map([
    ...tensors,
    ['_blocks.99._bn1.weight', zeros([1])] as const,
    ['_se.weight', zeros([2])] as const,
  ]);
  t.deepEqual([...toZooNames(odd).keys()].slice(-2), ['_blocks.99._bn1.weight', '_se.weight']);
});

test('an imported file becomes a model with the same weights, under the source’s digest', async (t) => {
  const own = zooTensors('resnet-8', 3);
  const source = await sourceOf(
    t,
    renamed(own, (name) => `module.${name}`),
  );
  const options: ImportOptions = { classNames: ['a', 'b', 'c'], mean: [0.1, 0.2, 0.3], std: [1, 2, 3], name: 'mine' };
  const artefact = importModel(source, options);
  const { manifest, tensors } = decodeArtefact(artefact.manifestBytes, artefact.weightsBytes, artefact.digest);
  t.deepEqual(new Map([...tensors].sort()), new Map([...own].sort()));
  t.like(manifest, {
    name: 'mine',
    architecture: { name: 'resnet-8' },
    classNames: ['a', 'b', 'c'],
    classIds: [0, 1, 2],
    parentClassNames: ['a', 'b', 'c'],
    input: CIFAR,
    preprocessing: { scale: '0..1', mean: [0.1, 0.2, 0.3], std: [1, 2, 3] },
  });
  const digest = sha256(encodeSafetensors(renamed(own, (name) => `module.${name}`)));
  t.deepEqual(manifest.lineage, { arm: 'imported', source: { file: 'w.safetensors', digest } });
});

test('a model’s folder is a source too, and brings what it knows', async (t) => {
  const source = await sourceOf(t, zooTensors('resnet-8', 2));
  const first = importModel(source, { classNames: ['a', 'b'], mean: [0, 0, 0], std: [1, 1, 1], inputSize: 48 });
  const folder = path.join(await tempFolder(t), 'model');
  await writeArtefactFolder(folder, first);
  const again = await openWeights(folder, '/nowhere');
  t.like(again, { architecture: 'resnet-8', classNames: ['a', 'b'], input: { height: 48, width: 48, channels: 3 } });
  const second = importModel(again, {});
  t.deepEqual(second.manifest.weights, first.manifest.weights);
  t.deepEqual(second.manifest.lineage, { arm: 'imported', source: { file: 'model', digest: first.digest } });
});

test('layers of the user’s own, and classes without names, are imported too', async (t) => {
  const layers = [
    { kind: 'conv2d', name: 'stem', filters: 4, kernel: 3, padding: 1 },
    { kind: 'global-average-pool' },
    { kind: 'linear', name: 'head', features: 'classes' },
  ];
  const architecture = { name: 'mine', layers };
  const input = { height: 16, width: 16, channels: 3 };
  const model = describeModel(resolveArchitecture(architecture), input, 2);
  const weights = exportTensors(model, new Float32Array(model.parameterCount).fill(0.5), initialStatistics(model));
  const options = { architecture, namelessClasses: true, inputSize: 16, mean: [0, 0, 0], std: [1, 1, 1] };
  const { manifest } = importModel(await sourceOf(t, weights), options);
  t.deepEqual(manifest.architecture, { name: 'mine', definition: architecture });
  t.deepEqual(manifest.classNames, ['class-0', 'class-1']);
  const again = networkOf(manifest);
  t.is(again.parameterCount, model.parameterCount);
});

test('images are what the source says, else as given, else the architecture’s usual', async (t) => {
  const input = { height: 28, width: 28, channels: 1 };
  const model = describeModel(architectureNamed('simple-cnn'), input, 2);
  const weights = exportTensors(model, new Float32Array(model.parameterCount).fill(0.5), initialStatistics(model));
  const options = { architecture: 'simple-cnn', namelessClasses: true, mean: [0.1], std: [0.3] };
  const source = await sourceOf(t, weights);
  t.throws(() => importModel(source, options), { message: /tensor .* has shape/ });
  const first = importModel(source, { ...options, input });
  t.deepEqual(first.manifest.input, input);
  t.is(networkOf(first.manifest).parameterCount, model.parameterCount);
  const folder = path.join(await tempFolder(t), 'model');
  await writeArtefactFolder(folder, first);
  const again = await openWeights(folder, '/nowhere');
  t.deepEqual(importModel(again, { input: CIFAR }).manifest.input, input);
});

test('only networks that come with ImageNet’s weights are taken to expect its normalisation', async (t) => {
  const means = { 'resnet-18': [0.485, 0.456, 0.406], 'student-net': null };
  for (const [architecture, mean] of Object.entries(means)) {
    const source = await sourceOf(t, exportedZeros(architecture));
    const attempt = () => importModel(source, { architecture, namelessClasses: true }).manifest.preprocessing.mean;
    if (mean === null) t.throws(attempt, { message: /how the images were normalised/ });
    else t.deepEqual(attempt(), mean);
  }
});

type Change = (tensors: Map<string, NamedTensor>) => void;
const misfits: [string, Change, string, RegExp][] = [
  ['a missing tensor', (w) => w.delete('layer2.0.bn1.bias'), 'layer2.0.bn1.bias', /layer2\.0\.bn1\.bias is missing/],
  ['a missing classifier', (w) => w.delete('fc.weight'), 'fc.weight', /fc\.weight is missing/],
  ['a missing statistic', (w) => w.delete('bn1.running_var'), 'bn1.running_var', /bn1\.running_var is missing/],
  ['an extra tensor', (w) => w.set('head.weight', zeros([1])), 'head.weight', /head\.weight is not one of its/],
  ['another shape', (w) => w.set('conv1.weight', zeros([16, 3, 5, 5])), 'conv1.weight', /conv1\.weight has shape/],
  [
    'a shape of equal size',
    (w) => w.set('conv1.weight', zeros([3, 16, 3, 3])),
    'conv1.weight',
    /conv1\.weight has shape/,
  ],
  ['NaN', (w) => w.get('bn1.weight')?.values.fill(Number.NaN, 3, 4), 'bn1.weight', /bn1\.weight holds NaN/],
  ['infinity', (w) => w.get('fc.bias')?.values.fill(Number.POSITIVE_INFINITY), 'fc.bias', /fc\.bias holds Infinity/],
  ['a classifier that is a scalar', (w) => w.set('fc.weight', zeros([])), 'fc.weight', /fc\.weight has shape/],
  ['no classes', (w) => w.set('fc.weight', zeros([0, 64])), 'fc.weight', /fc\.weight has shape/],
];

for (const [what, change, field, message] of misfits) {
  test(`refused, with the tensor’s name: ${what}`, async (t) => {
    const tensors = zooTensors('resnet-8', 3);
    change(tensors);
    const source = await sourceOf(t, tensors);
    const options = { architecture: 'resnet-8', classNames: ['a', 'b', 'c'], mean: [0, 0, 0], std: [1, 1, 1] };
    const error = t.throws(() => importModel(source, options), { instanceOf: StillhouseError, message });
    t.is(error?.code, 'INVALID_ARGUMENT');
    t.is(error?.field, field);
  });
}

test('a wrong architecture is refused with the right one', async (t) => {
  const source = await sourceOf(t, zooTensors('resnet-20', 10));
  const error = t.throws(() => importModel(source, { architecture: 'resnet-18' }), { instanceOf: StillhouseError });
  t.is(error?.hint, 'these weights fit resnet-20');
  t.throws(() => importModel(source, { architecture: 'resnet-21' }), { code: 'NOT_FOUND' });
});

test('what cannot be known is asked for', async (t) => {
  const source = await sourceOf(t, zooTensors('resnet-8', 3));
  const classNames = ['a', 'b', 'c'];
  const ask = (options: ImportOptions, message: RegExp, field: string) => {
    const error = t.throws(() => importModel(source, options), { instanceOf: StillhouseError, message });
    t.is(error?.field, field);
  };
  ask({}, /3 classes, nothing names them/, 'classes');
  ask({ classNames: ['a'] }, /3 classes, 1 names are given/, 'classes');
  ask({ classNames }, /how the images were normalised/, 'mean');
  ask({ classNames, mean: [0, 0, 0] }, /how the images were normalised/, 'std');
  ask({ classNames, mean: [0, 0, 0], std: [1, 0, 1] }, /preprocessing\.std/, 'preprocessing.std[1]');
  ask({ classNames: ['a', 'b', 'a'], mean: [0, 0, 0], std: [1, 1, 1] }, /every name once/, 'parentClassNames');
  const strange = await sourceOf(t, new Map([['x', zeros([3])]]));
  t.throws(() => importModel(strange, {}), { message: /fit no architecture/ });
});

test('files that hold no weights are refused by what they are', async (t) => {
  const folder = await tempFolder(t);
  const open = async (name: string, bytes: Uint8Array | string) => {
    await writeFile(path.join(folder, name), bytes);
    return await openWeights(path.join(folder, name), '/nowhere');
  };
  const refused = { instanceOf: StillhouseError, code: 'INVALID_ARGUMENT' };
  await t.throwsAsync(open('empty', ''), { ...refused, message: /is not a file of weights/ });
  await t.throwsAsync(open('text.pth', 'no weights, a text'), { ...refused, message: /is not a file of weights/ });
  const pickle = await t.throwsAsync(open('model.pkl', Buffer.from('\x80\x04N.', 'latin1')), refused);
  t.regex((pickle as StillhouseError).hint ?? '', /Python pickle/);
  await t.throwsAsync(open('none.safetensors', encodeSafetensors(new Map())), {
    ...refused,
    message: /holds no tensors/,
  });
  await t.throwsAsync(openWeights(path.join(folder, 'missing'), '/nowhere'), { code: 'NOT_FOUND' });
  await mkdir(path.join(folder, 'folder'));
  await t.throwsAsync(openWeights(path.join(folder, 'folder'), '/nowhere'), {
    code: 'NOT_FOUND',
    message: /model\.json/,
  });
});

test('pre-trained weights that are not in the cache, or not the right ones, are missed with what to do', async (t) => {
  const cache = await tempFolder(t);
  const missing = { instanceOf: StillhouseError, code: 'FAILED_PRECONDITION', message: /lite0 are not in the cache/ };
  const error = await t.throwsAsync(openWeights('pretrained:efficientnet-lite0', cache), missing);
  t.regex((error as StillhouseError).hint ?? '', /npm run setup/);
  const { file } = pretrainedNamed('efficientnet-lite0');
  await mkdir(path.dirname(path.join(cache, file)), { recursive: true });
  await writeFile(path.join(cache, file), readFileSync(path.join(fixtures, 'fixtures/torch/plain.legacy.pth')));
  await t.throwsAsync(openWeights('pretrained:efficientnet-lite0', cache), { code: 'DATA_LOSS', message: /damaged/ });
  await writeFile(path.join(cache, file), 'cut off');
  await t.throwsAsync(openWeights('pretrained:efficientnet-lite0', cache), { code: 'DATA_LOSS' });
  await t.throwsAsync(openWeights('pretrained:resnet-999', cache), { code: 'NOT_FOUND' });
});
