/** Mixed labels and class weights in the step: the compiled program against the formula written out. */
import test from 'ava';
import { createRandom } from '../../../lib/base/random.ts';
import { indexOfMax } from '../../../lib/base/vectors.ts';
import type { CustomLosses } from '../../../lib/distill/batch-gradient.ts';
import type { CustomLossFunction } from '../../../lib/distill/loss.ts';
import type { LossTerm } from '../../../lib/distill/loss-spec.ts';
import { StepProgram } from '../../../lib/distill/step-program.ts';
import { type MicroBatch, NO_LABEL, type ProgramSpec, type TrainingSpec } from '../../../lib/distill/step-spec.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { describeModel, initialParameters } from '../../../lib/model/parameters.ts';
import { architectureNamed } from '../../../lib/model/zoo.ts';

const SEED = 90_211;
const SIZE = 6;
const CLASSES = 4;
const IMAGE = { height: 16, width: 16, channels: 3 };
const WEIGHTS = [0.5, 2, 1, 3.25];
const model = describeModel(architectureNamed('simple-cnn'), IMAGE, CLASSES);

function open(terms: readonly LossTerm[], change: Partial<TrainingSpec>, customs?: CustomLosses): StepProgram {
  const spec: ProgramSpec = {
    model,
    preprocessing: { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] },
    training: {
      loss: { terms, temperature: 2 },
      optimizer: {
        ...{ type: 'sgd', learningRate: 0.05, momentum: 0, nesterov: false, weightDecay: 0 },
        schedule: { type: 'constant', warmupSteps: 0 },
      },
      ...{ totalSteps: 10, batchSizes: [SIZE], fineTune: 'all', precision: 'float32', compile: 'required', seed: 7 },
      ...change,
    },
    predictBatchSizes: [SIZE],
  };
  const program = new StepProgram(spec, customs);
  program.write('parameters', initialParameters(model, SEED));
  for (const slot of program.slots) program.write(slot, new Float32Array(program.slotSize));
  return program;
}

const random = createRandom(SEED);
const pick = () => random.nextInt(CLASSES);
const images = Float32Array.from({ length: SIZE * 16 * 16 * 3 }, () => 255 * random.nextFloat());
const teacherLogits = Float32Array.from({ length: SIZE * CLASSES }, () => 3 * random.nextNormal());
const labels = Int32Array.from({ length: SIZE }, pick);
const partners = {
  labels: Int32Array.from({ length: SIZE }, pick),
  shares: Float32Array.of(0.75, 0.25, 1, 0, 0.5, 0.9),
};
const batch: MicroBatch = { step: 0, lane: 0, count: SIZE, images, labels, mixed: partners, teacherLogits: null };

const rowOf = (values: Float32Array, row: number) => values.subarray(row * CLASSES, (row + 1) * CLASSES);

function logSoftmax(logits: Float32Array): number[] {
  const largest = Math.max(...logits);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  return Array.from(logits, (logit) => logit - largest - Math.log(sum));
}

/** -Σ w·y·log softmax(s), by the definition of mixing. */
function crossEntropy(
  logits: Float32Array,
  row: number,
  { mixed, labels: own }: MicroBatch,
  weights: number[],
): number {
  const logs = logSoftmax(rowOf(logits, row));
  const share = mixed?.shares[row] ?? 1;
  const of = (label: number | undefined) =>
    label === undefined || label < 0 ? 0 : -(weights[label] as number) * (logs[label] as number);
  return share * of(own[row]) + (1 - share) * of(mixed?.labels[row]);
}

function total(values: (row: number) => number): number {
  return Array.from({ length: SIZE }, (_, row) => values(row)).reduce((sum, value) => sum + value, 0);
}

const close = (one: number, other: number) => Math.abs(one - other) <= 2e-5 * Math.max(1, Math.abs(other));

const CE: LossTerm = { type: 'cross-entropy', weight: 1 };
const ONES = WEIGHTS.map(() => 1);

for (const [weights, mixed] of [
  [WEIGHTS, true],
  [WEIGHTS, false],
  [undefined, true],
] as const) {
  test(`${weights ? 'weighted' : 'plain'} cross-entropy of ${mixed ? 'mixed' : 'single'} labels (seed ${SEED})`, (t) => {
    const program = open([CE], { ...(weights && { classWeights: weights }), ...(mixed && { mixed }) });
    t.teardown(() => program.close());
    const asked = mixed ? batch : { ...batch, mixed: null };
    const logits = program.predict(images.slice(), SIZE);
    const sums = program.sums(asked);
    const expected = total((row) => crossEntropy(logits, row, asked, weights ?? ONES));
    t.true(close(sums.at(-2) as number, expected), `${sums.at(-2)} is ${expected}`);
    // Right is the label with the larger share; of equal ones the sample's own.
    const right = Array.from(labels, (label, row) =>
      mixed && (partners.shares[row] as number) < 0.5 ? partners.labels[row] : label,
    );
    t.is(
      sums.at(-1),
      total((row) => (indexOfMax(rowOf(logits, row)) === right[row] ? 1 : 0)),
    );
    // The gradient is the slope of the loss along it.
    const start = initialParameters(model, SEED);
    const gradient = sums.subarray(0, start.length);
    const norm = Math.hypot(...gradient);
    const at = (move: number) => {
      program.write(
        'parameters',
        start.map((value, index) => value + (move * (gradient[index] as number)) / norm),
      );
      return program.sums(asked).at(-2) as number;
    };
    const slope = (at(1e-2) - at(-1e-2)) / 2e-2;
    t.true(Math.abs(slope - norm) < 0.02 * norm, `${slope} is ${norm}`);
  });
}

