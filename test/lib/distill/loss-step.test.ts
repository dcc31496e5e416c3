/** Losses within a training step: compiled, with schedules, and with code that came along. */
import test from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { createRandom } from '../../../lib/base/random.ts';
import { Compute } from '../../../lib/distill/compute.ts';
import type { Loss, LossTerm } from '../../../lib/distill/loss-spec.ts';
import { StepProgram } from '../../../lib/distill/step-program.ts';
import type { MicroBatch, ProgramSpec, TrainingSpec } from '../../../lib/distill/step-spec.ts';
import { configureEngine } from '../../../lib/engine/environment.ts';
import type { Architecture } from '../../../lib/model/layers.ts';
import { describeModel } from '../../../lib/model/parameters.ts';

const SEED = 511;

const linear: Architecture = {
  name: 'linear',
  summary: 'for tests',
  initialisation: 'pytorch',
  layers: [{ kind: 'flatten' }, { kind: 'linear', name: 'fc', features: 'classes' }],
};
const model = describeModel(linear, { height: 4, width: 4, channels: 3 }, 5);

function programSpec(loss: Loss, compile: TrainingSpec['compile'] = 'required'): ProgramSpec {
  const schedule = { type: 'constant', warmupSteps: 0 } as const;
  const optimizer = { type: 'sgd', learningRate: 0.1, momentum: 0, nesterov: false, weightDecay: 0, schedule } as const;
  const rest = { totalSteps: 10, batchSizes: [6, 4], fineTune: 'all', precision: 'float32', compile, seed: 1 } as const;
  const preprocessing = { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] };
  return { model, preprocessing, training: { loss, optimizer, ...rest }, predictBatchSizes: [6] };
}

function batch(step: number, count = 6): MicroBatch {
  const random = createRandom(SEED);
  return {
    step,
    lane: 0,
    count,
    images: Float32Array.from({ length: count * 48 }, () => 255 * random.nextFloat()),
    labels: Int32Array.from({ length: count }, () => random.nextInt(5)),
    teacherLogits: Float32Array.from({ length: count * 5 }, () => 2 * random.nextNormal()),
  };
}

const WEIGHTS = (() => {
  const random = createRandom(SEED, 1);
  return Float32Array.from({ length: model.parameterCount }, () => 0.1 * random.nextNormal());
})();

const distance = (a: Float32Array, b: Float32Array) =>
  Math.hypot(...a.map((value, index) => value - (b[index] as number))) / Math.hypot(...b);

const terms: LossTerm[] = [
  { type: 'cross-entropy', weight: { type: 'linear', from: 1, to: 0, fraction: 1 }, smoothing: 0.1 },
  { type: 'kl', weight: 0.5 },
  { type: 'kl', weight: 0.5, convention: 'seed-004' },
  { type: 'mse-logits', weight: { type: 'warm-up', value: 0.5, steps: 3 } },
  { type: 'mse-probabilities', weight: 2, temperature: { type: 'step', value: 4, factor: 0.5, steps: 4 } },
  { type: 'soft-cross-entropy', weight: 1 },
  { type: 'dkd', weight: 1, alpha: 1, beta: 8 },
  { type: 'dist', weight: 1, beta: 2, gamma: 2 },
];

test('every term compiles, and follows its schedules without being compiled anew', (t) => {
  const temperature = { type: 'cosine', from: 6, to: 1, steps: 8 } as const;
  const program = new StepProgram(programSpec({ terms, temperature }));
  t.is(program.mode?.kind, 'compiled');
  program.write('parameters', WEIGHTS);
  for (const step of [0, 4, 9]) {
    // The step's values as numbers: another program, which has no schedule.
    const fixed = terms.map((term) => ({ ...term, ...at(term, step) })) as LossTerm[];
    const share = Math.min(1, step / 7);
    const now = 6 + (1 - 6) * ((1 - Math.cos(Math.PI * share)) / 2);
    const other = new StepProgram(programSpec({ terms: fixed, temperature: now }));
    other.write('parameters', WEIGHTS);
    for (const size of [6, 4]) {
      const found = program.sums(batch(step, size));
      t.true(distance(found, other.sums(batch(0, size))) < 1e-6, `step ${step}, ${size} samples`);
      if (step > 0) t.true(distance(found, program.sums(batch(0, size))) > 0.01);
    }
    other.close();
  }
  program.close();
});

