import test from 'ava';
import { createRandom, type Random } from '../../../lib/base/random.ts';
import type { LossTerm } from '../../../lib/distill/loss-spec.ts';
import type { Optimizer } from '../../../lib/distill/optimizer-spec.ts';
import { StepProgram } from '../../../lib/distill/step-program.ts';
import type { MicroBatch, TrainingSpec } from '../../../lib/distill/step-spec.ts';
import { tf } from '../../../lib/engine/tf.ts';
import type { Architecture } from '../../../lib/model/layers.ts';
import { describeModel, initialStatistics, type ModelSpec } from '../../../lib/model/parameters.ts';
import { architectureNamed } from '../../../lib/model/zoo.ts';

const SEED = 20_261_121;
const CONSTANT = { type: 'constant', warmupSteps: 0 } as const;
const SGD: Optimizer = {
  type: 'sgd',
  learningRate: 0.1,
  momentum: 0,
  nesterov: false,
  weightDecay: 0,
  schedule: CONSTANT,
};

/** Small enough for finite differences, with every kind of layer that trains. */
const tiny: Architecture = {
  name: 'tiny',
  summary: 'for tests',
  initialisation: 'pytorch',
  layers: [
    { kind: 'conv2d', name: 'conv1', filters: 4, kernel: 3, padding: 1, bias: true },
    { kind: 'relu' },
    {
      kind: 'residual',
      main: [
        { kind: 'conv2d', name: 'conv2', filters: 4, kernel: 3, stride: 2, padding: 1, bias: false },
        { kind: 'batch-norm', name: 'bn2' },
      ],
      shortcut: [{ kind: 'conv2d', name: 'conv3', filters: 4, kernel: 1, stride: 2, padding: 0, bias: false }],
    },
    { kind: 'flatten' },
    { kind: 'linear', name: 'fc', features: 'classes' },
  ],
};
const tinyModel = describeModel(tiny, { height: 8, width: 8, channels: 3 }, 3);

function open(
  model: ModelSpec,
  terms: readonly LossTerm[],
  temperature: number,
  optimizer: Optimizer,
  sizes: number[],
  change: Partial<TrainingSpec> = {},
) {
  const training: TrainingSpec = {
    loss: { terms, temperature },
    optimizer,
    totalSteps: 10,
    batchSizes: sizes,
    fineTune: 'all',
    precision: 'float32',
    compile: 'required',
    seed: 1,
    ...change,
  };
  const preprocessing = { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] };
  const program = new StepProgram({ model, preprocessing, training, predictBatchSizes: [2, 8] });
  program.write('statistics', initialStatistics(model));
  for (const slot of program.slots) program.write(slot, new Float32Array(program.slotSize));
  return program;
}

function randomBatch(model: ModelSpec, count: number, random: Random): MicroBatch {
  const { height, width, channels } = model.input;
  return {
    step: 0,
    lane: 0,
    count,
    images: Float32Array.from({ length: count * height * width * channels }, () => 255 * random.nextFloat()),
    labels: Int32Array.from({ length: count }, () => random.nextInt(model.classes)),
    teacherLogits: Float32Array.from({ length: count * model.classes }, () => 3 * random.nextNormal()),
  };
}

function randomWeights(model: ModelSpec, random: Random): Float32Array {
  return Float32Array.from({ length: model.parameterCount }, () => 0.3 * random.nextNormal());
}

const lossCases: { terms: LossTerm[]; temperature: number }[] = [
  { terms: [{ type: 'cross-entropy', weight: 1 }], temperature: 1 },
  { terms: [{ type: 'kl', weight: 1 }], temperature: 1 },
  { terms: [{ type: 'kl', weight: 1 }], temperature: 4 },
  {
    terms: [
      { type: 'cross-entropy', weight: 0.3 },
      { type: 'kl', weight: 0.7 },
    ],
    temperature: 2.5,
  },
  { terms: [{ type: 'mse-logits', weight: 0.5 }], temperature: 1 },
];

for (const { terms, temperature } of lossCases) {
  const name = terms.map(({ type, weight }) => `${weight} ${type}`).join(' + ');
  test(`gradients agree with finite differences: ${name} at T ${temperature}`, (t) => {
    t.log(`seed ${SEED}`);
    const random = createRandom(SEED);
    const program = open(tinyModel, terms, temperature, SGD, [6]);
    const weights = randomWeights(tinyModel, random);
    const batch = randomBatch(tinyModel, 6, random);
    const lossAt = (values: Float32Array) => {
      program.write('parameters', values);
      return program.sums(batch).at(-2) as number;
    };
    program.write('parameters', weights);
    const gradient = program.sums(batch).subarray(0, tinyModel.parameterCount);
    for (let round = 0; round < 6; round++) {
      // Directional derivatives: float32 losses are too coarse for single weights.
      const direction = Float32Array.from(weights, () => random.nextNormal());
      const h = 2e-3;
      const ahead = lossAt(weights.map((value, index) => value + h * (direction[index] as number)));
      const behind = lossAt(weights.map((value, index) => value - h * (direction[index] as number)));
      const numeric = (ahead - behind) / (2 * h);
      const exact = gradient.reduce((sum, value, index) => sum + value * (direction[index] as number), 0);
      const scale = Math.hypot(...gradient) * Math.sqrt(tinyModel.parameterCount) * 0.1;
      t.true(Math.abs(numeric - exact) < 0.05 * Math.abs(exact) + 0.02 * scale, `${numeric} is near ${exact}`);
    }
    program.close();
  });
}

