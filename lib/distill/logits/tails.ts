/**
 * The logits that `topK` has left out, as a loss sees them: all of a row the same, such that at the term's temperature T their
 * exponentials add up to what is known of them. At a declared T the probabilities of the kept classes, and of the others together,
 * are exact. Between two it is read off a straight line over 1/T: with K the cumulants' generating function of the logits z that
 * were left out, the mean of exp(z / T) is exp(K(1/T)), and T·K(1/T) = mean + variance / 2T + ….
 */

import { scheduledValue } from '../loss-schedule.ts';
import type { Loss } from '../loss-spec.ts';
import type { TeacherLogits } from './format.ts';
import { TAIL } from './top-k.ts';

/**
 * What every logit that was left out counts as, row-major [rows, the loss's terms]; null where all logits are there.
 * @param step 0-based
 */
export function tailLogits(
  teacher: TeacherLogits,
  { terms, temperature }: Loss,
  step: number,
  totalSteps: number,
): Float32Array | null {
  const at = tailReader(teacher);
  if (at === null) return null;
  const temperatures = terms.map((term) => scheduledValue(term.temperature ?? temperature, step, totalSteps));
  const filled = new Float32Array(at.rows * terms.length);
  for (const [term, T] of temperatures.entries()) {
    const logit = at.logit(T);
    for (let row = 0; row < at.rows; row++) filled[row * terms.length + term] = logit(row);
  }
  return filled;
}

/** All logits of the rows at one temperature: those that were left out are filled in. */
export function filledLogits(teacher: TeacherLogits, temperature: number): Float32Array {
  const at = tailReader(teacher);
  if (at === null) return teacher.logits;
  const logit = at.logit(temperature);
  const columns = teacher.logits.length / at.rows;
  return teacher.logits.map((value, index) => (value === TAIL ? logit(Math.floor(index / columns)) : value));
}

interface TailReader {
  readonly rows: number;
  /** At temperature T, what each logit of a row counts as that was left out. */
  logit(temperature: number): (row: number) => number;
}

function tailReader({ logits, tails }: TeacherLogits): TailReader | null {
  if (tails === null) return null;
  const { temperatures, values } = tails;
  const rows = values.length / temperatures.length;
  const share = Math.log(leftOut(logits.subarray(0, logits.length / rows)));
  /** As if all that were left out were the same. */
  const even = (row: number, index: number) =>
    (values[row * temperatures.length + index] as number) - (temperatures[index] as number) * share;
  const logit = (temperature: number) => {
    const { index, towardsNext } = placeOf(temperature, temperatures);
    if (towardsNext === 0) return (row: number) => even(row, index);
    return (row: number) => even(row, index) * (1 - towardsNext) + even(row, index + 1) * towardsNext;
  };
  return { rows, logit };
}

/** Every row has as many. */
function leftOut(row: Float32Array): number {
  let count = 0;
  for (const value of row) if (value === TAIL) count += 1;
  return count;
}

/** Where T is among ascending temperatures, along 1/T; beyond the ends it is at the end. */
function placeOf(temperature: number, temperatures: readonly number[]) {
  const above = temperatures.findIndex((declared) => declared >= temperature);
  if (above === -1) return { index: temperatures.length - 1, towardsNext: 0 };
  if (above === 0 || temperatures[above] === temperature) return { index: above, towardsNext: 0 };
  const [low, high] = [temperatures[above - 1] as number, temperatures[above] as number];
  return { index: above - 1, towardsNext: (1 / low - 1 / temperature) / (1 / low - 1 / high) };
}
