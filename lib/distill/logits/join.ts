/** How the answers of several teachers to the same samples become one. */
import { invariant } from '../../base/errors.ts';
import type { Tails, TeacherLogits } from './format.ts';
import { softSum } from './log-sum-exp.ts';
import { filledLogits } from './tails.ts';

export interface Join {
  /**
   * `mean-logits`, `mean-probabilities` (at the temperature): weighted means. `by-class`: one teacher answers, chosen by what the
   * sample is. `most-confident`: for each sample the teacher whose largest probability at the temperature is the largest, the
   * first of equals.
   */
  readonly combine: 'mean-logits' | 'mean-probabilities' | 'by-class' | 'most-confident';
  /** Of the means, one for each answer, above 0; they need not add up to 1. */
  readonly weights: readonly number[];
}

export interface JoinContext {
  /** Of a row. */
  readonly columns: number;
  readonly temperature: number;
  /** For `by-class`: whose answer a row takes, as a place in the list of answers. */
  readonly teacherOfRow: (row: number) => number;
}

/**
 * @param answers one of each teacher, the same rows and columns; all with tails at the same temperatures or all without, which
 *   means need
 * @returns in the place of one teacher's answer; after `mean-probabilities` T times their logarithms
 */
export function joinLogits(answers: readonly TeacherLogits[], join: Join, context: JoinContext): TeacherLogits {
  const [first] = answers;
  invariant(first !== undefined, 'there is an answer to join');
  if (answers.length === 1) return first;
  for (const { logits, tails } of answers) {
    invariant(logits.length === first.logits.length, 'all teachers answer the same rows and columns');
    invariant(tails?.temperatures.length === first.tails?.temperatures.length, 'all teachers answer in one format');
  }
  switch (join.combine) {
    case 'mean-logits':
      return meanLogits(answers, sharesOf(answers, join));
    case 'mean-probabilities':
      return meanProbabilities(answers, sharesOf(answers, join), context);
    case 'by-class':
      return chosenRows(answers, context, context.teacherOfRow);
    case 'most-confident':
      return chosenRows(answers, context, mostConfident(answers, context));
  }
}

/** The weights, so that they add up to 1. */
function sharesOf(answers: readonly TeacherLogits[], { weights }: Join): number[] {
  invariant(weights.length === answers.length, 'every answer has a weight');
  invariant(
    answers.every(({ tails }) => tails === null),
    'means are of logits that are all there',
  );
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

function meanLogits(answers: readonly TeacherLogits[], shares: readonly number[]): TeacherLogits {
  const sum = new Float64Array((answers[0] as TeacherLogits).logits.length);
  for (const [index, { logits }] of answers.entries()) {
    const share = shares[index] as number;
    for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] as number) + share * (logits[at] as number);
  }
  return { logits: Float32Array.from(sum), tails: null };
}

/** T·log Σ w·softmax(z / T), of exponents whose largest is taken out, so that no probability underflows to 0. */
function meanProbabilities(
  answers: readonly TeacherLogits[],
  shares: readonly number[],
  { columns, temperature }: JoinContext,
): TeacherLogits {
  const joined = new Float32Array((answers[0] as TeacherLogits).logits.length);
  const logShares = shares.map(Math.log);
  const exponents = new Float64Array(answers.length);
  for (let start = 0; start < joined.length; start += columns) {
    const rows = answers.map(({ logits }) => logits.subarray(start, start + columns));
    const sums = rows.map((row) => softSum(row, temperature));
    for (let column = 0; column < columns; column++) {
      let largest = Number.NEGATIVE_INFINITY;
      for (let index = 0; index < rows.length; index++) {
        const logit = (rows[index] as Float32Array)[column] as number;
        const exponent = (logShares[index] as number) + (logit - (sums[index] as number)) / temperature;
        exponents[index] = exponent;
        if (exponent > largest) largest = exponent;
      }
      let sum = 0;
      for (const exponent of exponents) sum += Math.exp(exponent - largest);
      joined[start + column] = temperature * (largest + Math.log(sum));
    }
  }
  return { logits: joined, tails: null };
}

/** For each row the answer of one teacher, with its tails. */
function chosenRows(
  answers: readonly TeacherLogits[],
  { columns }: JoinContext,
  teacherOfRow: (row: number) => number,
): TeacherLogits {
  const { logits, tails } = answers[0] as TeacherLogits;
  const joined = new Float32Array(logits.length);
  const temperatures = tails?.temperatures ?? [];
  const values = new Float32Array((logits.length / columns) * temperatures.length);
  for (let row = 0; row < logits.length / columns; row++) {
    const answer = answers[teacherOfRow(row)];
    invariant(answer !== undefined, `row ${row} has a teacher`);
    joined.set(rowOf(answer.logits, row, columns), row * columns);
    if (temperatures.length === 0) continue;
    values.set(rowOf((answer.tails as Tails).values, row, temperatures.length), row * temperatures.length);
  }
  return { logits: joined, tails: tails === null ? null : { temperatures, values } };
}

function rowOf(values: Float32Array, row: number, width: number): Float32Array {
  return values.subarray(row * width, (row + 1) * width);
}

function mostConfident(answers: readonly TeacherLogits[], { columns, temperature }: JoinContext) {
  const filled = answers.map((answer) => filledLogits(answer, temperature));
  return (row: number): number => {
    const spreads = filled.map((logits) => spread(rowOf(logits, row, columns), temperature));
    return spreads.indexOf(Math.min(...spreads));
  };
}

/** 1 by the largest probability. */
function spread(row: Float32Array, temperature: number): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const logit of row) if (logit > largest) largest = logit;
  let sum = 0;
  for (const logit of row) sum += Math.exp((logit - largest) / temperature);
  return sum;
}
