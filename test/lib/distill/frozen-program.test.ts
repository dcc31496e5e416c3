import test from 'ava';
import { canFreeze, FrozenProgram } from '../../../lib/distill/frozen-program.ts';
import { type OpenProgram, StepProgram } from '../../../lib/distill/step-program.ts';
import type { ProgramSpec } from '../../../lib/distill/step-spec.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { splitAtHead } from '../../../lib/model/freeze.ts';
import type { Architecture } from '../../../lib/model/layers.ts';
import { describeModel } from '../../../lib/model/parameters.ts';
import { architectureNamed, architectureNames, isForImagenet } from '../../../lib/model/zoo.ts';
import { ownLogits, PREPROCESSING, type RandomModel, randomImages, randomModel } from '../../helpers/random-model.ts';

const COUNT = 3;
const SEED = 11;
/** Of the largest logit. */
const TOLERANCE = 1e-5;

function specOf({ spec }: RandomModel, change: Partial<ProgramSpec> = {}): ProgramSpec {
  return { model: spec, preprocessing: PREPROCESSING, training: null, predictBatchSizes: [2], ...change };
}

function write(program: OpenProgram, { parameters, statistics }: RandomModel): void {
  program.write('parameters', parameters);
  program.write('statistics', statistics);
}

/** The largest difference, relative to the largest logit. */
function errorOf(actual: Float32Array, expected: Float32Array): number {
  const largest = Math.max(...expected.map(Math.abs));
  return Math.max(...actual.map((value, index) => Math.abs(value - (expected[index] as number)))) / largest;
}

const convolution = (name: string, bias: boolean) =>
  ({ kind: 'conv2d', name, filters: 6, kernel: 3, padding: 1, bias }) as const;
const depthwise = (name: string, bias: boolean) =>
  ({ kind: 'depthwise-conv2d', name, kernel: 3, stride: 2, padding: 1, bias }) as const;

/** Batch norm after convolutions that have a bias or end a block, after none, and after a sum. */
const unusual: Architecture = {
  name: 'unusual',
  summary: '',
  initialisation: 'pytorch',
  layers: [
    { kind: 'batch-norm', name: 'first', epsilon: 0.1 },
    { kind: 'block', name: 'a', layers: [convolution('conv1', true)] },
    { kind: 'batch-norm', name: 'afterBlock' },
    {
      kind: 'residual',
      main: [{ kind: 'batch-norm', name: 'before' }, { kind: 'relu' }, convolution('conv2', false)],
      shortcut: [convolution('conv3', true), { kind: 'batch-norm', name: 'shortcut' }],
      activation: 'none',
    },
    { kind: 'batch-norm', name: 'afterSum' },
    depthwise('dw1', true),
    { kind: 'batch-norm', name: 'afterDw1', epsilon: 0.01 },
    { kind: 'batch-norm', name: 'twice' },
    { kind: 'relu6' },
    depthwise('dw2', false),
    { kind: 'batch-norm', name: 'afterDw2' },
    { kind: 'flatten' },
    { kind: 'linear', name: 'fc', features: 'classes' },
  ],
};

for (const architecture of [...architectureNames.map(architectureNamed), unusual]) {
  const { name } = architecture;
  test(`${name} predicts what its layers compute one by one (seed ${SEED})`, (t) => {
    const side = isForImagenet(name) ? 48 : 32;
    const model = randomModel(architecture, { height: side, width: side, channels: 3 }, 5, SEED);
    const images = randomImages(model.spec.input, COUNT, SEED);
    const expected = ownLogits(model, images);
    const programs = { frozen: new FrozenProgram(specOf(model)), variable: new StepProgram(specOf(model)) };
    for (const [kind, program] of Object.entries(programs)) {
      write(program, model);
      const error = errorOf(program.predict(images, COUNT), expected);
      t.true(error <= TOLERANCE, `${kind}: ${error}`);
      program.close();
    }
  });
}