test('losses have the values of their formulas', (t) => {
  const random = createRandom(SEED, 1);
  const batch = randomBatch(tinyModel, 5, random);
  const weights = randomWeights(tinyModel, random);
  const T = 3;
  const softmax = (row: number[]) => {
    const top = Math.max(...row);
    const powers = row.map((value) => Math.exp(value - top));
    const total = powers.reduce((sum, value) => sum + value, 0);
    return powers.map((value) => value / total);
  };
  // Zero weights in front of the last layer make the logits its bias.
  const flat = weights.fill(0, 0, tinyModel.parameterCount - 3);
  const logits = [...flat.subarray(-3)];
  const rows = Array.from({ length: 5 }, (_, row) => [
    ...(batch.teacherLogits as Float32Array).subarray(row * 3, row * 3 + 3),
  ]);
  const expected = {
    'cross-entropy': [...batch.labels].reduce((sum, label) => sum - Math.log(softmax(logits)[label] as number), 0),
    kl: rows.reduce((sum, teacher) => {
      const p = softmax(teacher.map((value) => value / T));
      const q = softmax(logits.map((value) => value / T));
      return sum + T * T * p.reduce((kl, value, index) => kl + value * Math.log(value / (q[index] as number)), 0);
    }, 0),
    'mse-logits': rows.reduce(
      (sum, teacher) =>
        sum + teacher.reduce((mse, value, index) => mse + (value - (logits[index] as number)) ** 2, 0) / 3,
      0,
    ),
  };
  for (const type of ['cross-entropy', 'kl', 'mse-logits'] as const) {
    const program = open(tinyModel, [{ type, weight: 1 }], T, SGD, [5]);
    program.write('parameters', flat);
    const loss = program.sums(batch).at(-2) as number;
    t.true(Math.abs(loss - expected[type]) < 1e-4 * expected[type], `${type}: ${loss} is near ${expected[type]}`);
    program.close();
  }
});

const optimizers: Optimizer[] = [
  { ...SGD, weightDecay: 0.01 },
  { type: 'sgd', learningRate: 0.1, momentum: 0.9, nesterov: false, weightDecay: 0, schedule: CONSTANT },
  {
    type: 'sgd',
    learningRate: 0.1,
    momentum: 0.9,
    nesterov: true,
    weightDecay: 0.001,
    schedule: { type: 'cosine', warmupSteps: 2 },
  },
  { type: 'adam', learningRate: 0.01, weightDecay: 0, schedule: CONSTANT },
  { type: 'adamw', learningRate: 0.01, weightDecay: 0.1, schedule: { type: 'cosine', warmupSteps: 2 } },
  { type: 'adam', learningRate: 0.01, weightDecay: 0, schedule: CONSTANT, clipNorm: 3 },
  { ...SGD, clipNorm: 1000 },
  {
    type: 'adam',
    learningRate: 0.01,
    weightDecay: 0.01,
    schedule: { type: 'step', warmupSteps: 0, everySteps: 2, factor: 0.5 },
  },
];

for (const optimizer of optimizers) {
  test(`updates are those of PyTorch's formulas: ${JSON.stringify(optimizer)}`, (t) => {
    const random = createRandom(SEED, 2);
    const program = open(tinyModel, [{ type: 'cross-entropy', weight: 1 }], 1, optimizer, [2]);
    const weights = randomWeights(tinyModel, random);
    program.write('parameters', weights);
    const reference = referenceOptimizer(optimizer, weights);
    for (let step = 0; step < 5; step++) {
      const mean = Float32Array.from({ length: program.vectorSize }, () => random.nextNormal());
      program.apply(mean, step);
      reference.step(mean, step);
    }
    const got = program.read('parameters');
    const worst = got.reduce(
      (max, value, index) => Math.max(max, Math.abs(value - (reference.weights[index] as number))),
      0,
    );
    t.true(worst < 2e-5, `largest difference ${worst}`);
    program.close();
  });
}

