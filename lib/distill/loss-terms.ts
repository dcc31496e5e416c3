/**
 * The loss terms that come with the product. Each is computed per sample, [batch]; the gradient flows to the student's
 * logits. `temperature` T softens both sides: p = softmax(teacher / T), q = softmax(student / T).
 */
import { StillhouseError } from '../base/errors.ts';
import { softmaxCrossEntropy } from '../engine/kernels.ts';
import { type Tensor, tf } from '../engine/tf.ts';
import type { Scheduled } from './loss-schedule.ts';

/** What every term has beside its own parameters. */
export interface CommonTerm {
  readonly weight: Scheduled;
  /** Instead of the loss's own temperature. */
  readonly temperature?: Scheduled | undefined;
}

/**
 * Cross-entropy with the labels: -Σ w·y·log softmax(s), w the class weights. As PyTorch's with a `weight` and probabilities for
 * targets: its mean is over the samples. (With class numbers PyTorch divides by the sum of their weights.)
 */
export interface CrossEntropyTerm extends CommonTerm {
  readonly type: 'cross-entropy';
  /** Share of the target that is spread evenly over all classes, PyTorch's `label_smoothing`; default 0. */
  readonly smoothing?: number | undefined;
}

/** T²·KL(p‖q), Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2.1. */
export interface KlTerm extends CommonTerm {
  readonly type: 'kl';
  /** `seed-004`: KL(p‖q) without T², divided by the number of classes, as PyTorch's KLDivLoss averages by default. */
  readonly convention?: 'seed-004' | undefined;
}

/** Mean over the classes of the squared difference of the logits, which are not softened. */
export interface MseLogitsTerm extends CommonTerm {
  readonly type: 'mse-logits';
}

/** Mean over the classes of (p - q)². */
export interface MseProbabilitiesTerm extends CommonTerm {
  readonly type: 'mse-probabilities';
}

/** T² times the cross-entropy of q against p: the gradient of `kl`, and the entropy of p more in value. */
export interface SoftCrossEntropyTerm extends CommonTerm {
  readonly type: 'soft-cross-entropy';
}

/** Decoupled distillation, Zhao et al. 2022, arXiv:2203.08679: T²·(alpha·TCKD + beta·NCKD), equation 7. */
export interface DkdTerm extends CommonTerm {
  readonly type: 'dkd';
  /** Of the target class against all others. */
  readonly alpha: number;
  /** Of the distribution among the other classes. */
  readonly beta: number;
}

/**
 * Relations instead of values, Huang et al. 2022, arXiv:2205.10536: T²·(beta·inter + gamma·intra), both 1 - Pearson's
 * correlation of p and q: `inter` along a sample's classes, `intra` along a class's samples, averaged over the classes. The
 * batch's one `intra` counts for each of its samples.
 */
export interface DistTerm extends CommonTerm {
  readonly type: 'dist';
  readonly beta: number;
  readonly gamma: number;
}

export type BuiltInTerm =
  | CrossEntropyTerm
  | KlTerm
  | MseLogitsTerm
  | MseProbabilitiesTerm
  | SoftCrossEntropyTerm
  | DkdTerm
  | DistTerm;

export interface TermInputs {
  /** Student, [batch, classes]. */
  readonly logits: Tensor;
  /** [batch, classes]: what of each sample has which label. One 1 per row unless labels are mixed; 0 where there is none. */
  readonly targets: Tensor;
  /** Of the classes in `cross-entropy`, [classes]; null where all are 1. */
  readonly classWeights?: Tensor | null;
  /** Teacher, gathered to the student's classes, [batch, classes]; null without a teacher. */
  readonly teacherLogits: Tensor | null;
  /** Scalar T > 0. */
  readonly temperature: Tensor;
}

/** One value per sample, [batch]. */
export function builtInTerm(term: BuiltInTerm, inputs: TermInputs): Tensor {
  const { logits, targets, temperature } = inputs;
  if (term.type === 'cross-entropy') return crossEntropy(term, inputs);
  const teacher = teacherOf(inputs);
  if (term.type === 'mse-logits') return tf.mean(tf.squaredDifference(logits, teacher), 1);
  const student = tf.div(logits, temperature);
  const soft = tf.div(teacher, temperature);
  const scaled = (value: Tensor) => tf.mul(value, tf.square(temperature));
  switch (term.type) {
    case 'kl': {
      const divergence = klDivergence(soft, student);
      return term.convention === 'seed-004' ? tf.div(divergence, classesOf(logits)) : scaled(divergence);
    }
    case 'mse-probabilities':
      return tf.mean(tf.squaredDifference(tf.softmax(student), tf.softmax(soft)), 1);
    case 'soft-cross-entropy':
      return scaled(softmaxCrossEntropy(student, tf.softmax(soft)));
    case 'dkd':
      return scaled(decoupled(term, soft, student, targets));
    case 'dist':
      return scaled(relational(term, tf.softmax(soft), tf.softmax(student)));
  }
}

