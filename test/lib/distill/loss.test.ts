/** Values and gradients of the losses, against PyTorch in float64 and against finite differences. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { createRandom } from '../../../lib/base/random.ts';
import { type CustomLossFunction, lossPerSample } from '../../../lib/distill/loss.ts';
import {
  CONTROL_TERMS,
  type Loss,
  type LossTerm,
  lossNumberCount,
  lossNumbers,
  needsTeacher,
} from '../../../lib/distill/loss-spec.ts';
import { tf } from '../../../lib/engine/tf.ts';

interface Batch {
  readonly batch: number;
  readonly classes: number;
  readonly student: readonly number[];
  readonly teacher: readonly number[];
  readonly labels: readonly number[];
}

interface Outcome {
  readonly loss: number;
  readonly gradient: readonly number[];
}

type Golden = Batch & {
  readonly cases: readonly (Outcome & { readonly term: Omit<LossTerm, 'weight'>; readonly T: number })[];
  readonly seed004: Outcome;
  /** Class weights on targets that are shares of the classes. */
  readonly weighted: {
    readonly targets: readonly number[];
    readonly weights: readonly number[];
    readonly cases: readonly (Outcome & { readonly smoothing: number })[];
  };
};

const golden = JSON.parse(readFileSync(new URL('../../goldens/losses.json', import.meta.url), 'utf8')) as {
  readonly batches: readonly Golden[];
};

type Customs = ReadonlyMap<string, CustomLossFunction>;

/** The value of each sample as a function of the student's logits. */
function functionOf(loss: Loss, { batch, classes, teacher, labels }: Batch, customs?: Customs, withTeacher = true) {
  const numbers = tf.tensor1d(lossNumbers(loss, 0, 1));
  const labelTensor = tf.tensor1d([...labels], 'int32');
  const inputs = {
    targets: tf.cast(tf.oneHot(labelTensor, classes), 'float32'),
    labels: labelTensor,
    teacherLogits: withTeacher ? tf.tensor2d([...teacher], [batch, classes]) : null,
  };
  return (logits: tf.Tensor) => lossPerSample(loss.terms, numbers, { logits, ...inputs }, customs);
}

/** Mean over the batch, its gradient for the student's logits, and the value of each sample. */
function evaluate(loss: Loss, batch: Batch, customs?: Customs, withTeacher = true) {
  return tf.tidy(() => {
    const perSample = functionOf(loss, batch, customs, withTeacher);
    const logits = tf.tensor2d([...batch.student], [batch.batch, batch.classes]);
    const { value, grad } = tf.valueAndGrad((z: tf.Tensor) => tf.mean(perSample(z)))(logits);
    return {
      loss: value.dataSync()[0] as number,
      gradient: [...grad.dataSync()],
      perSample: [...perSample(logits).dataSync()],
    };
  });
}

/** The batch's mean at several places on a line through the student's logits. */
function evaluateAlong(loss: Loss, batch: Batch, direction: readonly number[], moves: readonly number[]): number[] {
  return tf.tidy(() => {
    const perSample = functionOf(loss, batch);
    return moves.map((move) => {
      const student = batch.student.map((value, index) => value + move * (direction[index] as number));
      const values = perSample(tf.tensor2d(student, [batch.batch, batch.classes])).dataSync() as Float32Array;
      return values.reduce((sum, value) => sum + value, 0) / batch.batch;
    }) as unknown as tf.TensorContainer;
  }) as unknown as number[];
}

const single = (term: Omit<LossTerm, 'weight'>, temperature: number, weight = 1): Loss => ({
  terms: [{ ...term, weight } as LossTerm],
  temperature,
});

const distance = (a: readonly number[], b: readonly number[]) =>
  Math.hypot(...a.map((value, index) => value - (b[index] as number)));

const nameOf = ({ weight: _, ...term }: Partial<LossTerm> & { type: string }) =>
  Object.entries(term)
    .map(([key, value]) => (key === 'type' ? value : `${key} ${JSON.stringify(value)}`))
    .join(', ');

