import test from 'ava';
import { createRandom, type Random } from '../../../lib/base/random.ts';
import { indexOfMax } from '../../../lib/base/vectors.ts';
import type { CustomLossFunction } from '../../../lib/distill/loss.ts';
import type { LossTerm } from '../../../lib/distill/loss-spec.ts';
import { StepProgram } from '../../../lib/distill/step-program.ts';
import { type MicroBatch, NO_LABEL, type ProgramSpec, type TrainingSpec } from '../../../lib/distill/step-spec.ts';
import { type Tensor, tf } from '../../../lib/engine/tf.ts';
import { describeModel, initialParameters, initialStatistics, type ModelSpec } from '../../../lib/model/parameters.ts';
import { architectureNamed, withDropout } from '../../../lib/model/zoo.ts';

const SEED = 41;
const IMAGE = { height: 16, width: 16, channels: 3 };
const PREPROCESSING = { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] };
const resnet = describeModel(architectureNamed('resnet-8'), IMAGE, 4);

function trainingOf(change: Partial<TrainingSpec> = {}): TrainingSpec {
  return {
    loss: {
      terms: [
        { type: 'cross-entropy', weight: 0.3 },
        { type: 'kl', weight: 0.7 },
      ],
      temperature: 3,
    },
    optimizer: {
      type: 'sgd',
      learningRate: 0.05,
      momentum: 0.9,
      nesterov: false,
      weightDecay: 0,
      schedule: { type: 'constant', warmupSteps: 0 },
    },
    totalSteps: 100,
    batchSizes: [6],
    fineTune: 'all',
    precision: 'float32',
    compile: 'required',
    seed: 7,
    ...change,
  };
}

function open(
  model: ModelSpec,
  change: Partial<TrainingSpec> = {},
  customs: ReadonlyMap<string, CustomLossFunction> = new Map(),
  spec: Partial<ProgramSpec> = {},
) {
  const program = new StepProgram(
    { model, preprocessing: PREPROCESSING, training: trainingOf(change), predictBatchSizes: [6], ...spec },
    customs,
  );
  program.write('parameters', initialParameters(model, SEED));
  program.write('statistics', initialStatistics(model));
  for (const slot of program.slots) program.write(slot, new Float32Array(program.slotSize));
  return program;
}

function randomBatch(model: ModelSpec, random: Random, change: Partial<MicroBatch> = {}): MicroBatch {
  const count = change.count ?? 6;
  const { height, width, channels } = model.input;
  return {
    step: 0,
    lane: 0,
    count,
    images: Float32Array.from({ length: count * height * width * channels }, () => 255 * random.nextFloat()),
    labels: Int32Array.from({ length: count }, () => random.nextInt(model.classes)),
    teacherLogits: Float32Array.from({ length: count * model.classes }, () => 3 * random.nextNormal()),
    ...change,
  };
}

function distance(a: Float32Array, b: Float32Array): number {
  const difference = Math.hypot(...a.map((value, index) => value - (b[index] as number)));
  return difference / Math.hypot(...b);
}

function customTerm(digest: string): LossTerm {
  return { type: 'custom', weight: 1, digest, name: digest, parameters: {}, needsTeacher: true };
}

/** Customs that cannot be compiled: one looks at a value, one takes another constant from JavaScript at each call. */
function uncompilable(): Map<string, CustomLossFunction> {
  let calls = 0;
  const error = ({ logits, teacherLogits }: { logits: Tensor; teacherLogits: Tensor | null }) =>
    tf.mean(tf.squaredDifference(logits, teacherLogits as Tensor), 1);
  return new Map<string, CustomLossFunction>([
    ['reads', (inputs) => tf.mul(error(inputs), (tf.max(inputs.logits).dataSync()[0] as number) > -1e9 ? 1 : 2)],
    ['counts', (inputs) => tf.mul(error(inputs), ++calls)],
  ]);
}

