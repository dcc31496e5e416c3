/** A model in a TensorFlow session: gradients of micro-batches, updates by their average, predictions. */
import { invariant, StillhouseError } from '../base/errors.ts';
import { createRandom, hashName, type Random } from '../base/random.ts';
import { type Keep, withTensors } from '../engine/scope.ts';
import { Session } from '../engine/session.ts';
import { type Tensor, tf } from '../engine/tf.ts';
import { initialParameters, initialStatistics } from '../model/parameters.ts';
import { type CustomLosses, type GradientPlan, gradientPlan, sizeOf } from './batch-gradient.ts';
import { batchTensors, eagerSums, loneStepBySums, type ModelState } from './eager-step.ts';
import { lossNumbers, needsTeacher } from './loss-spec.ts';
import { stepNumbers } from './optimizer.ts';
import { slotNames } from './optimizer-spec.ts';
import { predictBatches } from './prediction-batches.ts';
import { StepGraph } from './step-graph.ts';
import type { MicroBatch, ProgramSpec, StepMetrics, StepMode } from './step-spec.ts';
import { tryEager, verifySums } from './verify-step.ts';

/**
 * Factors by which the loss is multiplied for a backward pass in float16, tried in this order until the sums are finite.
 * They depend on nothing but the micro-batch and the weights, so a sum is the same on whichever worker computes it, and no
 * step is skipped.
 */
const LOSS_SCALES: readonly number[] = [1024, 64, 4, 1];

/** What the compute thread asks of a program, on whichever engine. */
export type OpenProgram = Pick<StepProgram, keyof StepProgram>;

export class StepProgram {
  readonly spec: ProgramSpec;
  /** How gradients are computed; null for a program that only predicts. */
  readonly mode: StepMode | null;
  readonly #plan: GradientPlan | null;
  readonly #session: Session;

  /**
   * Traces, loads and verifies.
   * @throws FAILED_PRECONDITION when the step cannot be compiled and `compile: required` was asked for; what the model or
   *   the loss throws when it cannot be computed at all
   */
  constructor(spec: ProgramSpec, customLosses: CustomLosses = new Map()) {
    this.spec = spec;
    const { training } = spec;
    this.#plan = training === null ? null : gradientPlan(spec, training, customLosses);
    if (this.#plan === null) {
      this.#session = this.#load(null, false);
      this.mode = null;
      return;
    }
    const { session, mode } = this.#compile(this.#plan);
    this.#session = session;
    this.mode = mode;
  }

  /** Length of the vector of sums: gradients of what is trained, batch statistics, loss, correct answers. */
  get vectorSize(): number {
    return this.#plan === null ? 0 : this.#plan.vectorSize;
  }

  /** Names of the optimizer's state vectors. */
  get slots(): readonly string[] {
    return this.spec.training === null ? [] : slotNames(this.spec.training.optimizer);
  }

  /** Length of each of the optimizer's state vectors: the number of parameters that are trained. */
  get slotSize(): number {
    return this.#plan === null ? 0 : sizeOf(this.#plan.trainable);
  }

