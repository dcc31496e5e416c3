/**
 * Softened probabilities. They are decoded to T·log p, the logits but for a constant of the row: a softmax at T gives p again.
 * No loss that looks at anything but softmaxes at T can take them.
 */
import { HALVES, halfBits } from '../../base/float16.ts';
import type { LogitsFormat, RowCodec } from './format.ts';
import { corruptLogit, corruptLogits, requireFiniteLogits } from './row-errors.ts';

/** In place of probability 0, whose logarithm is none: below it half precision rounds to 0. */
const FLOOR = 2 ** -25;
/** How far a row's sum may be from 1, beside what rounding does: each term keeps 11 bits, or is a multiple of 2^-24 where it is small. */
const SUM_TOLERANCE = 0.01;
const ROUNDING = 2 ** -25;
const ONE = halfBits(1);
/** Of the probability of every half up to 1, by its bits. */
const LOGARITHMS = Float64Array.from({ length: ONE + 1 }, (_, bits) =>
  Math.log(bits === 0 ? FLOOR : (HALVES[bits] as number)),
);

export const probabilityRows: RowCodec = {
  rowBytes: ({ columns }) => 2 * columns,
  encode(logits, format) {
    const { columns } = format;
    requireFiniteLogits(logits, columns);
    const temperature = temperatureOf(format);
    const halves = new Uint16Array(logits.length);
    const exponentials = new Float64Array(columns);
    for (let start = 0; start < logits.length; start += columns) {
      const sum = exponentiate(logits.subarray(start, start + columns), temperature, exponentials);
      for (let column = 0; column < columns; column++) {
        halves[start + column] = halfBits((exponentials[column] as number) / sum);
      }
    }
    return new Uint8Array(halves.buffer);
  },
  decode(bytes, format, where) {
    const { columns } = format;
    const temperature = temperatureOf(format);
    const halves = new Uint16Array(new Uint8Array(bytes).buffer);
    const logits = new Float32Array(halves.length);
    for (let start = 0; start < halves.length; start += columns) {
      let sum = 0;
      for (let at = start; at < start + columns; at++) {
        const bits = halves[at] as number;
        const probability = HALVES[bits] as number;
        // Negative ones and those that are not finite have larger bits than 1.
        if (bits > ONE) throw corruptLogit(where, at, columns, `the probability is ${probability}`);
        sum += probability;
        logits[at] = temperature * (LOGARITHMS[bits] as number);
      }
      if (Math.abs(sum - 1) > SUM_TOLERANCE + columns * ROUNDING) {
        throw corruptLogits(
          where,
          `row ${start / columns}: the probabilities of columns 0..${columns - 1} add up to ${sum}`,
        );
      }
    }
    return { logits, tails: null };
  },
};

function temperatureOf({ temperatures }: LogitsFormat): number {
  return temperatures[0] as number;
}

/** exp((z - the largest z) / T) of a row. @returns their sum */
function exponentiate(row: Float32Array, temperature: number, into: Float64Array): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let column = 0; column < row.length; column++) {
    if ((row[column] as number) > largest) largest = row[column] as number;
  }
  let sum = 0;
  for (let column = 0; column < row.length; column++) {
    const value = Math.exp(((row[column] as number) - largest) / temperature);
    into[column] = value;
    sum += value;
  }
  return sum;
}
