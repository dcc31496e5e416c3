/** The loss with the largest logits alone: each term as if the others were filled in, in the step on every engine. */
import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { createRandom } from '../../../lib/base/random.ts';
import type { CustomLosses } from '../../../lib/distill/batch-gradient.ts';
import { decodeRows, encodeRows, type LogitsFormat } from '../../../lib/distill/logits/format.ts';
import { filledLogits, tailLogits } from '../../../lib/distill/logits/tails.ts';
import type { CustomLossFunction } from '../../../lib/distill/loss.ts';
import { lossPerSample } from '../../../lib/distill/loss.ts';
import { type Loss, type LossTerm, lossNumbers } from '../../../lib/distill/loss-spec.ts';
import { PlainProgram } from '../../../lib/distill/plain-program.ts';
import { StepProgram } from '../../../lib/distill/step-program.ts';
import type { MicroBatch, ProgramSpec, TrainingSpec } from '../../../lib/distill/step-spec.ts';
import { tf } from '../../../lib/engine/tf.ts';
import type { Architecture } from '../../../lib/model/layers.ts';
import { describeModel, initialParameters } from '../../../lib/model/parameters.ts';

const SEED = 6_118;
const CLASSES = 30;
const COUNT = 6;

const linear: Architecture = {
  name: 'linear',
  summary: 'for tests',
  initialisation: 'pytorch',
  layers: [{ kind: 'flatten' }, { kind: 'linear', name: 'fc', features: 'classes' }],
};
const model = describeModel(linear, { height: 4, width: 4, channels: 3 }, CLASSES);

const digest = 'sha256:cross';
/** Soft cross-entropy once more, as a job would bring it. */
const cross: CustomLossFunction = ({ logits, teacherLogits, temperature }) => {
  const soft = tf.softmax(tf.div(teacherLogits as tf.Tensor2D, temperature));
  return tf.neg(tf.sum(tf.mul(soft, tf.logSoftmax(tf.div(logits, temperature))), 1));
};
const customs: CustomLosses = new Map([[digest, cross]]);
const custom: LossTerm = { type: 'custom', digest, name: 'cross', parameters: {}, needsTeacher: true, weight: 0.5 };

/** At two temperatures, so that a term which took another's tail would be found out. */
const terms: readonly LossTerm[] = [
  { type: 'cross-entropy', weight: 1 },
  { type: 'kl', weight: 0.5 },
  { type: 'mse-probabilities', weight: 2, temperature: 1 },
  { type: 'soft-cross-entropy', weight: 1, temperature: { type: 'linear', from: 1, to: 4, steps: 4 } },
  { type: 'dkd', weight: 1, alpha: 1, beta: 8 },
  { type: 'dist', weight: 1, beta: 2, gamma: 2, temperature: 1 },
  custom,
];
const loss: Loss = { terms, temperature: 4 };
const STEPS = 10;

const random = createRandom(SEED);
const full = Float32Array.from({ length: COUNT * CLASSES }, () => 3 * random.nextNormal());
const format: LogitsFormat = { encoding: { topK: 5 }, columns: CLASSES, temperatures: [1, 2, 3, 4] };
const teacher = decodeRows(encodeRows(full, format), COUNT, format, 'a test');
const images = Float32Array.from({ length: COUNT * 48 }, () => 255 * random.nextFloat());
const labels = Int32Array.from({ length: COUNT }, () => random.nextInt(CLASSES));

function spec(own: Loss, change: Partial<TrainingSpec>): ProgramSpec {
  const schedule = { type: 'constant', warmupSteps: 0 } as const;
  const optimizer = { type: 'sgd', learningRate: 0.1, momentum: 0, nesterov: false, weightDecay: 0, schedule } as const;
  const rest = { totalSteps: STEPS, batchSizes: [COUNT], fineTune: 'all', precision: 'float32', seed: 1 } as const;
  const preprocessing = { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] };
  const training = { loss: own, optimizer, ...rest, compile: 'required', ...change } as const;
  return { model, preprocessing, training, predictBatchSizes: [COUNT] };
}

function batchAt(step: number, own: Loss): MicroBatch {
  const teacherTails = tailLogits(teacher, own, step, STEPS);
  return { step, lane: 0, count: COUNT, images, labels, teacherLogits: teacher.logits, teacherTails };
}

const distance = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.hypot(...Array.from(a, (value, index) => value - (b[index] as number))) / Math.hypot(...Array.from(b));

const withTails = { tails: true } as const;

