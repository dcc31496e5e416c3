/**
 * Distillation losses as weighted sums of terms (Hinton, Vinyals and Dean 2015, arXiv:1503.02531). A term is computed per
 * sample; the loss of a batch is the mean over its samples, which data-parallel workers form from sums and counts.
 */
import { StillhouseError } from '../base/errors.ts';
import { softmaxCrossEntropy } from '../engine/kernels.ts';
import { type Tensor, tf } from '../engine/tf.ts';

export type LossTermType = 'cross-entropy' | 'kl' | 'mse-logits';

export interface LossTerm {
  readonly type: LossTermType;
  readonly weight: number;
}

export interface LossInputs {
  /** Student, [batch, classes]. */
  readonly logits: Tensor;
  /** [batch, classes], one 1 per row. */
  readonly oneHot: Tensor;
  /** Teacher, gathered to the student's classes, [batch, classes]; null without a teacher. */
  readonly teacherLogits: Tensor | null;
  /** Scalar T > 0. */
  readonly temperature: Tensor;
}

/** Whether any term looks at the teacher. */
export function needsTeacher(terms: readonly LossTerm[]): boolean {
  return terms.some(({ type }) => type !== 'cross-entropy');
}

/** The terms with which the control arm trains: the labels alone, at full weight. */
export const CONTROL_TERMS: readonly LossTerm[] = [{ type: 'cross-entropy', weight: 1 }];

const termFunctions: Record<LossTermType, (inputs: LossInputs) => Tensor> = {
  'cross-entropy': ({ logits, oneHot }) => softmaxCrossEntropy(logits, oneHot),
  // T²·KL(p‖q) with p = softmax(teacher/T), q = softmax(student/T): the factor keeps gradients of one size as T grows
  // (section 2.1). Written as cross-entropy minus the entropy of p, which is constant for the student.
  kl: ({ logits, temperature, ...inputs }) => {
    const soft = tf.div(teacherOf(inputs), temperature);
    const probabilities = tf.softmax(soft);
    const entropy = tf.neg(tf.sum(tf.mul(probabilities, tf.logSoftmax(soft)), 1));
    const divergence = tf.sub(softmaxCrossEntropy(tf.div(logits, temperature), probabilities), entropy);
    return tf.mul(divergence, tf.square(temperature));
  },
  'mse-logits': ({ logits, ...inputs }) => tf.mean(tf.squaredDifference(logits, teacherOf(inputs)), 1),
};

function teacherOf({ teacherLogits }: Pick<LossInputs, 'teacherLogits'>): Tensor {
  if (teacherLogits !== null) return teacherLogits;
  throw new StillhouseError('INVALID_ARGUMENT', 'the loss has a term that needs teacher logits, and there are none');
}

/** Weighted sum of the terms, one value per sample, [batch]. @param weights one scalar tensor per term */
export function lossPerSample(terms: readonly LossTerm[], weights: readonly Tensor[], inputs: LossInputs): Tensor {
  const weighted = terms.map(({ type }, index) => tf.mul(weights[index] as Tensor, termFunctions[type](inputs)));
  return weighted.length === 1 ? (weighted[0] as Tensor) : tf.addN(weighted);
}
