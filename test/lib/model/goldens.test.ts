/** Every architecture against one training step in float64 PyTorch; `scripts/goldens/architectures.py` made the goldens. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { StepProgram } from '../../../lib/distill/step-program.ts';
import { softmaxCrossEntropy } from '../../../lib/engine/kernels.ts';
import { type Tensor, tf } from '../../../lib/engine/tf.ts';
import { forward } from '../../../lib/model/forward.ts';
import type { Architecture } from '../../../lib/model/layers.ts';
import {
  describeModel,
  exportTensors,
  importTensors,
  type ModelSpec,
  type TensorSpec,
} from '../../../lib/model/parameters.ts';
import { pytorchShape } from '../../../lib/model/tensor-layout.ts';
import { architectureNames, buildArchitecture } from '../../../lib/model/zoo.ts';
import { type ArchitectureGolden, distance, goldenValues, type Sketch, sketchOf } from '../../helpers/golden.ts';

/** ‖a − b‖ / ‖b‖ per tensor. */
const TOLERANCE = 1e-4;
/** A gradient that is zero in exact arithmetic, as that of a bias before batch norm, relative to the whole gradient. */
const ZERO = 1e-9;

/** As `initial` in the script. */
function goldenTensor({ name, role, shape, layout, size }: TensorSpec) {
  const drawn = goldenValues(name, size);
  const outputs = pytorchShape({ shape, layout })[0] as number;
  const gain = shape.length === 4 ? 2 : 1;
  const bound = Math.sqrt((3 * gain) / (size / outputs));
  const transform: Record<TensorSpec['role'], (value: number) => number> = {
    'running-mean': (value) => 0.3 * value,
    'running-variance': (value) => 1 + 0.5 * value,
    scale: (value) => 1 + 0.2 * value,
    offset: (value) => 1 + 0.2 * value,
    bias: (value) => 0.1 * value,
    weight: (value) => bound * value,
  };
  return { shape: pytorchShape({ shape, layout }), values: new Float32Array(drawn.map(transform[role])) };
}

function goldenWeights(model: ModelSpec) {
  const specs = [...model.parameters, ...model.statistics];
  return importTensors(model, new Map(specs.map((spec) => [spec.name, goldenTensor(spec)])));
}

function split(specs: readonly TensorSpec[], flat: Float32Array): Tensor[] {
  let offset = 0;
  return specs.map(({ shape, size }) => {
    offset += size;
    return tf.tensor(flat.subarray(offset - size, offset), [...shape]);
  });
}

interface Step {
  readonly evalLogits: Float32Array;
  readonly trainLogits: Float32Array;
  readonly loss: number;
  readonly gradients: Float32Array;
  readonly statistics: Float32Array;
}

function trainOnce(model: ModelSpec, golden: ArchitectureGolden): Step {
  const { batch, classes, batchName, alpha, temperature, input } = golden;
  const { parameters, statistics } = goldenWeights(model);
  const weights = split(model.parameters, parameters);
  const moving = split(model.statistics, statistics);
  const stateOf = (tensors: readonly Tensor[]) =>
    new Map([...model.parameters, ...model.statistics].map(({ name }, index) => [name, tensors[index] as Tensor]));
  const shape = [batch, input.height, input.width, input.channels] as const;
  const drawn = goldenValues(`${batchName} images`, batch * input.height * input.width * input.channels);
  const images = tf.tensor4d(new Float32Array(drawn.map((value) => golden.amplitude * value)), [...shape]);
  const teacher = goldenValues(`${batchName} teacher`, batch * classes);
  const teacherLogits = tf.tensor2d(new Float32Array(teacher.map((value) => 3 * value)), [batch, classes]);
  const labels = Int32Array.from({ length: batch }, (_, row) => (row * 7) % classes);
  const oneHot = tf.cast(tf.oneHot(tf.tensor1d(labels, 'int32'), classes), 'float32');
  const soft = tf.softmax(tf.div(teacherLogits, temperature) as tf.Tensor2D);
  const entropy = tf.neg(tf.sum(tf.mul(soft, tf.log(soft)), 1));

  const evalLogits = forward(model, stateOf([...weights, ...moving]), images, { training: false }).logits.dataSync();
  let ran: { logits: Tensor; statistics: readonly Tensor[] } | undefined;
  const { value, grads } = tf.valueAndGrads((...tensors: Tensor[]) => {
    const { logits, statistics } = forward(model, stateOf([...tensors, ...moving]), images, { training: true });
    ran = { logits: tf.keep(logits), statistics };
    const divergence = tf.sub(softmaxCrossEntropy(tf.div(logits, temperature), soft), entropy);
    const hard = tf.mul(softmaxCrossEntropy(logits, oneHot), 1 - alpha);
    return tf.mean(tf.add(hard, tf.mul(divergence, alpha * temperature ** 2))) as tf.Scalar;
  })(weights);
  const { logits, statistics: seen } = ran as unknown as { logits: Tensor; statistics: readonly Tensor[] };
  const moved = seen.map((statistic, index) => {
    const { momentum } = model.statistics[index] as TensorSpec;
    return tf.add(tf.mul(moving[index] as Tensor, 1 - (momentum as number)), tf.mul(statistic, momentum as number));
  });
  const join = (tensors: readonly Tensor[]) => {
    const flat = tensors.map((tensor) => tf.reshape(tensor, [tensor.size]));
    return flat.length === 0 ? new Float32Array(0) : (tf.concat(flat).dataSync() as Float32Array);
  };
  const step = {
    evalLogits: evalLogits as Float32Array,
    trainLogits: logits.dataSync() as Float32Array,
    loss: value.dataSync()[0] as number,
    gradients: join(grads),
    statistics: join(moved),
  };
  tf.dispose([logits, ...seen]);
  return step;
}