test('compiled, eager and on the plain engine, a step sees each term’s own tail', (t) => {
  const compiled = new StepProgram(spec(loss, withTails), customs);
  t.is(compiled.mode?.kind, 'compiled');
  const plain = new PlainProgram(spec(loss, { ...withTails, compile: 'auto' }), customs);
  const weights = initialParameters(model, SEED);
  for (const program of [compiled, plain]) program.write('parameters', weights);
  for (const step of [0, 2, 9]) {
    const batch = batchAt(step, loss);
    const found = compiled.sums(batch);
    t.true(distance(plain.sums(batch), found) < 1e-5, 'operation by operation');
    // Term by term, each alone in a program that is given all logits, filled in at that term's temperature.
    const wanted = new Float64Array(found.length - 1);
    for (const term of terms) {
      const own: Loss = { terms: [term], temperature: 4 };
      const alone = new PlainProgram(spec(own, { compile: 'auto' }), customs);
      alone.write('parameters', weights);
      const temperature = lossNumbers(own, step, STEPS)[1] as number;
      const sums = alone.sums({ ...batch, teacherTails: null, teacherLogits: filledLogits(teacher, temperature) });
      for (const index of wanted.keys()) wanted[index] = (wanted[index] as number) + (sums[index] as number);
    }
    t.true(distance(found.subarray(0, -1), wanted) < 1e-5, `step ${step}`);
  }
  const { loss: value } = compiled.loneStep(batchAt(0, loss));
  t.true(Math.abs(value * COUNT - (plain.sums(batchAt(0, loss)).at(-2) as number)) < 1e-3);
  compiled.close();
});

test('a step that cannot be compiled takes tails too', (t) => {
  const reading: CustomLosses = new Map([
    [digest, (inputs) => tf.mul(cross(inputs), Number.isFinite(inputs.logits.dataSync()[0]) ? 1 : 0)],
  ]);
  const own: Loss = { terms: [{ type: 'kl', weight: 1, temperature: 1 }, custom], temperature: 4 };
  const [eager, compiled] = [
    new StepProgram(spec(own, { ...withTails, compile: 'auto' }), reading),
    new StepProgram(spec(own, withTails), customs),
  ];
  t.deepEqual([eager.mode?.kind, compiled.mode?.kind], ['eager', 'compiled']);
  for (const program of [eager, compiled]) program.write('parameters', initialParameters(model, SEED));
  t.true(distance(eager.sums(batchAt(0, own)), compiled.sums(batchAt(0, own))) < 1e-5);
  for (const program of [eager, compiled]) program.close();
});

test('tails come just where the program takes them', (t) => {
  const own: Loss = { terms: [{ type: 'kl', weight: 1 }], temperature: 4 };
  for (const tails of [true, false]) {
    const program = new StepProgram(spec(own, { tails }));
    const batch = batchAt(0, own);
    const wrong = { ...batch, teacherTails: tails ? null : (batch.teacherTails as Float32Array) };
    t.throws(() => program.sums(wrong), { message: /tails of logits come just where/ });
    program.close();
  }
});

test('a term of the logits themselves refuses them', (t) => {
  const own: Loss = { terms: [{ type: 'mse-logits', weight: 1 }], temperature: 4 };
  for (const Program of [StepProgram, PlainProgram]) {
    const error = t.throws(() => new Program(spec(own, { ...withTails, compile: 'auto' })), {
      instanceOf: StillhouseError,
    });
    t.is(error?.code, 'INVALID_ARGUMENT');
    t.regex(error?.message ?? '', /mse-logits needs all logits of the teacher/);
  }
});

for (const term of terms.slice(1)) {
  const kind = term.type;
  test(`finite differences agree with tails: ${kind} (seed ${SEED})`, (t) => {
    const own: Loss = { terms: [{ type: 'cross-entropy', weight: 0.3 }, term], temperature: 4 };
    const student = Float32Array.from({ length: COUNT * CLASSES }, () => random.nextNormal());
    const direction = student.map(() => random.nextNormal());
    const labelTensor = tf.tensor1d(labels, 'int32');
    const inputs = {
      labels: labelTensor,
      targets: tf.cast(tf.oneHot(labelTensor, CLASSES), 'float32'),
      teacherLogits: tf.tensor2d(teacher.logits, [COUNT, CLASSES]),
      teacherTails: tf.tensor2d(tailLogits(teacher, own, 0, STEPS) as Float32Array, [COUNT, 2]),
    };
    const numbers = tf.tensor1d(lossNumbers(own, 0, STEPS));
    const mean = (logits: tf.Tensor) => tf.mean(lossPerSample(own.terms, numbers, { logits, ...inputs }, customs));
    const valueAt = (move: number) =>
      tf.tidy(() => {
        const moved = student.map((value, index) => value + move * (direction[index] as number));
        return mean(tf.tensor2d(moved, [COUNT, CLASSES])).dataSync()[0] as number;
      });
    const gradient = tf.tidy(() =>
      tf
        .grad(mean)(tf.tensor2d(student, [COUNT, CLASSES]))
        .dataSync(),
    ) as Float32Array;
    const h = 0.02;
    const numeric = (8 * (valueAt(h) - valueAt(-h)) - (valueAt(2 * h) - valueAt(-2 * h))) / (12 * h);
    const exact = gradient.reduce((sum, value, index) => sum + value * (direction[index] as number), 0);
    const bound = 0.005 * Math.hypot(...gradient) + 1e-4;
    t.true(Math.abs(numeric - exact) < bound, `${numeric} is near ${exact}`);
    tf.dispose([numbers, inputs.labels, inputs.targets, inputs.teacherLogits, inputs.teacherTails]);
  });
}
