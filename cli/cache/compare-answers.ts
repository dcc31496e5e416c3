/** Whether a stored row is what the teacher answers: as near as its encoding allows. Pure. */
import type { LogitsFormat, TeacherLogits } from '../../lib/distill/logits/format.ts';
import { TAIL } from '../../lib/distill/logits/top-k.ts';

/**
 * What other devices, numbers of threads and sizes of batches make of the same weights: of how far a logit is below the largest,
 * and of the number itself, whose single precision keeps 2^-24.
 */
const NOISE = 1e-3;
const NOISE_OF_NUMBER = 2 ** -18;
/** How far the upper half of a row reaches down decides for its largest logits; in no softmax does more than this count. */
const DEPTH_MAX = 20;
const DEPTH_MIN = 1e-3;
/** How far below the largest `topK` can tell a kept logit: see `topKRows`. */
const DEEPEST = 65_504;

/**
 * Why they differ, in half a sentence; null when they agree.
 * @param stored one row
 * @param live the same row as it was computed now, all the teacher's logits
 */
export function differenceOf(
  { logits, tails }: TeacherLogits,
  live: Float32Array,
  { encoding }: LogitsFormat,
  classNames: readonly string[],
): string | null {
  const descending = Float32Array.from(live).sort().reverse();
  const largest = descending[0] as number;
  const middle = descending[descending.length >> 1] as number;
  const depth = Math.max(DEPTH_MIN, Math.min(largest - middle, DEPTH_MAX));
  const range = largest - (descending.at(-1) as number);
  const noise = (value: number) => NOISE * Math.max(largest - value, depth) + NOISE_OF_NUMBER * Math.abs(value);
  const allowed = (value: number) => noise(value) + encodingError(value, { encoding, largest, range });
  let leastKept = largest;
  let mostLeft = Number.NEGATIVE_INFINITY;
  for (const [column, value] of logits.entries()) {
    const now = live[column] as number;
    if (value === TAIL) {
      mostLeft = Math.max(mostLeft, now);
      continue;
    }
    leastKept = Math.min(leastKept, now);
    const expected = typeof encoding === 'string' ? now : Math.max(now, largest - DEEPEST);
    if (Math.abs(value - expected) > allowed(expected)) {
      return `${classNames[column]} is ${short(value)}, and the teacher answers ${short(now)}`;
    }
  }
  if (mostLeft > leastKept + 2 * noise(leastKept)) return 'other classes than those stored are the largest';
  for (const [index, T] of (tails?.temperatures ?? []).entries()) {
    const now = T * logSumExp(live.filter((_, column) => logits[column] === TAIL).map((logit) => logit / T));
    const value = tails?.values[index] as number;
    if (Math.abs(value - now) > noise(now)) return `the tail at T=${T} is ${short(value)}, and is now ${short(now)}`;
  }
  return null;
}

/** What rounding costs a logit at most. */
function encodingError(
  value: number,
  row: { readonly encoding: LogitsFormat['encoding']; readonly largest: number; readonly range: number },
): number {
  const { encoding, largest, range } = row;
  switch (encoding) {
    // Half a step from the least logit to the largest.
    case 'int8':
      return range / 255 / 2;
    case 'int4':
      return range / 15 / 2;
    case 'fp16':
      return Math.abs(value) * 2 ** -11 + 2 ** -25;
    case 'bf16':
      return Math.abs(value) * 2 ** -8;
    // Of topK how far it is below the largest is in half precision; of fp32 nothing is.
    default:
      return typeof encoding === 'string' ? 0 : (largest - value) * 2 ** -11 + 2 ** -25;
  }
}

function logSumExp(values: Float32Array): number {
  const most = Math.max(...values);
  return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
}

function short(value: number): string {
  return String(Number(value.toPrecision(4)));
}