/** As tidy(), which would look for tensors among the millions of numbers of a result. */
function withoutLeaks<T>(body: () => T): T {
  const results: T[] = [];
  tf.tidy(() => {
    results.push(body());
  });
  return results[0] as T;
}

function read(name: string): ArchitectureGolden {
  return JSON.parse(readFileSync(new URL(`../../goldens/architectures/${name}.json`, import.meta.url), 'utf8'));
}

/** Relative errors of one training step, by tensor. */
function errorsOf(architecture: Architecture, golden: ArchitectureGolden): ReadonlyMap<string, number> {
  const model = describeModel(architecture, golden.input, golden.classes);
  const step = withoutLeaks(() => trainOnce(model, golden));
  const wholeNorm = Math.hypot(...Object.values(golden.gradients).map(({ norm }) => norm));
  const errorOf = (actual: Float32Array, { norm, values }: Sketch): number =>
    distance(actual, { norm, values }) / (norm > ZERO * wholeNorm ? norm : wholeNorm);
  const errors = new Map<string, number>();
  for (const [name, { values }] of exportTensors(model, step.gradients, step.statistics)) {
    const expected = golden.gradients[name] ?? golden.statistics[name];
    errors.set(name, expected === undefined ? Number.POSITIVE_INFINITY : errorOf(values, expected));
  }
  errors.set('logits in evaluation', errorOf(step.evalLogits, golden.evalLogits));
  errors.set('logits in training', errorOf(step.trainLogits, golden.trainLogits));
  errors.set('loss', Math.abs(step.loss - golden.loss) / Math.abs(golden.loss));
  return errors;
}

const beyond = (errors: ReadonlyMap<string, number>) => [...errors].filter(([, error]) => !(error <= TOLERANCE));

for (const name of architectureNames) {
  test(`${name}: logits, loss, gradients and statistics of a training step are PyTorch's`, (t) => {
    const golden = read(name);
    const errors = errorsOf(buildArchitecture({ name, dropout: 0 }), golden);
    const [worst, error] = [...errors].reduce((a, b) => (b[1] > a[1] ? b : a));
    t.log(`largest error ${error.toExponential(1)}, of ${worst}`);
    t.deepEqual(beyond(errors), []);
    t.is(errors.size, Object.keys(golden.gradients).length + Object.keys(golden.statistics).length + 3);
  });
}

