/** What a loss is made of: its terms, what they look at, and the numbers that steps are fed. No tensor is touched here. */
import { StillhouseError } from '../base/errors.ts';
import { type Scheduled, scheduledValue } from './loss-schedule.ts';
import type { BuiltInTerm, CommonTerm } from './loss-terms.ts';

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

/** Whether any term looks at the teacher. */
export function needsTeacher(terms: readonly LossTerm[]): boolean {
  return terms.some((term) => (term.type === 'custom' ? term.needsTeacher : term.type !== 'cross-entropy'));
}

/** Whether a built-in term looks at labels: it then counts nothing for a sample that has none. */
export function needsLabels(term: LossTerm): boolean {
  return term.type === 'cross-entropy' || term.type === 'dkd';
}

/** @throws INVALID_ARGUMENT when a built-in term needs one label per sample, and labels come mixed */
export function requireMixable(terms: readonly LossTerm[]): void {
  if (!terms.some(({ type }) => type === 'dkd')) return;
  const message = 'dkd needs one label for each image, and mixed images have two';
  throw new StillhouseError('INVALID_ARGUMENT', message, {
    field: 'distill.loss',
    hint: 'take kl, or leave mixup and cutmix out of data.views',
  });
}

/** The terms with which the control arm trains: the labels alone, at full weight. */
export const CONTROL_TERMS: readonly LossTerm[] = [{ type: 'cross-entropy', weight: 1 }];

/** Weight and temperature. */
export const NUMBERS_PER_TERM = 2;

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
