/**
 * Distillation losses as weighted sums of terms. A term is computed per sample; the loss of a batch is the mean over its
 * samples, which data-parallel workers form from sums and counts.
 */
import { invariant, StillhouseError } from '../base/errors.ts';
import { type Tensor, tf } from '../engine/tf.ts';
import { TAIL } from './logits/top-k.ts';
import { type CustomTerm, type LossTerm, NUMBERS_PER_TERM, needsLabels, needsTeacher } from './loss-spec.ts';
import { builtInTerm, type TermInputs } from './loss-terms.ts';

export interface LossInputs extends Omit<TermInputs, 'temperature'> {
  /** int32 [batch]; below 0 where a sample has none; where they are mixed, the one with the larger share. */
  readonly labels: Tensor;
  /** 1 where a sample has a label, else 0, [batch]; null where all have one. */
  readonly hasLabel?: Tensor | null;
  /** What the teacher's logits count as in each term where they are `TAIL`, [batch, terms]; null where all are there. */
  readonly teacherTails?: Tensor | null;
}

/** A custom term's function, by its digest in the maps that hold them. @returns one value per sample, [batch] */
export type CustomLossFunction = (inputs: CustomLossInputs) => Tensor;

export interface CustomLossInputs {
  readonly logits: Tensor;
  readonly teacherLogits: Tensor | null;
  readonly labels: Tensor;
  readonly targets: Tensor;
  readonly temperature: Tensor;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/**
 * Weighted sum of the terms, one value per sample, [batch].
 * @param numbers `lossNumbers` as a tensor
 * @param customs the functions of the custom terms, by digest
 * @throws INVALID_ARGUMENT when a term lacks the teacher or logits of it, or a custom function fails or answers another shape
 */
export function lossPerSample(
  terms: readonly LossTerm[],
  numbers: Tensor,
  inputs: LossInputs,
  customs: ReadonlyMap<string, CustomLossFunction> = new Map(),
): Tensor {
  const scalars = tf.unstack(numbers);
  const weighted = terms.map((term, index) => {
    const [weight, temperature] = scalars.slice(NUMBERS_PER_TERM * index) as [Tensor, Tensor];
    const seen = { ...inputs, teacherLogits: teacherOfTerm(term, index, inputs) };
    const value =
      term.type === 'custom'
        ? customTerm(term, seen, temperature, customs)
        : builtInTerm(term, { ...seen, temperature });
    const { hasLabel } = inputs;
    return tf.mul(weight, hasLabel && needsLabels(term) ? tf.mul(value, hasLabel) : value);
  });
  return weighted.length === 1 ? (weighted[0] as Tensor) : tf.addN(weighted);
}

/**
 * The teacher's logits as a term sees them: those that were left out all the same, as the tail at the term's temperature has it.
 * A custom term gets them so too.
 */
function teacherOfTerm(term: LossTerm, index: number, { teacherLogits, teacherTails }: LossInputs): Tensor | null {
  if (teacherLogits === null || !teacherTails || !needsTeacher([term])) return teacherLogits;
  if (term.type === 'mse-logits') {
    throw new StillhouseError(
      'INVALID_ARGUMENT',
      'mse-logits needs all logits of the teacher, and topK leaves some out',
      {
        field: 'distill.loss',
        hint: 'take a loss of softmaxes, e.g. kl, or raw logits for distill.logits',
      },
    );
  }
  const tail = tf.slice(teacherTails as tf.Tensor2D, [0, index], [-1, 1]);
  const left = tf.cast(tf.equal(teacherLogits, TAIL), 'float32');
  return tf.add(tf.mul(teacherLogits, tf.sub(1, left)), tf.mul(tail, left));
}

function customTerm(
  { digest, name, parameters, needsTeacher }: CustomTerm,
  { logits, labels, targets, teacherLogits }: LossInputs,
  temperature: Tensor,
  customs: ReadonlyMap<string, CustomLossFunction>,
): Tensor {
  const compute = customs.get(digest);
  invariant(compute !== undefined, `the loss ${name} (${digest}) has been loaded`);
  if (needsTeacher && teacherLogits === null) {
    throw new StillhouseError('INVALID_ARGUMENT', `the loss ${name} needs teacher logits, and there are none`, {
      hint: 'a loss of the labels alone says so: export const needs = { teacher: false }',
    });
  }
  const teacher = needsTeacher ? teacherLogits : null;
  return compute({ logits, labels, targets, teacherLogits: teacher, temperature, parameters });
}