for (const batch of golden.batches) {
  for (const { term, T, loss, gradient } of batch.cases) {
    test(`PyTorch agrees: ${nameOf(term as LossTerm)} at T ${T}, ${batch.classes} classes`, (t) => {
      const own = evaluate(single(term, T), batch);
      // T² enlarges float32's rounding of probabilities that are nearly equal.
      t.true(Math.abs(own.loss - loss) <= 1e-5 * Math.abs(loss) + 3e-7 * T * T, `${own.loss} is ${loss}`);
      const bound = 1e-5 * Math.hypot(...gradient) + 1e-7 * T;
      t.true(distance(own.gradient, gradient) <= bound, `${own.gradient} is ${gradient}`);
    });
  }

  test(`PyTorch agrees: the seed's loss as its document writes it, ${batch.classes} classes`, (t) => {
    const terms: LossTerm[] = [
      { type: 'cross-entropy', weight: 0.75 },
      { type: 'kl', weight: 0.25, convention: 'seed-004' },
    ];
    const own = evaluate({ terms, temperature: 1 }, batch);
    t.true(Math.abs(own.loss - batch.seed004.loss) < 1e-6);
    t.true(distance(own.gradient, batch.seed004.gradient) < 1e-6);
  });
}

for (const { weighted, batch, classes, student } of golden.batches) {
  for (const { smoothing, loss, gradient } of weighted.cases) {
    test(`PyTorch agrees: weighted cross-entropy of mixed labels, smoothing ${smoothing}, ${classes} classes`, (t) => {
      const terms: LossTerm[] = [{ type: 'cross-entropy', weight: 1, smoothing }];
      const own = tf.tidy(() => {
        const numbers = tf.tensor1d(lossNumbers({ terms, temperature: 1 }, 0, 1));
        const inputs = {
          labels: tf.zeros([batch], 'int32'),
          targets: tf.tensor2d([...weighted.targets], [batch, classes]),
          classWeights: tf.tensor1d([...weighted.weights]),
          teacherLogits: null,
        };
        const mean = (logits: tf.Tensor) => tf.mean(lossPerSample(terms, numbers, { logits, ...inputs }));
        const { value, grad } = tf.valueAndGrad(mean)(tf.tensor2d([...student], [batch, classes]));
        return { loss: value.dataSync()[0] as number, gradient: [...grad.dataSync()] };
      });
      t.true(Math.abs(own.loss - loss) <= 1e-6 * loss, `${own.loss} is ${loss}`);
      t.true(distance(own.gradient, gradient) <= 1e-6 * Math.hypot(...gradient), `${own.gradient} is ${gradient}`);
    });
  }
}

test('every kind of term has its goldens', (t) => {
  for (const { cases } of golden.batches) {
    const found = (kind: string) => cases.filter(({ term }) => term.type === kind).map(({ T }) => T);
    for (const kind of ['kl', 'mse-probabilities', 'soft-cross-entropy', 'dkd', 'dist']) {
      t.deepEqual([...new Set(found(kind))], [1, 2, 4, 8], kind);
    }
    for (const kind of ['cross-entropy', 'mse-logits']) t.true(found(kind).length > 0, kind);
  }
  t.is(golden.batches.length, 2);
});

const SEED = 40_107;

function randomBatch(seed: number, batch = 5, classes = 4, scale = 1.5): Batch {
  const random = createRandom(seed);
  const draw = () => Array.from({ length: batch * classes }, () => scale * random.nextNormal());
  const student = draw();
  return {
    batch,
    classes,
    student,
    teacher: draw(),
    labels: Array.from({ length: batch }, () => random.nextInt(classes)),
  };
}

const kinds: readonly Omit<LossTerm, 'weight'>[] = [
  { type: 'cross-entropy' },
  { type: 'cross-entropy', smoothing: 0.2 } as LossTerm,
  { type: 'kl' },
  { type: 'kl', convention: 'seed-004' } as LossTerm,
  { type: 'mse-logits' },
  { type: 'mse-probabilities' },
  { type: 'soft-cross-entropy' },
  { type: 'dkd', alpha: 1, beta: 8 } as LossTerm,
  { type: 'dist', beta: 2, gamma: 2 } as LossTerm,
];

