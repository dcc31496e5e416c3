/** Losses that come as source: loading, the check of their gradient, and training with them in the compute thread. */
import test from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { loadCustomLoss } from '../../../lib/distill/custom-loss.ts';
import { checkCustomLosses } from '../../../lib/distill/custom-loss-check.ts';
import { lossPerSample } from '../../../lib/distill/loss.ts';
import { type LossTerm, lossNumbers } from '../../../lib/distill/loss-spec.ts';
import { withRandomKey } from '../../../lib/engine/random.ts';
import { tf } from '../../../lib/engine/tf.ts';

const NAME = 'mine.ts';
const code = (source: string) => ({ digest: sha256(source), name: NAME, source });

/** As a job brings it: loaded, checked, ready to train. */
async function accept(source: string, parameters: Record<string, unknown> = {}, classes = 4) {
  const { compute, needsTeacher } = await loadCustomLoss(code(source));
  const { digest } = code(source);
  const term: LossTerm = { type: 'custom', weight: 1, digest, name: NAME, parameters, needsTeacher };
  const customs = new Map([[digest, compute]]);
  checkCustomLosses({ terms: [term], temperature: 2 }, customs, classes, 10);
  return { term, customs };
}

async function values(source: string, parameters: Record<string, unknown> = {}, temperature = 1): Promise<number[]> {
  const { term, customs } = await accept(source, parameters, 3);
  return tf.tidy(() => {
    const labels = tf.tensor1d([0, 2], 'int32');
    const inputs = {
      logits: tf.tensor2d([1, 2, 3, -1, 0, 1], [2, 3]),
      targets: tf.cast(tf.oneHot(labels, 3), 'float32'),
      labels,
      teacherLogits: tf.tensor2d([2, 2, 3, -1, 0, 5], [2, 3]),
    };
    const numbers = tf.tensor1d(lossNumbers({ terms: [term], temperature }, 0, 1));
    const perSample = () => [...lossPerSample([term], numbers, inputs, customs).dataSync()];
    return withRandomKey(tf.tensor1d([1, 2], 'int32'), perSample) as unknown as tf.TensorContainer;
  }) as unknown as number[];
}

test('a function of logits, teacher, labels, temperature and parameters', async (t) => {
  const source = `export default ({ tf, logits, teacherLogits, labels, temperature, parameters }) => {
    const gap = tf.sum(tf.square(tf.sub(logits, teacherLogits)), 1);
    return tf.add(tf.mul(tf.mul(gap, parameters.scale), temperature), tf.cast(labels, 'float32'));
  };`;
  t.deepEqual(await values(source, { scale: 10 }, 2), [20, 322]);
});

test('a loss of the labels alone says that it needs no teacher, and is given none', async (t) => {
  const source = `export const needs = { teacher: false };
    export default (args) => {
      if ('teacherLogits' in args) throw new Error('teacher');
      return args.tf.sum(args.tf.square(args.logits), 1);
    };`;
  t.false((await loadCustomLoss(code(source))).needsTeacher);
  t.deepEqual(await values(source), [14, 2]);
  t.true((await loadCustomLoss(code('export default () => 1'))).needsTeacher);
});

test('random operations follow from the key, and need one', async (t) => {
  const source = `export default ({ tf, logits }) => tf.sum(tf.add(
      tf.mul(tf.dropout(logits, 0.5), tf.randomUniform(logits.shape, 1, 2)), tf.mul(logits, tf.randomNormal([3]))), 1);`;
  const first = await values(source);
  t.deepEqual(await values(source), first);
  t.true(first.every(Number.isFinite));
});

test('random numbers have the distributions that they are asked for', async (t) => {
  const source = `export default ({ tf, logits, parameters }) => {
    const draw = parameters.normal ? tf.randomNormal([40000], 3, 2) : tf.randomUniform([40000], 1, 7);
    const { mean, variance } = tf.moments(draw);
    return tf.add(tf.mul(tf.sum(logits, 1), 1e-6), parameters.mean ? mean : variance);
  };`;
  const near = (found: readonly number[], value: number) =>
    t.true(Math.abs((found[0] as number) - value) < 0.06, String(found));
  near(await values(source, { normal: true, mean: true }), 3);
  near(await values(source, { normal: true }), 4);
  near(await values(source, { mean: true }), 4);
  near(await values(source), 3);
});

test('the source must be what the digest names', async (t) => {
  const error = await t.throwsAsync(loadCustomLoss({ ...code('export default 1'), digest: sha256('other') }));
  t.true(error instanceof StillhouseError && error.code === 'DATA_LOSS');
  t.regex(error?.message ?? '', /source of the loss mine\.ts is sha256:.*but the job names sha256:/);
});

const SUM = 'tf.sum(tf.square(logits), 1)';