/** The scheduled numbers of `terms`, worked out by hand. */
function at({ type }: LossTerm, step: number): Partial<LossTerm> {
  if (type === 'cross-entropy') return { weight: 1 - step / 9 };
  if (type === 'mse-logits') return { weight: 0.5 * Math.min(1, (step + 1) / 3) };
  if (type === 'mse-probabilities') return { temperature: [4, 2, 1][Math.floor(step / 4)] as number };
  return {};
}

const KL = `export default ({ tf, logits, teacherLogits, temperature, parameters }) => {
  const p = tf.softmax(tf.div(teacherLogits, temperature));
  const logQ = tf.logSoftmax(tf.div(logits, temperature));
  const logP = tf.logSoftmax(tf.div(teacherLogits, temperature));
  return tf.mul(tf.mul(tf.sum(tf.mul(p, tf.sub(logP, logQ)), 1), tf.square(temperature)), parameters.scale);
};`;

const custom = (source: string, parameters: Record<string, unknown> = {}) => {
  const code = { digest: sha256(source), name: 'mine.ts', source };
  const { digest, name } = code;
  return { code, term: { type: 'custom', digest, name, weight: 0.5, parameters, needsTeacher: true } as LossTerm };
};

test.serial('in the compute thread a loss of one’s own trains like the built-in one that it imitates', async (t) => {
  configureEngine({ intraOpThreads: 1, interOpThreads: 1 });
  const compute = new Compute();
  t.teardown(() => compute.close());
  const { code, term } = custom(KL, { scale: 2 });
  t.deepEqual(await compute.loadLoss(code), { needsTeacher: true });
  const labels: LossTerm = { type: 'cross-entropy', weight: 1 };
  const own = await compute.open(programSpec({ terms: [labels, term], temperature: 3 }));
  t.is(own.mode?.kind, 'compiled');
  const builtIn = await compute.open(programSpec({ terms: [labels, { type: 'kl', weight: 1 }], temperature: 3 }));
  const sums: Float32Array[] = [];
  for (const program of [own, builtIn]) {
    await program.write('parameters', WEIGHTS);
    sums.push(await program.sums(batch(0)));
  }
  t.true(distance(sums[0] as Float32Array, sums[1] as Float32Array) < 1e-5);
});

test.serial('what is wrong with a loss is told by name before a step is trained', async (t) => {
  const compute = new Compute();
  t.teardown(() => compute.close());
  const opened = async (source: string, compile: TrainingSpec['compile'] = 'required') => {
    const { code, term } = custom(source);
    await compute.loadLoss(code);
    const program = await compute.open(programSpec({ terms: [term], temperature: 3 }, compile));
    return program.mode;
  };
  const refused = async (source: string, message: RegExp) => {
    const error = await t.throwsAsync(opened(source), { instanceOf: StillhouseError });
    t.regex(error?.message ?? '', message);
  };
  const square = 'tf.sum(tf.square(tf.sub(logits, teacherLogits)), 1)';
  await refused('export const loss = 1;', /the loss mine\.ts: expected a function as default export/);
  const error = await t.throwsAsync(opened('export default 1;'), { instanceOf: StillhouseError });
  t.regex(error?.hint ?? '', /export default function/);
  await refused(
    `export default ({ tf, logits }) => tf.mean(logits);`,
    /mine\.ts: expected one float32 value per sample/,
  );
  const changing = `let calls = 0;
    export default ({ tf, logits, teacherLogits }) => tf.mul(${square}, 1 + calls++);`;
  await refused(changing, /mine\.ts is refused: its gradient is not the slope|differs from eager execution/);
  // Right when executed, but not to be compiled: refused where compilation is required, else slow and said to be.
  const reading = `export default ({ tf, logits, teacherLogits }) => {
    const scale = 1 / (1 + teacherLogits.dataSync()[0] ** 2);
    return tf.mul(${square}, scale);
  };`;
  await refused(reading, /mine\.ts failed: cannot compile .*reads a tensor's value/);
  const mode = await opened(reading, 'auto');
  t.is(mode?.kind, 'eager');
  const unloaded = custom('export default 5').term;
  const opening = compute.open(programSpec({ terms: [unloaded], temperature: 3 }));
  await t.throwsAsync(opening, { message: /the loss mine\.ts \(sha256:.*\) has not been loaded/ });
});
