import test from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { createRandom, hashName } from '../../../lib/base/random.ts';
import { Compute, type Program } from '../../../lib/distill/compute.ts';
import { FrozenBackbone } from '../../../lib/distill/frozen-backbone.ts';
import type { LossTerm } from '../../../lib/distill/loss-spec.ts';
import type { Optimizer } from '../../../lib/distill/optimizer-spec.ts';
import type { MicroBatch, ProgramSpec, TrainingSpec } from '../../../lib/distill/step-spec.ts';
import type { TrainableModel } from '../../../lib/distill/trainable-model.ts';
import { configureEngine } from '../../../lib/engine/environment.ts';
import type { Architecture } from '../../../lib/model/layers.ts';
import { describeModel, initialStatistics, type ModelSpec } from '../../../lib/model/parameters.ts';
import { architectureNamed } from '../../../lib/model/zoo.ts';
import { relativeError } from '../../helpers/random-model.ts';

const BATCH = 6;
const STEPS = 3;
const COMMON = { learningRate: 0.05, schedule: { type: 'cosine', warmupSteps: 1 } } as const;

/** A thread of its own computes with each. */
const [plain, native] = (['plain', 'native'] as const).map((engine) => {
  configureEngine({ intraOpThreads: 1, interOpThreads: 1, engine });
  return new Compute();
}) as [Compute, Compute];

test.after.always(() => Promise.all([plain.close(), native.close()]));

const normed: Architecture = {
  name: 'normed',
  summary: 'for tests',
  initialisation: 'kaiming-fan-out',
  layers: [
    { kind: 'conv2d', name: 'conv1', filters: 6, kernel: 7, stride: 2, padding: 3, bias: false },
    { kind: 'batch-norm', name: 'bn1' },
    { kind: 'relu' },
    { kind: 'max-pool', size: 3, stride: 2, padding: 1 },
    {
      kind: 'residual',
      main: [
        { kind: 'conv2d', name: 'conv2', filters: 6, kernel: 3, padding: 1, bias: false },
        { kind: 'batch-norm', name: 'bn2', momentum: 0.3 },
      ],
      shortcut: [],
    },
    { kind: 'average-pool', size: 3, stride: 1, padding: 1 },
    { kind: 'global-average-pool' },
    { kind: 'dropout', rate: 0.4 },
    { kind: 'linear', name: 'fc', features: 'classes' },
  ],
};

const depthwise: Architecture = {
  name: 'depthwise',
  summary: 'for tests',
  initialisation: 'pytorch',
  layers: [
    { kind: 'conv2d', name: 'stem', filters: 4, kernel: 3, stride: 2, padding: 'same', bias: true },
    { kind: 'relu6' },
    { kind: 'depthwise-conv2d', name: 'depthwise', kernel: 3, stride: 2, padding: 'same', bias: true },
    { kind: 'relu6' },
    { kind: 'average-pool', size: 2, stride: 2 },
    { kind: 'flatten' },
    { kind: 'linear', name: 'fc', features: 'classes' },
  ],
};

/** With random numbers of its own. */
const SOURCE = `export default ({ tf, logits, teacherLogits }) =>
  tf.mean(tf.mul(tf.squaredDifference(logits, teacherLogits), tf.randomNormal(logits.shape, 1, 0.2)), 1);`;
const ownLoss = { digest: sha256(SOURCE), name: 'own.mjs', source: SOURCE };

test.before(() => Promise.all([plain.loadLoss(ownLoss), native.loadLoss(ownLoss)]));

interface Case {
  readonly architecture: Architecture;
  readonly side: number;
  readonly terms: readonly LossTerm[];
  readonly optimizer: Optimizer;
  readonly change?: Partial<TrainingSpec>;
}

const cases: Case[] = [
  {
    architecture: architectureNamed('simple-cnn'),
    side: 32,
    terms: [
      { type: 'cross-entropy', weight: 0.3, smoothing: 0.1 },
      { type: 'kl', weight: 0.7 },
    ],
    optimizer: { type: 'sgd', momentum: 0.9, nesterov: true, weightDecay: 1e-2, clipNorm: 0.5, ...COMMON },
  },
  {
    architecture: normed,
    side: 32,
    terms: [{ type: 'dkd', weight: 1, alpha: 1, beta: 2 }],
    optimizer: { type: 'adam', weightDecay: 1e-2, ...COMMON },
  },
  {
    architecture: depthwise,
    side: 15,
    terms: [{ type: 'dist', weight: 1, beta: 1, gamma: 1 }],
    optimizer: { type: 'adamw', weightDecay: 0.1, ...COMMON },
  },
  {
    architecture: depthwise,
    side: 13,
    terms: [
      { type: 'custom', weight: 1, digest: ownLoss.digest, name: ownLoss.name, parameters: {}, needsTeacher: true },
    ],
    optimizer: { type: 'sgd', momentum: 0, nesterov: false, weightDecay: 0, ...COMMON },
    change: { fineTune: 'head' },
  },
];