for (const kind of kinds) {
  test(`finite differences agree: ${nameOf(kind as LossTerm)} beside the labels (seed ${SEED})`, (t) => {
    for (const T of [1, 2, 4, 8]) {
      for (const alpha of [0, 0.6, 1]) {
        const terms = [
          { type: 'cross-entropy', weight: 1 - alpha },
          { ...kind, weight: alpha },
        ] as LossTerm[];
        const loss = { terms, temperature: T };
        const batch = randomBatch(SEED + T);
        const { gradient } = evaluate(loss, batch);
        const random = createRandom(SEED, T);
        for (let round = 0; round < 3; round++) {
          const direction = batch.student.map(() => random.nextNormal());
          const h = 0.02;
          const [far, behind, ahead, beyond] = evaluateAlong(loss, batch, direction, [-2 * h, -h, h, 2 * h]) as [
            number,
            number,
            number,
            number,
          ];
          // The five-point formula: its own error is of fourth order, so that h can be large for float32.
          const numeric = (8 * (ahead - behind) - (beyond - far)) / (12 * h);
          const exact = gradient.reduce((sum, value, index) => sum + value * (direction[index] as number), 0);
          const bound = 0.005 * Math.hypot(...gradient) + 1e-4;
          t.true(Math.abs(numeric - exact) < bound, `T ${T}, alpha ${alpha}: ${numeric} is near ${exact}`);
        }
      }
    }
  });
}

test('at weight 0 a term changes nothing, not even the last bit', (t) => {
  const batch = randomBatch(SEED);
  const alone = evaluate({ terms: CONTROL_TERMS, temperature: 4 }, batch);
  for (const kind of kinds.slice(2)) {
    const terms = [
      { type: 'cross-entropy', weight: 1 },
      { ...kind, weight: 0 },
    ] as LossTerm[];
    t.deepEqual(evaluate({ terms, temperature: 4 }, batch), alone, nameOf(kind as LossTerm));
  }
});

test('equal logits have no divergence, and a label-free pull of 0', (t) => {
  const { student, ...rest } = randomBatch(SEED);
  for (const kind of kinds.filter(({ type }) => !type.includes('cross-entropy'))) {
    const { loss, gradient } = evaluate(single(kind, 3), { ...rest, student, teacher: student });
    t.true(Math.abs(loss) < 2e-5, `${nameOf(kind as LossTerm)}: ${loss}`);
    t.true(Math.hypot(...gradient) < 2e-5, `${nameOf(kind as LossTerm)}: ${gradient}`);
  }
});

for (const size of [100, 10_000]) {
  test(`logits of ±${size} stay finite, and so do their gradients`, (t) => {
    const teacher = [size, -size, 0, -size, size, 0, 0, 0, size];
    const student = [-size, size, 0, -size, size, 0, size, -size, 0];
    const batch = { batch: 3, classes: 3, student, teacher, labels: [0, 1, 0] };
    for (const kind of kinds) {
      for (const T of [1, 8]) {
        const { perSample, gradient } = evaluate(single(kind, T), batch);
        t.true([...perSample, ...gradient].every(Number.isFinite), `${nameOf(kind as LossTerm)}: ${gradient}`);
      }
    }
  });
}

test('a batch of one, and of equal samples, has finite relations', (t) => {
  const one = evaluate(single({ type: 'dist', beta: 2, gamma: 2 } as LossTerm, 1), randomBatch(SEED, 1));
  t.true(one.gradient.every(Number.isFinite));
  const batch = { batch: 2, classes: 3, student: [0, 0, 0, 0, 0, 0], teacher: [1, 1, 1, 1, 1, 1], labels: [0, 1] };
  const flat = evaluate(single({ type: 'dist', beta: 2, gamma: 2 } as LossTerm, 2), batch);
  t.deepEqual(flat.perSample, [16, 16]);
  t.true(flat.gradient.every(Number.isFinite));
});