  /** Writes a flat state vector. @param name `parameters`, `statistics` or a slot's name */
  write(name: string, values: Float32Array): void {
    if (values.length > 0) writeState(this.#session, name, values);
  }

  /** Reads a flat state vector. */
  read(name: string): Float32Array {
    const isEmpty = name === 'statistics' && this.spec.model.statistics.length === 0;
    return isEmpty ? new Float32Array(0) : this.#session.read({}, `${name}/read`);
  }

  /** The micro-batch's sums at the current weights, [vectorSize]. */
  sums(batch: MicroBatch): Float32Array {
    const plan = this.#training();
    const { loss, totalSteps, precision } = plan.training;
    this.#checkBatch(batch);
    const numbers = lossNumbers(loss, batch.step, totalSteps);
    const scales = precision === 'float16' ? LOSS_SCALES : [1];
    let sums = new Float32Array(0);
    for (const scale of scales) {
      sums = this.#sumsAt(batch, Float32Array.of(...numbers, scale)) as Float32Array<ArrayBuffer>;
      if (scales.length === 1 || sums.every(Number.isFinite)) break;
    }
    return sums;
  }

  /**
   * A whole step on a micro-batch that is its own global batch: bit for bit what `sums`, a division by the count and `apply`
   * do, at once.
   */
  loneStep(batch: MicroBatch): StepMetrics {
    const plan = this.#training();
    if (this.mode?.kind !== 'compiled' || plan.training.precision === 'float16') {
      return loneStepBySums(this, batch);
    }
    this.#checkBatch(batch);
    const { loss, totalSteps, optimizer } = plan.training;
    const prefix = `step${batch.count}`;
    return withTensors((keep) => {
      const numbers = Float32Array.of(...lossNumbers(loss, batch.step, totalSteps), 1);
      const feeds = batchFeeds(this.spec, plan, batch, numbers, keep);
      feeds[`${prefix}/count`] = keep(tf.scalar(batch.count));
      feeds['apply/numbers'] = keep(tf.tensor1d(stepNumbers(optimizer, batch.step, totalSteps)));
      const metrics = this.#session.read(feeds, `${prefix}/done`);
      const [lossMean, accuracy, squares] = metrics as unknown as [number, number, number];
      return { loss: lossMean, accuracy, hasFiniteGradients: Number.isFinite(squares) };
    });
  }

  /** Updates weights, slots and moving statistics from the global batch's mean vector. @param step 0-based */
  apply(mean: Float32Array, step: number): void {
    const { optimizer, totalSteps } = this.#training().training;
    invariant(mean.length === this.vectorSize, 'the averaged vector has the length of the sums');
    withTensors((keep) => {
      const numbers = keep(tf.tensor1d(stepNumbers(optimizer, step, totalSteps)));
      const [done] = this.#session.run({ 'apply/mean': keep(tf.tensor1d(mean)), 'apply/numbers': numbers }, [
        'apply/done',
      ]);
      keep(done as Tensor);
    });
  }

  /** Logits, [count, classes], with moving statistics. @param images RGB 0..255, [count, height, width, channels] */
  predict(images: Float32Array, count: number): Float32Array {
    return predictBatches(this.spec, images, count, (size, batch) =>
      this.#session.read({ [`predict${size}/images`]: batch }, `predict${size}/out0`),
    );
  }

  close(): void {
    this.#session.close();
  }

  #checkBatch(batch: MicroBatch): void {
    const { loss, batchSizes } = this.#training().training;
    if (!batchSizes.includes(batch.count)) {
      throw new StillhouseError('INTERNAL', `no graph was traced for micro-batches of ${batch.count}`);
    }
    if (batch.teacherLogits === null && needsTeacher(loss.terms)) {
      throw new StillhouseError('INTERNAL', 'the micro-batch lacks teacher logits');
    }
  }

  #training(): GradientPlan {
    if (this.#plan !== null) return this.#plan;
    throw new StillhouseError('INTERNAL', 'this program only predicts');
  }

  #sumsAt(batch: MicroBatch, numbers: Float32Array): Float32Array {
    const plan = this.#training();
    if (this.mode?.kind !== 'eager') return compiledSums(this.#session, this.spec, plan, batch, numbers);
    const state = { parameters: this.read('parameters'), statistics: this.read('statistics') };
    return eagerSums(this.spec, plan, state, batch, numbers);
  }

  #load(plan: GradientPlan | null, withSums: boolean): Session {
    const graph = new StepGraph(this.spec);
    if (plan !== null) graph.addApply(plan);
    for (const size of plan !== null && withSums ? plan.training.batchSizes : []) {
      graph.addSums(plan as GradientPlan, size);
      graph.addLoneStep(plan as GradientPlan, size);
    }
    for (const size of this.spec.predictBatchSizes) graph.addPrediction(size);
    return new Session(graph.definition);
  }

  /** The compiled step, or, where it cannot be had and need not be, a session that leaves the gradients to eager execution. */
  #compile(plan: GradientPlan): { session: Session; mode: StepMode } {
    const { model } = this.spec;
    const random = createRandom(hashName(model.architecture.name), model.parameterCount);
    const state = { parameters: initialParameters(model, 1), statistics: initialStatistics(model) };
    try {
      if (plan.training.precision !== 'float32') {
        // Rounding to 16 bits would hide a small difference.
        const full: GradientPlan = { ...plan, training: { ...plan.training, precision: 'float32' } };
        this.#loadVerified(full, state, random).close();
      }
      return { session: this.#loadVerified(plan, state, random), mode: { kind: 'compiled' } };
    } catch (thrown) {
      const error = StillhouseError.from(thrown, 'compiling the step');
      if (plan.training.compile === 'required') throw error;
      // What eager execution cannot do either is an error of the model or the loss, better told now than at the first step.
      tryEager(this.spec, plan, state, random);
      return { session: this.#load(plan, false), mode: { kind: 'eager', reason: error.message } };
    }
  }

  #loadVerified(plan: GradientPlan, state: ModelState, random: Random): Session {
    const session = this.#load(plan, true);
    try {
      writeState(session, 'parameters', state.parameters);
      if (state.statistics.length > 0) writeState(session, 'statistics', state.statistics);
      const compiled = (batch: MicroBatch, numbers: Float32Array) =>
        compiledSums(session, this.spec, plan, batch, numbers);
      verifySums(this.spec, plan, state, compiled, random);
      return session;
    } catch (error) {
      session.close();
      throw error;
    }
  }
}

function writeState(session: Session, name: string, values: Float32Array): void {
  withTensors((keep) => {
    const [done] = session.run({ [`${name}/value`]: keep(tf.tensor1d(values)) }, [`${name}/written`]);
    keep(done as Tensor);
  });
}

function compiledSums(
  session: Session,
  spec: ProgramSpec,
  plan: GradientPlan,
  batch: MicroBatch,
  numbers: Float32Array,
): Float32Array {
  return withTensors((keep) => session.read(batchFeeds(spec, plan, batch, numbers, keep), `sums${batch.count}/all`));
}

/** A micro-batch as tensors, by the names of the placeholders that take them. */
function batchFeeds(
  spec: ProgramSpec,
  plan: GradientPlan,
  batch: MicroBatch,
  numbers: Float32Array,
  keep: Keep,
): Record<string, Tensor> {
  const { teacherLogits, teacherTails, mixed, ...inputs } = batchTensors(
    spec,
    batch,
    numbers,
    plan.training.seed,
    keep,
  );
  const feeds = {
    ...inputs,
    ...(mixed === null ? {} : { partnerLabels: mixed.labels, shares: mixed.shares }),
    ...(needsTeacher(plan.training.loss.terms) ? { teacher: teacherLogits as Tensor } : {}),
    ...(teacherTails === null ? {} : { tails: teacherTails }),
  };
  return Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [`sums${batch.count}/${name}`, tensor]));
}
