/** Our side of the step benchmark, in a process of its own: one training step is the sums of a batch, their mean, the update. */
import { createRandom, type Random } from '../../lib/base/random.ts';
import { gradientPlan } from '../../lib/distill/batch-gradient.ts';
import { batchTensors, flatSums } from '../../lib/distill/eager-step.ts';
import { lossNumbers } from '../../lib/distill/loss-spec.ts';
import { StepProgram } from '../../lib/distill/step-program.ts';
import type { MicroBatch, ProgramSpec, TrainingSpec } from '../../lib/distill/step-spec.ts';
import { withTensors } from '../../lib/engine/scope.ts';
import { type Tensor, tf } from '../../lib/engine/tf.ts';
import { initialParameters, initialStatistics, type TensorSpec } from '../../lib/model/parameters.ts';
import { answerRequests, type Stepper } from '../answer.ts';
import { modelOf } from './cases.ts';
import type { StepCase } from './protocol.ts';

const MOMENTUM = 0.9;
const LEARNING_RATE = 1e-3;

function specOf(request: StepCase): ProgramSpec & { readonly training: TrainingSpec } {
  const model = modelOf(request);
  const terms = [
    { type: 'cross-entropy', weight: 0.1 },
    { type: 'kl', weight: 0.9 },
  ] as const;
  const training: TrainingSpec = {
    loss: { terms, temperature: 4 },
    optimizer: {
      type: 'sgd',
      learningRate: LEARNING_RATE,
      momentum: MOMENTUM,
      nesterov: false,
      weightDecay: 0,
      schedule: { type: 'constant', warmupSteps: 0 },
    },
    totalSteps: 1_000_000,
    batchSizes: [request.batch],
    fineTune: 'all',
    precision: 'float32',
    // A silent fallback would be measured as if it were the compiled step.
    compile: 'required',
    seed: 1,
  };
  const preprocessing = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
  return { model, preprocessing, training, predictBatchSizes: [] };
}

function randomBatch({ size, classes, batch }: StepCase, random: Random): Omit<MicroBatch, 'step'> {
  return {
    lane: 0,
    count: batch,
    images: Float32Array.from({ length: batch * size * size * 3 }, () => 255 * random.nextFloat()),
    labels: Int32Array.from({ length: batch }, () => random.nextInt(classes)),
    teacherLogits: Float32Array.from({ length: batch * classes }, () => 3 * random.nextNormal()),
  };
}

/** @param averages whether gradients leave the engine and their mean comes back, as where workers average */
function compiled(request: StepCase, averages: boolean): Stepper {
  const spec = specOf(request);
  const program = new StepProgram(spec);
  program.write('parameters', initialParameters(spec.model, 1));
  program.write('statistics', initialStatistics(spec.model));
  for (const slot of program.slots) program.write(slot, new Float32Array(program.slotSize));
  const batch = randomBatch(request, createRandom(1));
  let step = 0;
  return {
    parameters: spec.model.parameterCount,
    step: () => {
      if (averages) {
        const sums = program.sums({ ...batch, step });
        for (let index = 0; index < sums.length; index++) sums[index] = (sums[index] as number) / batch.count;
        program.apply(sums, step);
      } else {
        program.loneStep({ ...batch, step });
      }
      step += 1;
    },
    close: () => program.close(),
  };
}

/** The same functions operation by operation, weights and momentum as tensors that stay in TensorFlow. */
function eager(request: StepCase): Stepper {
  const spec = specOf(request);
  const plan = gradientPlan(spec, spec.training, new Map());
  const tensorsOf = (specs: readonly TensorSpec[], flat: Float32Array) => {
    let offset = 0;
    return specs.map(({ name, shape, size }) => {
      offset += size;
      return [name, tf.tensor(flat.slice(offset - size, offset), [...shape])] as const;
    });
  };
  const state = new Map<string, Tensor>([
    ...tensorsOf(spec.model.parameters, initialParameters(spec.model, 1)),
    ...tensorsOf(spec.model.statistics, initialStatistics(spec.model)),
  ]);
  const momentum = new Map<string, Tensor>(plan.trainable.map(({ name, shape }) => [name, tf.zeros([...shape])]));
  const batch = randomBatch(request, createRandom(1));
  const replace = (tensors: Map<string, Tensor>, name: string, next: Tensor) => {
    tensors.get(name)?.dispose();
    tensors.set(name, tf.keep(next));
  };
  const update = (sums: Tensor) => {
    let offset = 0;
    for (const { name, shape, size } of plan.trainable) {
      const gradient = tf.reshape(tf.div(tf.slice(sums, [offset], [size]), batch.count), [...shape]);
      offset += size;
      replace(momentum, name, tf.add(tf.mul(momentum.get(name) as Tensor, MOMENTUM), gradient));
      replace(state, name, tf.sub(state.get(name) as Tensor, tf.mul(momentum.get(name) as Tensor, LEARNING_RATE)));
    }
  };
  let step = 0;
  return {
    parameters: spec.model.parameterCount,
    step: () => {
      withTensors((keep) => {
        const numbers = Float32Array.of(...lossNumbers(spec.training.loss, step, spec.training.totalSteps), 1);
        const inputs = batchTensors(spec, { ...batch, step: step++ }, numbers, 1, keep);
        const sums = keep(tf.tidy(() => flatSums(plan, state, inputs)));
        sums.dataSync();
        tf.tidy(() => update(sums));
      });
    },
    close: () => tf.dispose([...state.values(), ...momentum.values()]),
  };
}

await answerRequests((request) =>
  request.mode === 'eager' ? eager(request) : compiled(request, request.mode === 'averaged'),
);