test(`a mixed sample has a label only if both have one, or all of it is its own (seed ${SEED})`, (t) => {
  const terms: LossTerm[] = [CE, { type: 'kl', weight: 0.5 }];
  const program = open(terms, { classWeights: WEIGHTS, mixed: true, unlabelled: true });
  const soft = open([{ type: 'kl', weight: 0.5 }], {});
  t.teardown(() => {
    program.close();
    soft.close();
  });
  const logits = program.predict(images.slice(), SIZE);
  const own = Int32Array.of(NO_LABEL, 1, 2, 3, 0, NO_LABEL);
  const other = Int32Array.of(1, NO_LABEL, NO_LABEL, 2, 1, NO_LABEL);
  const asked = { ...batch, labels: own, mixed: { ...partners, labels: other }, teacherLogits };
  const isLabelled = [false, false, true, true, true, false];
  const sums = program.sums(asked);
  const kl = soft.sums({ ...asked, mixed: null }).at(-2) as number;
  const hard = total((row) => (isLabelled[row] ? crossEntropy(logits, row, asked, WEIGHTS) : 0));
  t.true(close(sums.at(-2) as number, kl + hard), `${sums.at(-2)} is ${kl + hard}`);
  // Row 3 is all its partner's. Without a label the teacher's answer is right.
  const right = [0, 1, 2, 3, 4, 5].map((row) => {
    if (!isLabelled[row]) return indexOfMax(rowOf(teacherLogits, row));
    return row === 3 ? other[row] : own[row];
  });
  t.is(
    sums.at(-1),
    total((row) => (indexOfMax(rowOf(logits, row)) === right[row] ? 1 : 0)),
  );
});

test('a custom loss sees both labels of a mixed sample', (t) => {
  const term: LossTerm = {
    ...{ type: 'custom', weight: 1, digest: 'mine', name: 'mine', parameters: {}, needsTeacher: false },
  };
  const compute: CustomLossFunction = ({ logits, targets }) =>
    tf.neg(tf.sum(tf.mul(targets, tf.logSoftmax(logits as tf.Tensor2D)), 1));
  const [own, builtIn] = [open([term], { mixed: true }, new Map([['mine', compute]])), open([CE], { mixed: true })];
  t.teardown(() => {
    for (const program of [own, builtIn]) program.close();
  });
  t.true(close(own.sums(batch).at(-2) as number, builtIn.sums(batch).at(-2) as number));
});

test('a lone step on mixed labels is its sums, their mean and the update; the precision may be lower', (t) => {
  const [whole, parts] = [0, 1].map(() => open([CE], { classWeights: WEIGHTS, mixed: true })) as [
    StepProgram,
    StepProgram,
  ];
  const low = open([CE], { classWeights: WEIGHTS, mixed: true, precision: 'bfloat16' });
  t.teardown(() => {
    for (const program of [whole, parts, low]) program.close();
  });
  const { loss } = whole.loneStep(batch);
  const mean = parts.sums(batch).map((sum) => sum / SIZE);
  parts.apply(mean, 0);
  t.is(loss, mean.at(-2) as number);
  t.deepEqual(whole.read('parameters'), parts.read('parameters'));
  t.true(Math.abs((low.sums(batch).at(-2) as number) / SIZE - loss) < 0.05 * loss);
});

test('terms that need one label are refused with mixed ones, and so is a batch of the other kind', (t) => {
  const dkd: LossTerm = { type: 'dkd', weight: 1, alpha: 1, beta: 8 };
  t.like(
    t.throws(() => open([CE, dkd], { mixed: true })),
    { code: 'INVALID_ARGUMENT', field: 'distill.loss' },
  );
  const [single, mixing] = [open([CE], {}), open([CE], { mixed: true })];
  t.teardown(() => {
    for (const program of [single, mixing]) program.close();
  });
  t.throws(() => single.sums(batch), { message: /labels come mixed just where/ });
  t.throws(() => mixing.sums({ ...batch, mixed: null }), { message: /labels come mixed just where/ });
});
