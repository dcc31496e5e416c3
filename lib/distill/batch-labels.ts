/** What the labels of a micro-batch say, mixed ones too, in the forms that losses and the count of right answers want. */
import { type Tensor, tf } from '../engine/tf.ts';

/** As `MicroBatch` has them, as tensors of [batch]. */
export interface LabelTensors {
  /** int32 */
  readonly labels: Tensor;
  /** See `MixedLabels`: int32 and float32. Null where labels are not mixed. */
  readonly mixed: { readonly labels: Tensor; readonly shares: Tensor } | null;
}

/**
 * One label per sample, int32 [batch]: of a mixed one that with the larger share. It has a label only if both have one, or all
 * of it is its own; else `NO_LABEL`.
 * @param unlabelled whether samples may come without a label
 */
export function singleLabels({ labels, mixed }: LabelTensors, unlabelled: boolean): Tensor {
  if (mixed === null) return labels;
  const larger = tf.where(tf.greaterEqual(mixed.shares, 0.5), labels, mixed.labels);
  if (!unlabelled) return larger;
  const isKnown = tf.logicalAnd(isLabel(labels), tf.logicalOr(isLabel(mixed.labels), tf.greaterEqual(mixed.shares, 1)));
  return tf.where(isKnown, larger, tf.fill(labels.shape, -1, 'int32'));
}

export interface Targets {
  /** Shares of the classes, [batch, classes]; 0 where there is no label. */
  readonly targets: Tensor;
  /** 1 where a sample has a label, else 0, [batch]; null where all have one. */
  readonly hasLabel: Tensor | null;
}

/** @param single what `singleLabels` answers */
export function targetsOf(batch: LabelTensors, single: Tensor, classes: number, unlabelled: boolean): Targets {
  const own = oneHot(batch.labels, classes);
  const hasLabel = unlabelled ? tf.cast(isLabel(single), 'float32') : null;
  const { mixed } = batch;
  if (mixed === null) return { targets: own, hasLabel };
  const share = tf.expandDims(mixed.shares, 1);
  const both = tf.add(tf.mul(own, share), tf.mul(oneHot(mixed.labels, classes), tf.sub(1, share)));
  return { targets: hasLabel === null ? both : tf.mul(both, tf.expandDims(hasLabel, 1)), hasLabel };
}

/** The labels, and where there is none the teacher's answer, int32 [batch]. */
export function rightAnswers(labels: Tensor, teacherLogits: Tensor): Tensor {
  const answers = tf.argMax(teacherLogits as tf.Tensor2D, 1);
  return tf.where(isLabel(labels), labels, answers);
}

function isLabel(labels: Tensor): Tensor {
  return tf.greaterEqual(labels, tf.scalar(0, 'int32'));
}

function oneHot(labels: Tensor, classes: number): Tensor {
  return tf.cast(tf.oneHot(labels as tf.Tensor1D, classes), 'float32');
}