test('a step that cannot be compiled runs eagerly and says why, or is refused where compiling is required', (t) => {
  const loss = (digest: string) => ({ loss: { terms: [customTerm(digest)], temperature: 1 } });
  const program = open(resnet, { ...loss('reads'), compile: 'auto' }, uncompilable());
  t.is(program.mode?.kind, 'eager');
  t.regex(program.mode?.kind === 'eager' ? program.mode.reason : '', /reads a tensor's value/);
  const reference = open(resnet, { loss: { terms: [{ type: 'mse-logits', weight: 1 }], temperature: 1 } });
  t.deepEqual(reference.mode, { kind: 'compiled' });
  const batch = randomBatch(resnet, createRandom(SEED));
  for (let step = 0; step < 3; step++) {
    const sums = program.sums({ ...batch, step });
    t.true(distance(sums, reference.sums({ ...batch, step })) < 1e-4);
    for (const each of [program, reference])
      each.apply(
        sums.map((value) => value / 6),
        step,
      );
  }
  t.throws(() => open(resnet, { ...loss('reads'), compile: 'required' }, uncompilable()), {
    message: /reads a tensor/,
  });
  t.throws(() => open(resnet, { ...loss('counts'), compile: 'required' }, uncompilable()), {
    message: /differs from eager/,
  });
  for (const precision of ['bfloat16', 'float16'] as const) {
    const change = { ...loss('counts'), precision, compile: 'required' } as const;
    t.throws(() => open(resnet, change, uncompilable()), { message: /differs from eager/ });
  }
  const counting = open(
    resnet,
    { ...loss('counts'), compile: 'auto' },
    new Map([['counts', ({ logits }) => tf.mean(logits, 1)]]),
  );
  t.is(counting.mode?.kind, 'compiled');
  for (const each of [program, reference, counting]) each.close();
});

test('a loss that fails eagerly too is told when the program is opened', (t) => {
  const customs = new Map<string, CustomLossFunction>([
    ['broken', ({ logits }) => tf.matMul(logits as tf.Tensor2D, logits as tf.Tensor2D)],
  ]);
  const change: Partial<TrainingSpec> = { loss: { terms: [customTerm('broken')], temperature: 1 }, compile: 'auto' };
  t.throws(() => open(resnet, change, customs), { message: /size-incompatible/ });
});

for (const [precision, limit] of [
  ['bfloat16', 0.15],
  ['float16', 0.02],
] as const) {
  test(`${precision} computes nearly what float32 does, and trains as well (seed ${SEED})`, (t) => {
    const random = createRandom(SEED);
    const [low, full] = [open(resnet, { precision }), open(resnet)];
    const batch = randomBatch(resnet, random);
    const apart = distance(low.sums(batch), full.sums(batch));
    t.true(apart < limit, `the sums are ${apart} apart`);
    t.true(apart > 1e-5, 'it does compute in another precision');
    const losses = [low, full].map((program) => {
      let loss = 0;
      for (let step = 0; step < 40; step++) {
        const mean = program.sums({ ...batch, step }).map((value) => value / 6);
        program.apply(mean, step);
        loss = mean.at(-2) as number;
      }
      program.close();
      return loss;
    });
    const first = 6 * Math.log(4);
    t.true((losses[0] as number) < 0.5 * first, `losses ${losses}`);
  });
}

test('float16 keeps gradients that would vanish, and tries smaller scales where they would overflow', (t) => {
  const model = describeModel(architectureNamed('simple-cnn'), IMAGE, 4);
  const weighted = (weight: number): Partial<TrainingSpec> => ({
    loss: { terms: [{ type: 'cross-entropy', weight }], temperature: 1 },
  });
  const batch = randomBatch(model, createRandom(SEED));
  for (const weight of [3e-7, 300]) {
    const [low, full] = [open(model, { ...weighted(weight), precision: 'float16' }), open(model, weighted(weight))];
    const apart = distance(low.sums(batch).subarray(0, -1), full.sums(batch).subarray(0, -1));
    t.true(apart < 0.02, `at weight ${weight} the sums are ${apart} apart`);
    low.close();
    full.close();
  }
});

test('dropout depends on step and lane, and on nothing else', (t) => {
  const model = describeModel(withDropout(architectureNamed('resnet-8'), 0.5), IMAGE, 4);
  const program = open(model);
  const other = open(model, { batchSizes: [6, 3] });
  const batch = randomBatch(model, createRandom(SEED));
  const sums = program.sums(batch);
  t.deepEqual(program.sums(batch), sums);
  t.deepEqual(other.sums(batch), sums);
  t.true(distance(program.sums({ ...batch, step: 1 }), sums) > 0.01);
  t.true(distance(program.sums({ ...batch, lane: 1 }), sums) > 0.01);
  const reseeded = open(model, { seed: 8 });
  t.true(distance(reseeded.sums(batch), sums) > 0.01);
  t.deepEqual(program.predict(batch.images.slice(), 6), program.predict(batch.images.slice(), 6));
  for (const each of [program, other, reseeded]) each.close();
});

test('fine-tuning moves the last blocks and the head, and leaves the rest and its statistics as they are', (t) => {
  const { parameters, statistics, blocks } = resnet;
  const batch = randomBatch(resnet, createRandom(SEED));
  for (const [fineTune, firstDepth] of [
    ['head', blocks + 1],
    [{ lastBlocks: 1 }, blocks],
    ['all', 0],
  ] as const) {
    const program = open(resnet, { fineTune });
    const before = { parameters: program.read('parameters'), statistics: program.read('statistics') };
    const mean = program.sums(batch).map((value) => value / 6);
    t.is(mean.length, program.vectorSize);
    program.apply(mean, 0);
    const after = { parameters: program.read('parameters'), statistics: program.read('statistics') };
    for (const kind of ['parameters', 'statistics'] as const) {
      let offset = 0;
      for (const { name, size, depth } of kind === 'parameters' ? parameters : statistics) {
        const moved = after[kind]
          .subarray(offset, offset + size)
          .some((value, index) => value !== before[kind][offset + index]);
        t.is(moved, depth >= firstDepth, `${name} at ${JSON.stringify(fineTune)}`);
        offset += size;
      }
    }
    program.close();
  }
});

test('images of another size are scaled to the input of the model', (t) => {
  const small = describeModel(architectureNamed('resnet-8'), { height: 8, width: 8, channels: 3 }, 4);
  const scaling = open(resnet, {}, new Map(), { images: small.input });
  const plain = open(resnet);
  const images = randomBatch(small, createRandom(SEED)).images;
  const scaled = tf.tidy(
    () => tf.image.resizeBilinear(tf.tensor4d(images, [6, 8, 8, 3]), [16, 16], false, true).dataSync() as Float32Array,
  );
  t.true(distance(scaling.predict(images, 6), plain.predict(scaled, 6)) < 1e-5);
  const batch = randomBatch(resnet, createRandom(SEED));
  t.true(distance(scaling.sums({ ...batch, images }), plain.sums({ ...batch, images: scaled })) < 1e-4);
  scaling.close();
  plain.close();
});

test('10,000 steps and many models leave tensors and memory as they were', (t) => {
  const model = describeModel(
    {
      name: 'tiny',
      summary: '',
      initialisation: 'pytorch',
      layers: [
        { kind: 'conv2d', name: 'conv', filters: 4, kernel: 3, padding: 1, bias: true },
        { kind: 'batch-norm', name: 'bn' },
        { kind: 'relu' },
        { kind: 'global-average-pool' },
        { kind: 'dropout', rate: 0.1 },
        { kind: 'linear', name: 'fc', features: 'classes' },
      ],
    },
    { height: 8, width: 8, channels: 3 },
    4,
  );
  const program = open(model);
  const batch = randomBatch(model, createRandom(SEED));
  const step = (index: number) =>
    program.apply(
      program.sums({ ...batch, step: index }).map((value) => value / 6),
      index,
    );
  for (let index = 0; index < 2_000; index++) step(index);
  const tensors = tf.memory().numTensors;
  const resident = process.memoryUsage().rss;
  for (let index = 2_000; index < 12_000; index++) step(index);
  t.is(tf.memory().numTensors, tensors);
  const grown = (process.memoryUsage().rss - resident) / 2 ** 20;
  t.true(grown < 32, `10,000 steps took ${grown.toFixed(1)} MiB`);
  program.close();

  const large = describeModel(architectureNamed('resnet-8x4'), IMAGE, 4);
  const replace = () => open(large, { batchSizes: [2] }).close();
  for (let index = 0; index < 3; index++) replace();
  const before = process.memoryUsage().rss;
  for (let index = 0; index < 8; index++) replace();
  const left = (process.memoryUsage().rss - before) / 2 ** 20;
  // Its weights, slots and statistics alone are 10 MiB each time.
  t.true(left < 60, `8 models left ${left.toFixed(1)} MiB`);
  t.is(tf.memory().numTensors, tensors);
});

test('a lone step is bit for bit its parts: sums, their mean, the update', (t) => {
  for (const change of [
    {},
    { precision: 'bfloat16' },
    { precision: 'float16' },
    { fineTune: { lastBlocks: 1 } },
    {
      optimizer: {
        type: 'sgd',
        learningRate: 0.01,
        momentum: 0.9,
        nesterov: true,
        weightDecay: 0.1,
        schedule: { type: 'constant', warmupSteps: 0 },
      },
    },
    {
      optimizer: {
        type: 'adamw',
        learningRate: 0.01,
        weightDecay: 0.1,
        schedule: { type: 'constant', warmupSteps: 0 },
      },
    },
    {
      optimizer: {
        type: 'sgd',
        learningRate: 0.01,
        momentum: 0.9,
        nesterov: true,
        weightDecay: 0,
        schedule: { type: 'constant', warmupSteps: 0 },
        clipNorm: 0.5,
      },
    },
    {
      optimizer: {
        type: 'adamw',
        learningRate: 0.01,
        weightDecay: 0.1,
        schedule: { type: 'cosine', warmupSteps: 2 },
        clipNorm: 0.5,
      },
    },
  ] as const satisfies readonly Partial<TrainingSpec>[]) {
    const [lone, parts] = [
      open(resnet, { ...change, batchSizes: [6, 5] }),
      open(resnet, { ...change, batchSizes: [6, 5] }),
    ];
    const random = createRandom(SEED);
    for (let step = 0; step < 4; step++) {
      const batch = randomBatch(resnet, random, { step, count: step === 3 ? 5 : 6 });
      const mean = parts.sums(batch).map((sum) => sum / batch.count);
      parts.apply(mean, step);
      t.deepEqual(
        lone.loneStep(batch),
        { loss: mean.at(-2) as number, accuracy: mean.at(-1) as number, hasFiniteGradients: true },
        `step ${step} ${JSON.stringify(change)}`,
      );
    }
    for (const name of ['parameters', 'statistics', ...lone.slots]) {
      t.true(
        Buffer.from(lone.read(name).buffer).equals(Buffer.from(parts.read(name).buffer)),
        `${name} ${JSON.stringify(change)}`,
      );
    }
    lone.close();
    parts.close();
  }
});

test('samples without labels: the compiled step is the eager one, and right is then what the teacher answers', (t) => {
  const batch = randomBatch(resnet, createRandom(SEED));
  const program = open(resnet, { unlabelled: true });
  t.deepEqual(program.mode, { kind: 'compiled' });
  const alone = open(resnet, { unlabelled: true, loss: { terms: [{ type: 'kl', weight: 0.7 }], temperature: 3 } });
  const unlabelled = batch.labels.map(() => NO_LABEL);
  const softOnly = alone.sums({ ...batch, labels: unlabelled });
  t.true(distance(program.sums({ ...batch, labels: unlabelled }), softOnly) < 1e-5);
  const teacherIsRight = alone.sums({
    ...batch,
    labels: argmaxOf(batch.teacherLogits as Float32Array, resnet.classes),
  });
  t.is(teacherIsRight.at(-1), softOnly.at(-1));
  for (const each of [program, alone]) each.close();
});

function argmaxOf(values: Float32Array, classes: number): Int32Array {
  return Int32Array.from({ length: values.length / classes }, (_, row) =>
    indexOfMax(values.subarray(row * classes, (row + 1) * classes)),
  );
}