/** The same step, compiled, as workers run it: its sums, and the statistics after its update. */
function trainCompiled(model: ModelSpec, golden: ArchitectureGolden): Omit<Step, 'evalLogits' | 'trainLogits'> {
  const { batch, classes, batchName, alpha, temperature, input, amplitude } = golden;
  const terms = [
    { type: 'cross-entropy', weight: 1 - alpha },
    { type: 'kl', weight: alpha },
  ] as const;
  const program = new StepProgram({
    model,
    // The golden's pixels are preprocessed: (x / 255 - 0) / (1 / 255).
    preprocessing: { mean: [0, 0, 0], std: [1 / 255, 1 / 255, 1 / 255] },
    training: {
      loss: { terms, temperature },
      optimizer: {
        type: 'sgd',
        learningRate: 0.1,
        momentum: 0,
        nesterov: false,
        weightDecay: 0,
        schedule: { type: 'constant', warmupSteps: 0 },
      },
      totalSteps: 1,
      batchSizes: [batch],
      fineTune: 'all',
      precision: 'float32',
      compile: 'required',
      seed: 1,
    },
    predictBatchSizes: [],
  });
  const weights = goldenWeights(model);
  program.write('parameters', weights.parameters);
  program.write('statistics', weights.statistics);
  const drawn = goldenValues(`${batchName} images`, batch * input.height * input.width * input.channels);
  const mean = program
    .sums({
      step: 0,
      lane: 0,
      count: batch,
      images: new Float32Array(drawn.map((value) => amplitude * value)),
      labels: Int32Array.from({ length: batch }, (_, row) => (row * 7) % classes),
      teacherLogits: new Float32Array(goldenValues(`${batchName} teacher`, batch * classes).map((value) => 3 * value)),
    })
    .map((sum) => sum / batch);
  program.apply(mean, 0);
  const step = {
    loss: mean.at(-2) as number,
    gradients: mean.slice(0, model.parameterCount),
    statistics: program.read('statistics'),
  };
  program.close();
  return step;
}

for (const name of ['simple-cnn', 'resnet-20', 'resnet-18', 'efficientnet-lite0']) {
  test(`${name}: a compiled step has PyTorch's loss, gradients and statistics`, (t) => {
    const golden = read(name);
    const model = describeModel(buildArchitecture({ name, dropout: 0 }), golden.input, golden.classes);
    const { loss, gradients, statistics } = trainCompiled(model, golden);
    t.true(Math.abs(loss - golden.loss) <= TOLERANCE * Math.abs(golden.loss), `loss ${loss}`);
    const wholeNorm = Math.hypot(...Object.values(golden.gradients).map(({ norm }) => norm));
    for (const [tensor, { values }] of exportTensors(model, gradients, statistics)) {
      const expected = (golden.gradients[tensor] ?? golden.statistics[tensor]) as Sketch;
      const scale = expected.norm > ZERO * wholeNorm ? expected.norm : wholeNorm;
      t.true(distance(values, expected) <= TOLERANCE * scale, `${tensor}: ${distance(values, expected)} of ${scale}`);
    }
  });
}

/** Deviations that would leave a network much as good, so that nothing else might notice. */
const deviations: [string, from: string, to: string][] = [
  ['epsilon', '{"kind":"batch-norm",', '{"kind":"batch-norm","epsilon":1.1e-5,'],
  ['momentum', '{"kind":"batch-norm",', '{"kind":"batch-norm","momentum":0.11,'],
  ['side of the odd zero', '"stride":2,"padding":1', '"stride":2,"padding":"same"'],
];

for (const [what, from, to] of deviations) {
  test(`another ${what} is noticed`, (t) => {
    const text = JSON.stringify(buildArchitecture({ name: 'resnet-8' }));
    const changed = text.replaceAll(from, to);
    t.not(changed, text);
    t.true(beyond(errorsOf(JSON.parse(changed), read('resnet-8'))).length > 0);
  });
}

test('a sketch tells the distance of two tensors', (t) => {
  for (const [index, length] of [64, 1000, 50_000].entries()) {
    const a = goldenValues(`a${index}`, length);
    const change = goldenValues(`b${index}`, length).map((value) => 1e-3 * value);
    const b = a.map((value, place) => value + (change[place] as number));
    const values = Buffer.from(Float32Array.from(sketchOf(b)).buffer).toString('base64');
    const ratio = distance(a, { norm: 1, values }) / Math.hypot(...change);
    t.true(ratio > 0.7 && ratio < 1.3, `${length} numbers: ${ratio}`);
    t.is(distance(a.subarray(1, 60), { norm: 1, values }), Number.POSITIVE_INFINITY);
  }
});