function specOf({ architecture, side, terms, optimizer, change }: Case): ProgramSpec {
  return {
    model: describeModel(architecture, { height: side, width: side, channels: 3 }, 4),
    // Scaled to the model's input.
    images: { height: 32, width: 32, channels: 3 },
    preprocessing: { mean: [0.5, 0.4, 0.5], std: [0.25, 0.2, 0.25] },
    training: {
      loss: { terms, temperature: 2 },
      optimizer,
      totalSteps: 2 * STEPS,
      batchSizes: [BATCH],
      fineTune: 'all',
      precision: 'float32',
      compile: 'auto',
      seed: 7,
      ...change,
    },
    predictBatchSizes: [1, 4],
  };
}

function batchOf({ model }: ProgramSpec, title: string, step: number): MicroBatch {
  const random = createRandom(hashName(title), step);
  return {
    step,
    lane: 2,
    count: BATCH,
    images: Float32Array.from({ length: BATCH * 32 * 32 * 3 }, () => random.nextInt(256)),
    labels: Int32Array.from({ length: BATCH }, () => random.nextInt(model.classes)),
    teacherLogits: Float32Array.from({ length: BATCH * model.classes }, () => 3 * random.nextNormal()),
  };
}

function randomWeights(model: ModelSpec, title: string): Float32Array {
  const random = createRandom(hashName(title));
  return Float32Array.from({ length: model.parameterCount }, () => 0.2 * random.nextNormal());
}

/** Everything that a program answers, by name. */
async function run(program: Program, title: string): Promise<Map<string, ArrayLike<number>>> {
  const { spec } = program;
  await program.write('parameters', randomWeights(spec.model, title));
  await program.write('statistics', initialStatistics(spec.model));
  for (const slot of program.slots) await program.write(slot, new Float32Array(program.slotSize));
  const answers = new Map<string, ArrayLike<number>>();
  answers.set('sums', await program.sums(batchOf(spec, title, 0)));
  for (let step = 0; step < STEPS; step++) {
    const { loss, accuracy, hasFiniteGradients } = await program.loneStep(batchOf(spec, title, step));
    answers.set(`step ${step}`, [loss, accuracy, Number(hasFiniteGradients)]);
  }
  const mean = await program.sums(batchOf(spec, title, STEPS));
  await program.apply(
    mean.map((sum) => sum / BATCH),
    STEPS,
  );
  for (const name of ['parameters', ...program.slots]) answers.set(name, await program.read(name));
  if (spec.model.statisticCount > 0) answers.set('statistics', await program.read('statistics'));
  answers.set('logits', await program.predict(batchOf(spec, title, 0).images, BATCH));
  return answers;
}

for (const one of cases) {
  const { terms, optimizer, change = {} } = one;
  const what = [one.architecture.name, optimizer.type, ...terms.map(({ type }) => type), JSON.stringify(change)].join();
  test(`plain TensorFlow.js computes what TensorFlow does: ${what}`, async (t) => {
    const spec = specOf(one);
    const [program, expectedOf] = [await plain.open(spec), await native.open(spec)];
    t.deepEqual(
      [program.vectorSize, program.slotSize, program.slots],
      [expectedOf.vectorSize, expectedOf.slotSize, expectedOf.slots],
    );
    t.is(expectedOf.mode?.kind, 'compiled');
    const [actual, expected] = [await run(program, t.title), await run(expectedOf, t.title)];
    t.deepEqual([...actual.keys()], [...expected.keys()]);
    for (const [name, values] of expected) {
      const error = relativeError(actual.get(name) as ArrayLike<number>, values);
      t.true(error < 1e-4, `${name}: ${error}`);
    }
  });
}

test('a step that has to be compiled is refused, any other says that it runs eagerly, and a prediction says nothing', async (t) => {
  t.regex(await plain.fingerprint(), /^tensorflowjs-4\.22\.0\/plain-cpu\/v8-/);
  const spec = specOf(cases[2] as Case);
  const training = spec.training as TrainingSpec;
  const refused = await t.throwsAsync(plain.open({ ...spec, training: { ...training, compile: 'required' } }), {
    message: /plain TensorFlow\.js has no graph to compile/,
  });
  t.like(refused, { code: 'FAILED_PRECONDITION', field: 'train.compile' });
  const half = await plain.open({ ...spec, training: { ...training, precision: 'float16' } });
  const full = await plain.open(spec);
  t.deepEqual(full.mode, { kind: 'eager', reason: 'plain TensorFlow.js has no graph to compile' });
  // There are no 16 bits to compute in.
  t.deepEqual((await run(half, t.title)).get('sums'), (await run(full, t.title)).get('sums'));
  const served = await plain.open({ ...spec, training: null });
  t.is(served.mode, null);
  await t.throwsAsync(served.sums(batchOf(spec, t.title, 0)), { message: /only predicts/ });
});

test('a frozen backbone and its head answer as the whole model does', async (t) => {
  const spec = specOf({ ...(cases[1] as Case), change: { fineTune: 'head' } });
  const parts = await FrozenBackbone.open(plain, spec);
  const whole = await plain.open(spec);
  for (const program of [parts, whole]) {
    await program.write('parameters', randomWeights(spec.model, t.title));
    await program.write('statistics', initialStatistics(spec.model));
  }
  t.is(parts.vectorSize, whole.vectorSize);
  const predict = (program: TrainableModel) => program.predict(batchOf(spec, t.title, 0).images, BATCH);
  t.true(relativeError(await predict(parts), await predict(whole)) < 1e-6);
});
