/**
 * A loss of one's own: the Jensen-Shannon divergence of teacher and student (Lin 1991), softened at T. Unlike KL it is
 * bounded, so that a sample on which the teacher is confidently wrong cannot dominate a batch.
 *
 * examples/custom-loss.yaml trains with it; docs/losses.md tells what such a module may do.
 */
import type { LossArguments } from 'stillhouse/loss';

interface Parameters {
  /** Share of the teacher in the mixture that both are compared with, in (0, 1): near 0 it acts as KL(teacher ‖ student). */
  readonly teacherShare: number;
}

/** Keeps the logarithm of a probability of 0 finite. */
const TINY = 1e-12;

export default function jensenShannon({
  tf,
  logits,
  teacherLogits,
  temperature,
  parameters,
}: LossArguments<Parameters>) {
  const { teacherShare } = parameters;
  if (!(teacherShare > 0 && teacherShare < 1)) throw new Error('teacherShare: expected a number between 0 and 1');
  const p = tf.softmax(tf.div(teacherLogits, temperature));
  const q = tf.softmax(tf.div(logits, temperature));
  const log = (x: ReturnType<typeof tf.softmax>) => tf.log(tf.add(x, TINY));
  const mixture = log(tf.add(tf.mul(p, teacherShare), tf.mul(q, 1 - teacherShare)));
  const toTeacher = tf.sum(tf.mul(p, tf.sub(log(p), mixture)), 1);
  const toStudent = tf.sum(tf.mul(q, tf.sub(log(q), mixture)), 1);
  const divergence = tf.add(tf.mul(toTeacher, teacherShare), tf.mul(toStudent, 1 - teacherShare));
  // T² as for KL: gradients keep one size as T grows.
  return tf.mul(divergence, tf.square(temperature));
}
