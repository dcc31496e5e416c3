/** Batch normalisation over batch, height and width (Ioffe and Szegedy 2015) in tfjs's operations. */
import tf from '@tensorflow/tfjs';
import type { Tensor } from '../tf.ts';

/** Per channel, [channels]; the variance without Bessel's correction. */
export interface Statistics {
  readonly mean: Tensor;
  readonly variance: Tensor;
}

/**
 * The outputs of FusedBatchNormV3: the value, the batch's mean and its variance with Bessel's correction, then what the
 * gradient needs: mean and variance once more, and an empty third.
 * @param x [batch, height, width, channels] @param given null: those of the batch
 */
export function normalise(
  x: Tensor,
  scale: Tensor,
  offset: Tensor,
  given: Statistics | null,
  epsilon: number,
): Tensor[] {
  const { mean, variance } = given ?? tf.moments(rowsOf(x), 0);
  const y = tf.batchNorm(
    x,
    mean as tf.Tensor1D,
    variance as tf.Tensor1D,
    offset as tf.Tensor1D,
    scale as tf.Tensor1D,
    epsilon,
  );
  const count = x.size / (x.shape.at(-1) as number);
  const corrected = tf.mul(variance, count / Math.max(1, count - 1));
  return [y, tf.clone(mean), corrected, tf.clone(mean), tf.clone(variance), tf.scalar(0)];
}

/**
 * Gradients with respect to x, scale and offset.
 * @param ofBatch whether the statistics are the batch's, and so move with x
 */
export function normaliseGradient(
  dy: Tensor,
  x: Tensor,
  scale: Tensor,
  { mean, variance }: Statistics,
  { epsilon, ofBatch }: { readonly epsilon: number; readonly ofBatch: boolean },
): Tensor[] {
  const slopes = rowsOf(dy);
  const inverse = tf.rsqrt(tf.add(variance, epsilon));
  const normal = tf.mul(tf.sub(rowsOf(x), mean), inverse);
  const ofOffset = tf.sum(slopes, 0);
  const ofScale = tf.sum(tf.mul(slopes, normal), 0);
  const count = slopes.shape[0] as number;
  const moved = tf.add(tf.div(ofOffset, count), tf.mul(normal, tf.div(ofScale, count)));
  const ofX = tf.mul(tf.mul(scale, inverse), ofBatch ? tf.sub(slopes, moved) : slopes);
  return [tf.reshape(ofX, x.shape), ofScale, ofOffset];
}

/** All places below each other, [places, channels]. */
function rowsOf(x: Tensor): tf.Tensor2D {
  return tf.reshape(x, [-1, x.shape.at(-1) as number]);
}
