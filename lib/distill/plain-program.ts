/**
 * A model on plain TensorFlow.js, where there are no graphs: weights, moving statistics and slots are vectors in JavaScript,
 * and every step and every prediction runs operation by operation.
 */
import { invariant, StillhouseError } from '../base/errors.ts';
import { createRandom, hashName } from '../base/random.ts';
import { withTensors } from '../engine/scope.ts';
import { tf } from '../engine/tf.ts';
import { forward } from '../model/forward.ts';
import { BATCH_NORM_MOMENTUM } from '../model/layers.ts';
import { initialParameters, initialStatistics, type TensorSpec } from '../model/parameters.ts';
import { type CustomLosses, type GradientPlan, gradientPlan, preprocess, sizeOf } from './batch-gradient.ts';
import { eagerSums, loneStepBySums, type ModelState, stateTensors } from './eager-step.ts';
import { lossNumbers } from './loss-spec.ts';
import { stepNumbers } from './optimizer.ts';
import { slotNames } from './optimizer-spec.ts';
import { applyUpdate, clipFactor } from './plain-optimizer.ts';
import type { OpenProgram } from './step-program.ts';
import { imageShape, type MicroBatch, type ProgramSpec, type StepMetrics, type StepMode } from './step-spec.ts';
import { tryEager } from './verify-step.ts';

const REASON = 'plain TensorFlow.js has no graph to compile';

export class PlainProgram implements OpenProgram {
  readonly spec: ProgramSpec;
  readonly mode: StepMode | null;
  readonly slots: readonly string[];
  readonly #plan: GradientPlan | null;
  /** Flat vectors: `parameters`, `statistics` and the slots. */
  readonly #vectors: ReadonlyMap<string, Float32Array>;

  /**
   * Computes one step to see that it can be.
   * @throws FAILED_PRECONDITION when `compile: required` was asked for; what the model or the loss throws when it cannot be
   *   computed
   */
  constructor(spec: ProgramSpec, customLosses: CustomLosses = new Map()) {
    const { model, training } = spec;
    this.spec = spec;
    this.#plan = training === null ? null : gradientPlan(spec, training, customLosses);
    this.mode = training === null ? null : { kind: 'eager', reason: REASON };
    this.slots = training === null ? [] : slotNames(training.optimizer);
    this.#vectors = new Map([
      ['parameters', new Float32Array(model.parameterCount)],
      ['statistics', new Float32Array(model.statisticCount)],
      ...this.slots.map((slot) => [slot, new Float32Array(this.slotSize)] as const),
    ]);
    if (this.#plan === null) return;
    if (training?.compile === 'required') {
      throw new StillhouseError('FAILED_PRECONDITION', `the step was to be compiled, but ${REASON}`, {
        field: 'train.compile',
        hint: 'build the engine with `npm run setup`, or leave train.compile at auto',
      });
    }
    const random = createRandom(hashName(model.architecture.name), model.parameterCount);
    tryEager(
      spec,
      this.#plan,
      { parameters: initialParameters(model, 1), statistics: initialStatistics(model) },
      random,
    );
  }

  get vectorSize(): number {
    return this.#plan === null ? 0 : this.#plan.vectorSize;
  }

  get slotSize(): number {
    return this.#plan === null ? 0 : sizeOf(this.#plan.trainable);
  }

  write(name: string, values: Float32Array): void {
    const vector = this.#vector(name);
    invariant(values.length === vector.length, `${name} has ${vector.length} numbers`);
    vector.set(values);
  }

  read(name: string): Float32Array {
    return this.#vector(name).slice();
  }

  sums(batch: MicroBatch): Float32Array {
    const plan = this.#training();
    const { loss, totalSteps } = plan.training;
    // Everything computes in float32, so the loss is not scaled.
    const numbers = Float32Array.of(...lossNumbers(loss, batch.step, totalSteps), 1);
    return eagerSums(this.spec, plan, this.#state(), batch, numbers);
  }

  loneStep(batch: MicroBatch): StepMetrics {
    return loneStepBySums(this, batch);
  }

  apply(mean: Float32Array, step: number): void {
    const { training, trainable, statistics } = this.#training();
    const { optimizer, totalSteps } = training;
    invariant(mean.length === this.vectorSize, 'the averaged vector has the length of the sums');
    const { model } = this.spec;
    const numbers = stepNumbers(optimizer, step, totalSteps);
    const gradients = mean.subarray(0, this.slotSize);
    const clip = clipFactor(gradients, optimizer.clipNorm);
    const weights = pieces(model.parameters, this.#vector('parameters'));
    const slots = this.slots.map((slot) => pieces(trainable, this.#vector(slot)));
    for (const [name, gradient] of pieces(trainable, gradients)) {
      const parameter = weights.get(name) as Float32Array;
      applyUpdate(optimizer, numbers, clip, {
        parameter,
        gradient,
        slots: slots.map((slot) => slot.get(name) as Float32Array),
      });
    }
    const batch = pieces(statistics, mean.subarray(this.slotSize));
    const moving = pieces(model.statistics, this.#vector('statistics'));
    for (const { name, momentum } of statistics) {
      move(moving.get(name) as Float32Array, batch.get(name) as Float32Array, momentum ?? BATCH_NORM_MOMENTUM);
    }
  }

  predict(images: Float32Array, count: number): Float32Array {
    const { model, predictBatchSizes } = this.spec;
    const { height, width, channels } = imageShape(this.spec);
    const imageSize = height * width * channels;
    const logits = new Float32Array(count * model.classes);
    const largest = predictBatchSizes.at(-1) as number;
    for (let start = 0; start < count; start += largest) {
      const rows = Math.min(largest, count - start);
      const pixels = images.subarray(start * imageSize, (start + rows) * imageSize);
      logits.set(this.#logits(pixels, [rows, height, width, channels]), start * model.classes);
    }
    return logits;
  }

  close(): void {
    // The vectors are JavaScript's; between calls there are no tensors.
  }

  #logits(pixels: Float32Array, shape: [number, number, number, number]): Float32Array {
    const { model, preprocessing } = this.spec;
    return withTensors((keep) => {
      const state = stateTensors(model, this.#state(), keep);
      const images = keep(tf.tensor4d(pixels, shape));
      const compute = () =>
        forward(model, state, preprocess(images, preprocessing, model.input), { training: false }).logits;
      return keep(tf.tidy(compute)).dataSync() as Float32Array;
    });
  }

  #state(): ModelState {
    return { parameters: this.#vector('parameters'), statistics: this.#vector('statistics') };
  }

  #vector(name: string): Float32Array {
    const vector = this.#vectors.get(name);
    invariant(vector !== undefined, `a program has the state ${name}`);
    return vector;
  }

  #training(): GradientPlan {
    if (this.#plan !== null) return this.#plan;
    throw new StillhouseError('INTERNAL', 'this program only predicts');
  }
}

/** Views of a flat vector's tensors, by name. */
function pieces(specs: readonly TensorSpec[], flat: Float32Array): Map<string, Float32Array> {
  let offset = 0;
  return new Map(
    specs.map(({ name, size }) => {
      offset += size;
      return [name, flat.subarray(offset - size, offset)];
    }),
  );
}

/** moving += momentum · (batch − moving). */
function move(moving: Float32Array, batch: Float32Array, momentum: number): void {
  for (let index = 0; index < moving.length; index++) {
    const old = moving[index] as number;
    moving[index] = old + momentum * ((batch[index] as number) - old);
  }
}