function teacherOf({ teacherLogits }: Pick<TermInputs, 'teacherLogits'>): Tensor {
  if (teacherLogits !== null) return teacherLogits;
  throw new StillhouseError('INVALID_ARGUMENT', 'the loss has a term that needs teacher logits, and there are none');
}

function classesOf(logits: Tensor): number {
  return logits.shape[1] as number;
}

function crossEntropy({ smoothing = 0 }: CrossEntropyTerm, { logits, targets, classWeights }: TermInputs): Tensor {
  const smooth = smoothed(targets, smoothing);
  if (!classWeights) return softmaxCrossEntropy(logits, smooth);
  // The kernel's gradient holds for targets that add up to 1 alone, and weighted ones do not.
  return tf.neg(tf.sum(tf.mul(tf.mul(smooth, classWeights), tf.logSoftmax(logits)), 1));
}

function smoothed(targets: Tensor, smoothing: number): Tensor {
  if (smoothing === 0) return targets;
  return tf.add(tf.mul(targets, 1 - smoothing), smoothing / classesOf(targets));
}

/**
 * KL(softmax(teacher) ‖ softmax(student)) per row, written as cross-entropy minus the entropy of the teacher, which is
 * constant for the student: the gradient is the cross-entropy kernel's.
 */
function klDivergence(teacher: Tensor, student: Tensor): Tensor {
  const probabilities = tf.softmax(teacher);
  const entropy = tf.neg(tf.sum(tf.mul(probabilities, tf.logSoftmax(teacher)), 1));
  return tf.sub(softmaxCrossEntropy(student, probabilities), entropy);
}

/** Takes a class out of a softmax exactly: exp underflows to 0 in float32, whatever the other logits. */
const EXCLUDED = 1e9;

/**
 * The target class against the rest is the softmax of two logits, its own and the log-sum-exp of the others: so both parts
 * are KL divergences of logits, and no probability is ever divided or clamped.
 */
function decoupled({ alpha, beta }: DkdTerm, teacher: Tensor, student: Tensor, oneHot: Tensor): Tensor {
  const mask = tf.mul(oneHot, EXCLUDED);
  const [teacherOthers, studentOthers] = [tf.sub(teacher, mask), tf.sub(student, mask)];
  const binary = (logits: Tensor, others: Tensor) =>
    tf.stack([tf.sum(tf.mul(logits, oneHot), 1), tf.logSumExp(others, 1)], 1);
  const target = klDivergence(binary(teacher, teacherOthers), binary(student, studentOthers));
  const others = klDivergence(teacherOthers, studentOthers);
  return tf.add(tf.mul(target, alpha), tf.mul(others, beta));
}

/** The paper's code adds this to the product of the norms. */
const PEARSON_EPSILON = 1e-8;
/** Keeps the slope of the root finite where a row is constant; its correlation is 0 then. */
const SQUARES_MIN = 1e-24;

function relational({ beta, gamma }: DistTerm, teacher: Tensor, student: Tensor): Tensor {
  const inter = tf.sub(1, correlation(teacher, student, 1));
  const intra = tf.sub(1, tf.mean(correlation(teacher, student, 0)));
  return tf.add(tf.mul(inter, beta), tf.mul(intra, gamma));
}

/** Pearson's correlation of two matrices along an axis. */
function correlation(a: Tensor, b: Tensor, axis: number): Tensor {
  const centred = (x: Tensor) => tf.sub(x, tf.mean(x, axis, true));
  const norm = (x: Tensor) => tf.sqrt(tf.maximum(tf.sum(tf.square(x), axis), SQUARES_MIN));
  const [x, y] = [centred(a), centred(b)];
  return tf.div(tf.sum(tf.mul(x, y), axis), tf.add(tf.mul(norm(x), norm(y)), PEARSON_EPSILON));
}