const REFUSED: readonly (readonly [what: string, source: string, message: RegExp])[] = [
  ['no default export', 'export const loss = 1;', /expected a function as default export, got undefined/],
  ['not JavaScript', 'export default (', /the loss mine\.ts cannot be loaded/],
  ['an error at the top level', 'throw new Error("too early")', /cannot be loaded: too early/],
  [
    'needs of another form',
    `export const needs = { techer: false }; export default () => 1`,
    /expected its export "needs"/,
  ],
  [
    'needs that are no flag',
    `export const needs = { teacher: 0 }; export default () => 1`,
    /expected its export "needs"/,
  ],
  ['an exception', 'export default ({ parameters }) => parameters.a.b;', /the loss mine\.ts failed: Cannot read prop/],
  [
    'a mean over the batch',
    `export default ({ tf, logits }) => tf.mean(${SUM});`,
    /shape \[6\], got float32, shape \[\]: do not average/,
  ],
  [
    'a value per class',
    'export default ({ tf, logits }) => tf.square(logits);',
    /shape \[6\], got float32, shape \[6, 4\]/,
  ],
  ['a number', 'export default () => 1;', /shape \[6\], got number/],
  ['a promise', `export default async ({ tf, logits }) => ${SUM};`, /a promise: the function must not be async/],
  ['whole numbers', `export default ({ labels }) => labels;`, /got int32, shape \[6\]/],
  [
    'no student',
    'export default ({ tf, labels }) => tf.cast(labels, "float32");',
    /do not depend on the student’s logits/,
  ],
  [
    'values that are read back',
    `export default ({ tf, logits }) => tf.tensor1d([...${SUM}.dataSync()]);`,
    /do not depend on the student’s logits/,
  ],
  [
    'a detour without a gradient',
    'export default ({ tf, logits }) => tf.cast(tf.argMax(logits, 1), "float32");',
    /its gradient is 0 on a random batch/,
  ],
  ['values that are not finite', 'export default ({ tf, logits }) => tf.sum(tf.log(logits), 1);', /not finite/],
  [
    'a gradient that is not finite',
    'export default ({ tf, logits }) => tf.sum(tf.sqrt(tf.sub(logits, logits)), 1);',
    /its gradient is not finite/,
  ],
  [
    'a wrong gradient',
    `export default ({ tf, logits }) => tf.customGrad((x) => ({
      value: tf.sum(tf.square(x), 1), gradFunc: (dy) => tf.mul(tf.expandDims(dy, 1), tf.mul(x, 1.9)) }))(logits);`,
    /its gradient is not the slope of its values/,
  ],
  [
    'a part that is detached',
    `export default ({ tf, logits }) => tf.add(${SUM}, tf.mul(2, tf.sum(tf.square(tf.tensor2d(logits.arraySync())), 1)));`,
    /its gradient is not the slope of its values/,
  ],
  [
    'random numbers without a stateless form',
    `export default ({ tf, logits }) => tf.add(${SUM}, tf.truncatedNormal([6]));`,
    /the loss mine\.ts failed: tf\.truncatedNormal has no form whose numbers follow from the job's seed/,
  ],
  ...['randomUniform([6], 0, 1', 'randomNormal([6], 0, 1'].map(
    (call) =>
      [
        `tf.${call}, …) with a seed`,
        `export default ({ tf, logits }) => tf.add(${SUM}, tf.${call}, 'float32', 7));`,
        /failed: tf\.random\w+ with a seed of its own has no form/,
      ] as const,
  ),
  [
    'dropout with a seed',
    `export default ({ tf, logits }) => tf.sum(tf.dropout(logits, 0.5, undefined, 7), 1);`,
    /failed: tf\.dropout with a seed of its own has no form/,
  ],
];

for (const [what, source, message] of REFUSED) {
  test(`refused: ${what}`, async (t) => {
    const error = await t.throwsAsync(accept(source), { instanceOf: StillhouseError });
    t.regex(error?.message ?? '', message);
    t.true(error?.message.includes(NAME));
  });
}

test.serial('loading and checking leave no tensors behind, refused or not', async (t) => {
  const good = `export default ({ tf, logits }) => ${SUM};`;
  await accept(good);
  const before = tf.memory().numTensors;
  await accept(good);
  await t.throwsAsync(accept('export default ({ tf, logits }) => tf.sum(tf.log(logits), 1);'));
  await t.throwsAsync(accept(`export default ({ tf, logits }) => tf.mean(${SUM});`));
  t.is(tf.memory().numTensors, before);
});

const ACCEPTED: readonly (readonly [what: string, expression: string])[] = [
  ['a large constant', `tf.add(${SUM}, 1000)`],
  ['a kink', 'tf.sum(tf.relu(logits), 1)'],
  ['steep logits', 'tf.sum(tf.abs(tf.mul(logits, 100)), 1)'],
  ['a saturated softmax', 'tf.sum(tf.square(tf.softmax(tf.mul(logits, 3))), 1)'],
  ['a flat one', 'tf.sum(tf.square(tf.softmax(tf.mul(logits, 0.01))), 1)'],
  ['a relation over the batch', 'tf.mul(tf.sum(logits, 1), tf.mean(tf.square(logits)))'],
];

for (const [what, expression] of ACCEPTED) {
  test(`the check accepts ${what}`, async (t) => {
    await t.notThrowsAsync(accept(`export default ({ tf, logits }) => ${expression};`));
  });
}