test('a term has its own temperature, or else the loss’s', (t) => {
  const batch = randomBatch(SEED);
  const own = evaluate({ terms: [{ type: 'kl', weight: 1, temperature: 2 }], temperature: 7 }, batch);
  t.deepEqual(own, evaluate({ terms: [{ type: 'kl', weight: 1 }], temperature: 2 }, batch));
  t.notDeepEqual(own, evaluate({ terms: [{ type: 'kl', weight: 1 }], temperature: 7 }, batch));
});

test('the numbers of a step are weight and temperature, term by term, by their schedules', (t) => {
  const loss: Loss = {
    terms: [
      { type: 'cross-entropy', weight: { type: 'linear', from: 1, to: 0, steps: 5 } },
      { type: 'kl', weight: 0.5, temperature: { type: 'step', value: 8, factor: 0.5, steps: 2 } },
    ],
    temperature: { type: 'constant', value: 3 },
  };
  t.deepEqual([...lossNumbers(loss, 0, 10)], [1, 3, 0.5, 8]);
  t.deepEqual([...lossNumbers(loss, 2, 10)], [0.5, 3, 0.5, 4]);
  t.deepEqual([...lossNumbers(loss, 9, 10)], [0, 3, 0.5, 0.5]);
  t.is(lossNumberCount(loss.terms), 4);
});

test('only terms that look at the teacher need one', (t) => {
  t.false(needsTeacher(CONTROL_TERMS));
  for (const kind of kinds.slice(2)) t.true(needsTeacher([{ ...kind, weight: 1 } as LossTerm]), kind.type);
  const custom = { type: 'custom', weight: 1, digest: 'd', name: 'mine', parameters: {} } as const;
  t.true(needsTeacher([{ ...custom, needsTeacher: true }]));
  t.false(needsTeacher([{ ...custom, needsTeacher: false }]));
  const error = t.throws(() => evaluate(single({ type: 'kl' }, 1), randomBatch(SEED), undefined, false));
  t.regex(error?.message ?? '', /needs teacher logits/);
});

test('a sample without a label counts by the terms that look at the teacher alone, and by nothing else', (t) => {
  const [batch] = golden.batches as [Golden];
  const terms: LossTerm[] = [
    { type: 'cross-entropy', weight: 0.4, smoothing: 0.1 },
    { type: 'kl', weight: 0.6 },
  ];
  const without = batch.labels.map((label, index) => (index % 2 === 0 ? label : -1));
  const hasLabel = without.map((label) => (label < 0 ? 0 : 1));
  const outcome = (own: readonly LossTerm[], labels: readonly number[], mask: readonly number[] | null) =>
    tf.tidy(() => {
      const numbers = tf.tensor1d(lossNumbers({ terms: own, temperature: 2 }, 0, 1));
      const labelTensor = tf.tensor1d([...labels], 'int32');
      const inputs = {
        targets: tf.cast(tf.oneHot(labelTensor, batch.classes), 'float32'),
        labels: labelTensor,
        hasLabel: mask === null ? null : tf.tensor1d([...mask]),
        teacherLogits: tf.tensor2d([...batch.teacher], [batch.batch, batch.classes]),
      };
      const logits = tf.tensor2d([...batch.student], [batch.batch, batch.classes]);
      const values = lossPerSample(own, numbers, { logits, ...inputs });
      const gradient = tf.grad((z: tf.Tensor) => tf.sum(lossPerSample(own, numbers, { logits: z, ...inputs })))(logits);
      return { values: [...values.dataSync()], gradient: [...gradient.dataSync()] };
    });
  const masked = outcome(terms, without, hasLabel);
  const labelled = outcome(terms, batch.labels, null);
  const soft = outcome(terms.slice(1), batch.labels, null);
  for (let row = 0; row < batch.batch; row++) {
    const expected = hasLabel[row] === 1 ? labelled : soft;
    const own = (values: readonly number[]) => values.slice(row * batch.classes, (row + 1) * batch.classes);
    t.true(Math.abs((masked.values[row] as number) - (expected.values[row] as number)) < 1e-6);
    const gaps = own(masked.gradient).map((value, index) =>
      Math.abs(value - (own(expected.gradient)[index] as number)),
    );
    t.true(Math.max(...gaps) < 1e-6);
  }
});