/** torch.optim.SGD, Adam, AdamW and torch.nn.utils.clip_grad_norm_ in float64, read off their documentation. */
function referenceOptimizer(optimizer: Optimizer, start: Float32Array) {
  const weights = Float64Array.from(start);
  const first = new Float64Array(start.length);
  const second = new Float64Array(start.length);
  const { schedule } = optimizer;
  const step = (gradient: Float32Array, index: number) => {
    const decay = {
      constant: 1,
      cosine: (1 + Math.cos((Math.PI * index) / 10)) / 2,
      step: 0.5 ** Math.floor(index / 2),
    };
    const warm = schedule.warmupSteps > index ? (index + 1) / schedule.warmupSteps : 1;
    const rate = optimizer.learningRate * decay[schedule.type] * warm;
    const norm = Math.hypot(...gradient.subarray(0, weights.length));
    const clip = Math.min(1, (optimizer.clipNorm ?? Number.POSITIVE_INFINITY) / (norm + 1e-6));
    for (let i = 0; i < weights.length; i++) {
      const isDecoupled = optimizer.type === 'adamw';
      const decayed = isDecoupled ? 0 : optimizer.weightDecay * (weights[i] as number);
      const g = clip * (gradient[i] as number) + decayed;
      let change = g;
      if (isDecoupled) weights[i] = (weights[i] as number) * (1 - rate * optimizer.weightDecay);
      if (optimizer.type !== 'sgd') {
        first[i] = 0.9 * (first[i] as number) + 0.1 * g;
        second[i] = 0.999 * (second[i] as number) + 0.001 * g * g;
        const corrected = (first[i] as number) / (1 - 0.9 ** (index + 1));
        change = corrected / (Math.sqrt((second[i] as number) / (1 - 0.999 ** (index + 1))) + 1e-8);
      } else if (optimizer.momentum > 0) {
        first[i] = optimizer.momentum * (first[i] as number) + g;
        change = optimizer.nesterov ? g + optimizer.momentum * (first[i] as number) : (first[i] as number);
      }
      weights[i] = (weights[i] as number) - rate * change;
    }
  };
  return { weights, step };
}

test('sums of micro-batches add up to the sums of the whole batch, where nothing looks across samples', (t) => {
  const random = createRandom(SEED, 3);
  const model = describeModel(architectureNamed('simple-cnn'), { height: 32, width: 32, channels: 3 }, 5);
  const program = open(model, [{ type: 'kl', weight: 1 }], 4, SGD, [12, 7, 5]);
  program.write(
    'parameters',
    randomWeights(model, random).map((value) => 0.1 * value),
  );
  const whole = randomBatch(model, 12, random);
  const part = (from: number, to: number): MicroBatch => ({
    step: 0,
    lane: 0,
    count: to - from,
    images: whole.images.slice(from * 3072, to * 3072),
    labels: whole.labels.slice(from, to),
    teacherLogits: (whole.teacherLogits as Float32Array).slice(from * 5, to * 5),
  });
  const a = program.sums(part(0, 7));
  const b = program.sums(part(7, 12));
  const all = program.sums(whole);
  const distance = Math.hypot(...all.map((value, index) => value - (a[index] as number) - (b[index] as number)));
  t.true(distance < 1e-5 * Math.hypot(...all));
  program.close();
});

test('predictions use moving statistics and do not depend on the batch they are in', (t) => {
  const random = createRandom(SEED, 4);
  const program = open(tinyModel, [{ type: 'cross-entropy', weight: 1 }], 1, SGD, [4]);
  program.write('parameters', randomWeights(tinyModel, random));
  const { images } = randomBatch(tinyModel, 11, random);
  const all = program.predict(images, 11);
  const size = 8 * 8 * 3;
  const single = program.predict(images.slice(5 * size, 6 * size), 1);
  t.is(all.length, 33);
  for (let index = 0; index < 3; index++) {
    t.true(Math.abs((single[index] as number) - (all[15 + index] as number)) < 1e-5);
  }
  const before = program.read('statistics');
  const mean = new Float32Array(program.vectorSize).fill(1, tinyModel.parameterCount, -2);
  program.apply(mean, 0);
  t.true(
    program
      .read('statistics')
      .every((value, index) => Math.abs(value - (0.9 * (before[index] as number) + 0.1)) < 1e-6),
  );
  program.close();
});

test('steps leave no tensors behind', (t) => {
  const random = createRandom(SEED, 5);
  const program = open(tinyModel, [{ type: 'kl', weight: 1 }], 4, SGD, [4]);
  program.write('parameters', randomWeights(tinyModel, random));
  const batch = randomBatch(tinyModel, 4, random);
  const before = tf.memory().numTensors;
  for (let step = 0; step < 50; step++) {
    program.apply(
      program.sums(batch).map((value) => value / 4),
      step,
    );
    program.predict(batch.images, 4);
  }
  t.is(tf.memory().numTensors, before);
  program.close();
});

test('training on one batch brings its loss down', (t) => {
  const random = createRandom(SEED, 6);
  const program = open(tinyModel, [{ type: 'cross-entropy', weight: 1 }], 1, { ...SGD, momentum: 0.9 }, [8]);
  program.write('parameters', randomWeights(tinyModel, random));
  const batch = randomBatch(tinyModel, 8, random);
  const losses = Array.from({ length: 60 }, (_, step) => {
    const mean = program.sums(batch).map((value) => value / 8);
    program.apply(mean, step);
    return mean.at(-2) as number;
  });
  t.true((losses.at(-1) as number) < 0.1 * (losses[0] as number), `${losses[0]} → ${losses.at(-1)}`);
  program.close();
});
