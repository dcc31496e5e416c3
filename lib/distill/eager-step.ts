/** The sums of a micro-batch computed operation by operation: the reference of the compiled step, and what replaces it. */
import { invariant } from '../base/errors.ts';
import { mixSeeds } from '../base/random.ts';
import { type Keep, withTensors } from '../engine/scope.ts';
import { type Tensor, tf } from '../engine/tf.ts';
import type { ModelSpec, TensorSpec } from '../model/parameters.ts';
import { type BatchTensors, type GradientPlan, microBatchSums } from './batch-gradient.ts';
import { imageShape, type MicroBatch, type ProgramSpec, type StepMetrics } from './step-spec.ts';

/** Flat vectors of a model. */
export interface ModelState {
  readonly parameters: Float32Array;
  readonly statistics: Float32Array;
}

/** @param numbers [countStepNumbers] @returns [vectorSize] */
export function eagerSums(
  spec: ProgramSpec,
  plan: GradientPlan,
  state: ModelState,
  batch: MicroBatch,
  numbers: Float32Array,
): Float32Array {
  return withTensors((keep) => {
    const tensors = stateTensors(spec.model, state, keep);
    const inputs = batchTensors(spec, batch, numbers, plan.training.seed, keep);
    return keep(tf.tidy(() => flatSums(plan, tensors, inputs))).dataSync() as Float32Array;
  });
}

/** A step on a micro-batch that is its own global batch, as the sums, their mean and the update by it. */
export function loneStepBySums(
  program: { sums(batch: MicroBatch): Float32Array; apply(mean: Float32Array, step: number): void },
  batch: MicroBatch,
): StepMetrics {
  const mean = program.sums(batch).map((sum) => sum / batch.count);
  program.apply(mean, batch.step);
  return {
    loss: mean.at(-2) as number,
    accuracy: mean.at(-1) as number,
    hasFiniteGradients: mean.every(Number.isFinite),
  };
}

/** The sums as one vector, [vectorSize]. */
export function flatSums(plan: GradientPlan, state: ReadonlyMap<string, Tensor>, batch: BatchTensors): Tensor {
  return tf.concat(microBatchSums(plan, state, batch).map((sum) => tf.reshape(sum, [sum.size])));
}

/** A model's parameters and moving statistics by name. */
export function stateTensors(
  model: ModelSpec,
  { parameters, statistics }: ModelState,
  keep: Keep,
): Map<string, Tensor> {
  const cut = (specs: readonly TensorSpec[], flat: Float32Array) => {
    let offset = 0;
    return specs.map(({ name, shape, size }) => {
      const values = flat.subarray(offset, offset + size);
      offset += size;
      return [name, keep(tf.tensor(values, [...shape]))] as const;
    });
  };
  return new Map([...cut(model.parameters, parameters), ...cut(model.statistics, statistics)]);
}

/** A micro-batch as tensors. */
export function batchTensors(
  spec: ProgramSpec,
  batch: MicroBatch,
  numbers: Float32Array,
  seed: number,
  keep: Keep,
): BatchTensors {
  const { count, images, labels, mixed, teacherLogits, teacherTails, step, lane } = batch;
  const takesMixed = spec.training?.mixed === true;
  invariant(takesMixed === (mixed != null), 'labels come mixed just where the program takes them so');
  const takesTails = spec.training?.tails === true;
  invariant(takesTails === (teacherTails != null), 'tails of logits come just where the program takes them');
  const { height, width, channels } = imageShape(spec);
  return {
    images: keep(tf.tensor4d(images, [count, height, width, channels])),
    labels: keep(tf.tensor1d(labels, 'int32')),
    mixed: mixed ? { labels: keep(tf.tensor1d(mixed.labels, 'int32')), shares: keep(tf.tensor1d(mixed.shares)) } : null,
    teacherLogits: teacherLogits === null ? null : keep(tf.tensor2d(teacherLogits, [count, spec.model.classes])),
    teacherTails: teacherTails ? keep(tf.tensor2d(teacherTails, [count, teacherTails.length / count])) : null,
    numbers: keep(tf.tensor1d(numbers)),
    key: keep(tf.tensor1d(randomKey(seed, step, lane), 'int32')),
  };
}

/** What is random in a step depends on what is computed, never on where or when. */
function randomKey(seed: number, step: number, lane: number): Int32Array {
  return Int32Array.of(mixSeeds(seed, step), lane);
}
