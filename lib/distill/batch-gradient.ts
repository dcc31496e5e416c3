/**
 * Forward, loss and backward of one micro-batch: the function that is traced into the step's graph, and that runs eagerly
 * to check the graph or in its place.
 */
import { invariant } from '../base/errors.ts';
import type { ImageShape } from '../data/manifest.ts';
import { withRandomKey } from '../engine/random.ts';
import { type Tensor, tf } from '../engine/tf.ts';
import { forward } from '../model/forward.ts';
import { isFrozenLayer, trainableTensors, trainedStatistics } from '../model/freeze.ts';
import type { ModelSpec, TensorSpec } from '../model/parameters.ts';
import { type LabelTensors, rightAnswers, singleLabels, targetsOf } from './batch-labels.ts';
import { type CustomLossFunction, lossPerSample } from './loss.ts';
import { lossNumberCount, requireMixable } from './loss-spec.ts';
import type { ProgramSpec, TrainingSpec } from './step-spec.ts';

/** Per-channel normalisation of RGB 0..255: (x/255 - mean) / std. */
export interface Preprocessing {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Scales images to the model's input size where they have another, then normalises them. */
export function preprocess(images: Tensor, preprocessing: Preprocessing, input: ImageShape): Tensor {
  return normalise(scaleTo(images, input), preprocessing);
}

export function scaleTo(images: Tensor, { height, width }: ImageShape): Tensor {
  if (images.shape[1] === height && images.shape[2] === width) return images;
  return tf.image.resizeBilinear(images as tf.Tensor4D, [height, width], false, true);
}

export function normalise(images: Tensor, { mean, std }: Preprocessing): Tensor {
  const scale = tf.tensor1d(std.map((deviation) => 1 / (255 * deviation)));
  const shift = tf.tensor1d(std.map((deviation, channel) => -(mean[channel] as number) / deviation));
  return tf.add(tf.mul(images, scale), shift);
}

/** The functions of custom terms, by digest. */
export type CustomLosses = ReadonlyMap<string, CustomLossFunction>;

/** What a step computes the gradients of, in which order, derived once from the program's specification. */
export interface GradientPlan {
  readonly model: ModelSpec;
  readonly preprocessing: Preprocessing;
  readonly training: TrainingSpec;
  /** The parameters that move. */
  readonly trainable: readonly TensorSpec[];
  /** Moving statistics of the batch norms that look at the batch. */
  readonly statistics: readonly TensorSpec[];
  /** Length of the vector of sums. */
  readonly vectorSize: number;
  readonly customLosses: CustomLosses;
}

/** Numbers at the end of the vector: the batch's loss sum and its correct answers. */
export const TAIL_NUMBERS = 2;

/** @throws as `requireMixable` does */
export function gradientPlan(spec: ProgramSpec, training: TrainingSpec, customLosses: CustomLosses): GradientPlan {
  const { model, preprocessing } = spec;
  const { loss, mixed, classWeights } = training;
  if (mixed === true) requireMixable(loss.terms);
  invariant(classWeights === undefined || classWeights.length === model.classes, 'every output has a weight');
  const trainable = trainableTensors(model, training.fineTune);
  const statistics = trainedStatistics(model, training.fineTune);
  const vectorSize = sizeOf(trainable) + sizeOf(statistics) + TAIL_NUMBERS;
  return { model, preprocessing, training, trainable, statistics, vectorSize, customLosses };
}

export function sizeOf(tensors: readonly TensorSpec[]): number {
  return tensors.reduce((total, { size }) => total + size, 0);
}

/** Length of `BatchTensors.numbers`: those of the loss, then the factor by which the loss is scaled. */
export function countStepNumbers({ loss }: TrainingSpec): number {
  return lossNumberCount(loss.terms) + 1;
}

export interface BatchTensors extends LabelTensors {
  /** RGB 0..255, [batch, height, width, channels]. */
  readonly images: Tensor;
  readonly teacherLogits: Tensor | null;
  /** See `LossInputs`. */
  readonly teacherTails: Tensor | null;
  /** What changes from step to step, [countStepNumbers]. */
  readonly numbers: Tensor;
  /** int32 [2]: keys what is random. */
  readonly key: Tensor;
}

/**
 * The micro-batch's *sums*: of every trained parameter the gradient of the loss summed over samples, batch-norm statistics
 * times the count, loss sum, correct answers; in this order. Sums of lanes add up; dividing by the total count gives the
 * global batch's means.
 *
 * The loss is multiplied by a scale before the backward pass and the gradient divided by it afterwards, which keeps small
 * gradients from vanishing where the pass computes in float16 (Micikevicius et al. 2018, section 3.2).
 *
 * @param state parameters and moving statistics by name
 */
export function microBatchSums(plan: GradientPlan, state: ReadonlyMap<string, Tensor>, batch: BatchTensors): Tensor[] {
  const { model, preprocessing, training, trainable } = plan;
  const images = preprocess(batch.images, preprocessing, model.input);
  const lossNumbers = lossNumberCount(training.loss.terms);
  const numbers = tf.slice(batch.numbers, [0], [lossNumbers]);
  const scale = tf.reshape(tf.slice(batch.numbers, [lossNumbers], [1]), []);
  const isScaled = training.precision === 'float16';
  const { teacherLogits, teacherTails } = batch;
  const unlabelled = training.unlabelled === true;
  const labels = singleLabels(batch, unlabelled);
  let statistics: readonly Tensor[] = [];
  let logits: Tensor | undefined;
  const scaledLoss = (...weights: Tensor[]): tf.Scalar => {
    const trained = trainable.map(({ name }, index) => [name, weights[index] as Tensor] as const);
    const isFrozen = (layer: string) => isFrozenLayer(model, training.fineTune, layer);
    const result = forward(model, new Map([...state, ...trained]), images, { training: true, isFrozen });
    statistics = result.statistics;
    logits = tf.keep(result.logits);
    const { targets, hasLabel } = targetsOf(batch, labels, model.classes, unlabelled);
    const classWeights = training.classWeights === undefined ? null : tf.tensor1d([...training.classWeights]);
    const teacher = { teacherLogits, teacherTails };
    const inputs = { logits: result.logits, labels, targets, hasLabel, classWeights, ...teacher };
    const sum = tf.sum(lossPerSample(training.loss.terms, numbers as tf.Tensor1D, inputs, plan.customLosses));
    return (isScaled ? tf.mul(sum, scale) : sum) as tf.Scalar;
  };
  const weights = trainable.map(({ name }) => state.get(name) as Tensor);
  const { value, grads } = withRandomKey(batch.key, () => tf.valueAndGrads(scaledLoss)(weights));
  const count = batch.images.shape[0] as number;
  const predicted = tf.argMax(logits as unknown as tf.Tensor2D, 1);
  const right = unlabelled && teacherLogits !== null ? rightAnswers(labels, teacherLogits) : labels;
  const correct = tf.sum(tf.cast(tf.equal(predicted, right), 'float32'));
  const unscaled = (tensor: Tensor) => (isScaled ? tf.div(tensor, scale) : tensor);
  const sums = [
    ...grads.map(unscaled),
    ...statistics.map((statistic) => tf.mul(statistic, count)),
    unscaled(value),
    correct,
  ];
  tf.dispose([...statistics, logits as unknown as Tensor]);
  return sums;
}