for (const architecture of [architectureNamed('resnet-20'), unusual]) {
  test(`${architecture.name} predicts by the latest weights and statistics (seed ${SEED})`, (t) => {
    const first = randomModel(architecture, { height: 32, width: 32, channels: 3 }, 5, SEED);
    const images = randomImages(first.spec.input, COUNT, SEED);
    const second = { ...first, parameters: first.parameters.map((value) => 0.9 * value) };
    const third = { ...second, statistics: second.statistics.map((value) => 1.2 * value) };
    for (const program of [new FrozenProgram(specOf(first)), new StepProgram(specOf(first))]) {
      write(program, first);
      program.predict(images, COUNT);
      program.write('parameters', second.parameters);
      t.true(errorOf(program.predict(images, COUNT), ownLogits(second, images)) <= TOLERANCE);
      program.write('statistics', third.statistics);
      t.true(errorOf(program.predict(images, COUNT), ownLogits(third, images)) <= TOLERANCE);
      program.close();
    }
  });
}

for (const name of ['resnet-20', 'efficientnet-lite0']) {
  test(`the backbone of ${name} answers the features of the whole (seed ${SEED})`, (t) => {
    const { spec, parameters, statistics, tensors } = randomModel(
      architectureNamed(name),
      { height: 32, width: 32, channels: 3 },
      5,
      SEED,
    );
    const { backbone } = splitAtHead(spec);
    const model = { spec: backbone, parameters: parameters.slice(0, backbone.parameterCount), statistics, tensors };
    const images = randomImages(spec.input, COUNT, SEED);
    const program = new FrozenProgram(specOf(model));
    write(program, model);
    const error = errorOf(program.predict(images, COUNT), ownLogits(model, images));
    t.true(error <= TOLERANCE, `${error}`);
    program.close();
  });
}

for (const side of [12, 32, 50]) {
  test(`images of ${side} x ${side} are scaled to a network of 32 x 32 (seed ${SEED})`, (t) => {
    const model = randomModel(architectureNamed('resnet-8'), { height: 32, width: 32, channels: 3 }, 5, SEED);
    const arriving = { height: side, width: side, channels: 3 };
    const images = randomImages(arriving, COUNT, SEED);
    const scaled = tf.tidy(() =>
      tf.image.resizeBilinear(tf.tensor4d(images, [COUNT, side, side, 3]), [32, 32], false, true).dataSync(),
    ) as Float32Array;
    const program = new FrozenProgram(specOf(model, { images: arriving }));
    write(program, model);
    const error = errorOf(program.predict(images, COUNT), ownLogits(model, scaled));
    t.true(error <= TOLERANCE, `${error}`);
    program.close();
  });
}

test('state that is missing or of another length is refused, and nothing but a prediction is computed', (t) => {
  const model = randomModel(architectureNamed('resnet-8'), { height: 32, width: 32, channels: 3 }, 5, SEED);
  const program = new FrozenProgram(specOf(model));
  const images = randomImages(model.spec.input, 1, SEED);
  program.write('parameters', model.parameters);
  t.throws(() => program.predict(images, 1), { message: /statistics have not been written/ });
  t.throws(() => program.write('parameters', model.parameters.slice(1)), { message: /parameters/ });
  t.throws(() => program.write('momentum', model.parameters), { message: /momentum/ });
  t.throws(() => program.sums(), { message: /only predicts/ });
  t.deepEqual(program.read('parameters'), model.parameters);
  program.close();
});

test('weights beyond what a graph may hold stay variables', (t) => {
  const input = { height: 32, width: 32, channels: 3 };
  const wide = (features: number): Architecture => ({
    name: 'wide',
    summary: '',
    initialisation: 'pytorch',
    layers: [
      { kind: 'flatten' },
      { kind: 'linear', name: 'fc1', features },
      { kind: 'linear', name: 'fc2', features: 'classes' },
    ],
  });
  const can = (features: number) =>
    canFreeze({
      model: describeModel(wide(features), input, 5),
      preprocessing: PREPROCESSING,
      training: null,
      predictBatchSizes: [1],
    });
  t.true(can(80_000));
  t.false(can(90_000));
});

test('a program that predicts keeps no tensors', (t) => {
  const model = randomModel(architectureNamed('resnet-8'), { height: 32, width: 32, channels: 3 }, 5, SEED);
  const images = randomImages(model.spec.input, COUNT, SEED);
  const before = tf.memory().numTensors;
  const program = new FrozenProgram(specOf(model));
  for (let round = 0; round < 2; round++) {
    write(program, model);
    program.predict(images, COUNT);
    t.is(tf.memory().numTensors, before);
  }
  program.close();
});
