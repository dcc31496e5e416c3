/**
 * Distillation losses as weighted sums of terms. A term is computed per sample; the loss of a batch is the mean over its
 * samples, which data-parallel workers form from sums and counts.
 */
import { invariant, StillhouseError } from '../base/errors.ts';
import { type Tensor, tf } from '../engine/tf.ts';
import { type Scheduled, scheduledValue } from './loss-schedule.ts';
import { type BuiltInTerm, builtInTerm, type CommonTerm, type TermInputs } from './loss-terms.ts';

/** A term whose function came with the job: the digest names it. */
export interface CustomTerm extends CommonTerm {
  readonly type: 'custom';
  readonly digest: string;
  /** For messages. */
  readonly name: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly needsTeacher: boolean;
}

export type LossTerm = BuiltInTerm | CustomTerm;

export interface Loss {
  readonly terms: readonly LossTerm[];
  /** Of the terms that have none of their own. */
  readonly temperature: Scheduled;
}

export interface LossInputs extends Omit<TermInputs, 'temperature'> {
  /** int32 [batch]. */
  readonly labels: Tensor;
}

/** A custom term's function, by its digest in the maps that hold them. @returns one value per sample, [batch] */
export type CustomLossFunction = (inputs: CustomLossInputs) => Tensor;

export interface CustomLossInputs {
  readonly logits: Tensor;
  readonly teacherLogits: Tensor | null;
  readonly labels: Tensor;
  readonly temperature: Tensor;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** Whether any term looks at the teacher. */
export function needsTeacher(terms: readonly LossTerm[]): boolean {
  return terms.some((term) => (term.type === 'custom' ? term.needsTeacher : term.type !== 'cross-entropy'));
}

/** The terms with which the control arm trains: the labels alone, at full weight. */
export const CONTROL_TERMS: readonly LossTerm[] = [{ type: 'cross-entropy', weight: 1 }];

const NUMBERS_PER_TERM = 2;

/** Length of `lossNumbers`. */
export function lossNumberCount(terms: readonly LossTerm[]): number {
  return NUMBERS_PER_TERM * terms.length;
}

/**
 * The numbers of one step, which a compiled step is fed: weight and temperature, term by term.
 * @param step 0-based
 */
export function lossNumbers({ terms, temperature }: Loss, step: number, totalSteps: number): Float32Array {
  const numbers = terms.flatMap((term) => [
    scheduledValue(term.weight, step, totalSteps),
    scheduledValue(term.temperature ?? temperature, step, totalSteps),
  ]);
  return Float32Array.from(numbers);
}

/**
 * Weighted sum of the terms, one value per sample, [batch].
 * @param numbers `lossNumbers` as a tensor
 * @param customs the functions of the custom terms, by digest
 * @throws INVALID_ARGUMENT when a term lacks the teacher, or a custom function fails or answers another shape
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
    const value =
      term.type === 'custom'
        ? customTerm(term, inputs, temperature, customs)
        : builtInTerm(term, { ...inputs, temperature });
    return tf.mul(weight, value);
  });
  return weighted.length === 1 ? (weighted[0] as Tensor) : tf.addN(weighted);
}

function customTerm(
  { digest, name, parameters, needsTeacher }: CustomTerm,
  { logits, labels, teacherLogits }: LossInputs,
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
  return compute({ logits, labels, teacherLogits: needsTeacher ? teacherLogits : null, temperature, parameters });
}
