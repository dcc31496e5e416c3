/**
 * What a loss of your own is: a module whose default export is a pure function of the student's logits, the teacher's logits,
 * the labels and its parameters. Import these types with `import type`; the module itself gets everything as arguments.
 */
import type { tf } from '../engine/tf.ts';

/** TensorFlow.js. Its random operations draw numbers that follow from the job's seed, the step and the lane. */
export type LossTf = typeof tf;

export interface LossArguments<Parameters = Readonly<Record<string, unknown>>> {
  readonly tf: LossTf;
  /** The student's raw logits, float32 [batch, classes]. The gradient is taken with respect to them. */
  readonly logits: tf.Tensor2D;
  /** The teacher's raw logits, in the order of the student's classes, float32 [batch, classes]. */
  readonly teacherLogits: tf.Tensor2D;
  /**
   * The student's class numbers, int32 [batch]; -1 for an image whose label the job does not look at. Of a mixed image, the
   * one with the larger share.
   */
  readonly labels: tf.Tensor1D;
  /** The labels as shares of the classes, float32 [batch, classes]: of a mixed image both; 0 for one without a label. */
  readonly targets: tf.Tensor2D;
  /** The term's temperature, or else the job's; float32 scalar > 0. */
  readonly temperature: tf.Scalar;
  /** As the job file gives them. */
  readonly parameters: Parameters;
}

/** For a loss with `export const needs = { teacher: false }`. */
export type LabelLossArguments<Parameters = Readonly<Record<string, unknown>>> = Omit<
  LossArguments<Parameters>,
  'teacherLogits'
>;

/**
 * One value per sample, [batch]; the loss is their mean over the global batch, times the term's weight. Runs once per batch
 * size, to be compiled: what it computes in JavaScript is decided then, and it must not read a tensor's values.
 */
export type LossFunction<Parameters = Readonly<Record<string, unknown>>> = (
  args: LossArguments<Parameters>,
) => tf.Tensor;

/** The optional export `needs`. */
export interface LossNeeds {
  /** False: the loss is a function of the labels alone, and gets no `teacherLogits`. Default true. */
  readonly teacher?: boolean;
}
