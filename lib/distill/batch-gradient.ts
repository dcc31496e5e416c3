/**
 * Forward, loss and backward of one micro-batch: the function that is traced into the step's graph, and that runs eagerly
 * to check the graph.
 */
import { type Tensor, tf } from '../engine/tf.ts';
import { forward } from '../model/forward.ts';
import type { ModelSpec } from '../model/parameters.ts';
import { type LossTerm, lossPerSample } from './loss.ts';

/** Per-channel normalisation of RGB 0..255: (x/255 - mean) / std. */
export interface Preprocessing {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

export function preprocess(images: Tensor, { mean, std }: Preprocessing): Tensor {
  const scale = tf.tensor1d(std.map((deviation) => 1 / (255 * deviation)));
  const shift = tf.tensor1d(std.map((deviation, channel) => -(mean[channel] as number) / deviation));
  return tf.add(tf.mul(images, scale), shift);
}

export interface MicroBatchTensors {
  /** RGB 0..255, [batch, height, width, channels]. */
  readonly images: Tensor;
  /** int32 [batch]. */
  readonly labels: Tensor;
  readonly teacherLogits: Tensor | null;
  readonly temperature: Tensor;
  /** One scalar per loss term. */
  readonly weights: readonly Tensor[];
}

/** Numbers at the end of the vector: the batch's loss sum and its correct answers. */
export const TAIL_NUMBERS = 2;

/**
 * The micro-batch's *sums*, as one vector: gradient of the loss summed over samples, batch-norm statistics times the
 * count, loss sum, correct answers. Sums of lanes add up; dividing by the total count gives the global batch's means.
 */
export function microBatchSums(
  model: ModelSpec,
  preprocessing: Preprocessing,
  terms: readonly LossTerm[],
  parameters: readonly Tensor[],
  batch: MicroBatchTensors,
): Tensor {
  const images = preprocess(batch.images, preprocessing);
  const oneHot = tf.cast(tf.oneHot(batch.labels as tf.Tensor1D, model.classes), 'float32');
  let statistics: readonly Tensor[] = [];
  let logits: Tensor | undefined;
  const lossSum = (...weights: Tensor[]): tf.Scalar => {
    const tensors = new Map(model.parameters.map(({ name }, index) => [name, weights[index] as Tensor]));
    const result = forward(model, tensors, images, true);
    statistics = result.statistics;
    logits = tf.keep(result.logits);
    const inputs = { logits, oneHot, teacherLogits: batch.teacherLogits, temperature: batch.temperature };
    return tf.sum(lossPerSample(terms, batch.weights, inputs)) as tf.Scalar;
  };
  const { value, grads } = tf.valueAndGrads(lossSum)([...parameters]);
  const count = batch.images.shape[0] as number;
  const flat = (tensor: Tensor) => tf.reshape(tensor, [tensor.size]);
  const predicted = tf.argMax(logits as unknown as tf.Tensor2D, 1);
  const correct = tf.sum(tf.cast(tf.equal(predicted, batch.labels), 'float32'));
  const sums = tf.concat([
    ...grads.map(flat),
    ...statistics.map((statistic) => tf.mul(flat(statistic), count)),
    flat(value),
    flat(correct),
  ]);
  tf.dispose([...statistics, logits as unknown as Tensor]);
  return sums;
}
