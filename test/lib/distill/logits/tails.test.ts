/** What the losses make of the logits that were left out: exact on the kept classes and all others together. */
import test from 'ava';
import { createRandom, type Random } from '../../../../lib/base/random.ts';
import {
  decodeRows,
  encodeRows,
  type LogitsFormat,
  type TeacherLogits,
} from '../../../../lib/distill/logits/format.ts';
import { filledLogits, tailLogits } from '../../../../lib/distill/logits/tails.ts';
import { TAIL } from '../../../../lib/distill/logits/top-k.ts';
import type { Loss } from '../../../../lib/distill/loss-spec.ts';
import { between, forCases } from '../../../helpers/property.ts';

const SEED = 77_120;

function softmax(row: ArrayLike<number>, T: number): number[] {
  const largest = Math.max(...Array.from(row));
  const exponentials = Array.from(row, (logit) => Math.exp((logit - largest) / T));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}

function sent(logits: Float32Array, columns: number, k: number, temperatures: readonly number[]): TeacherLogits {
  const format: LogitsFormat = { encoding: { topK: k }, columns, temperatures };
  return decodeRows(encodeRows(logits, format), logits.length / columns, format, 'a test');
}

/** Multiples of 1/16 within ±8: halves hold their differences exactly. */
function rows(random: Random, count: number): Float32Array {
  return Float32Array.from({ length: count }, () => (random.nextInt(257) - 128) / 16);
}

/** The probabilities of the kept classes, and of all others together. */
function bins(row: Float32Array, kept: readonly boolean[], T: number): number[] {
  const all = softmax(row, T);
  const others = all.reduce((sum, p, column) => (kept[column] === true ? sum : sum + p), 0);
  return [...all.filter((_, column) => kept[column]), others];
}

test('at every declared temperature the k + 1 probabilities are exact', async (t) => {
  await forCases(t, 40, (random) => {
    const columns = between(random, 3, 120);
    const k = between(random, 1, Math.min(16, columns - 1));
    const logits = rows(random, 4 * columns);
    const temperatures = [0.5, 1, 4, 8];
    const teacher = sent(logits, columns, k, temperatures);
    for (const T of temperatures) {
      const filled = filledLogits(teacher, T);
      for (let row = 0; row < 4; row++) {
        const at = (values: Float32Array) => values.subarray(row * columns, (row + 1) * columns);
        const kept = Array.from(at(teacher.logits), (logit) => logit !== TAIL);
        t.is(kept.filter(Boolean).length, k);
        const [wanted, found] = [bins(at(logits), kept, T), bins(at(filled), kept, T)];
        for (const [bin, p] of wanted.entries()) {
          t.true(Math.abs((found[bin] as number) - p) < 2e-6, `T=${T}: ${found[bin]} is ${p}`);
        }
      }
    }
  });
});

test('each term has the tail at its own temperature, and of a schedule at the step’s', (t) => {
  const random = createRandom(SEED);
  const teacher = sent(rows(random, 3 * 20), 20, 4, [1, 2, 3, 4]);
  const loss: Loss = {
    terms: [
      { type: 'kl', weight: 1 },
      { type: 'cross-entropy', weight: 1 },
      { type: 'soft-cross-entropy', weight: 1, temperature: { type: 'linear', from: 1, to: 4, steps: 4 } },
    ],
    temperature: 4,
  };
  const tailAt = (T: number, row: number) => {
    const filled = filledLogits(teacher, T).subarray(row * 20, (row + 1) * 20);
    return filled[teacher.logits.subarray(row * 20, (row + 1) * 20).indexOf(TAIL)];
  };
  for (const [step, T] of [1, 2, 3, 4, 4].entries()) {
    const tails = tailLogits(teacher, loss, step, 10) as Float32Array;
    t.is(tails.length, 9);
    for (const row of [0, 1, 2]) {
      t.is(tails[row * 3], tailAt(4, row));
      t.is(tails[row * 3 + 2], tailAt(T, row));
    }
  }
});

test('between declared temperatures the tail is near, beyond them it stays', async (t) => {
  await forCases(t, 20, (random) => {
    const columns = 100;
    const logits = Float32Array.from({ length: columns }, () => 2 * random.nextNormal());
    const at = (T: number, temperatures: readonly number[]) => {
      const teacher = sent(logits, columns, 8, temperatures);
      return filledLogits(teacher, T)[teacher.logits.indexOf(TAIL)] as number;
    };
    for (const T of [1.3, 2, 3.5]) {
      const [near, exact] = [at(T, [1, 4]), at(T, [T])];
      // Over 1/T the tail's even logit is convex or concave by its cumulants alone: its ends bound it.
      t.true(near <= at(1, [1, 4]) && near >= at(4, [1, 4]));
      t.true(Math.abs(near - exact) < 0.12 * Math.abs(at(1, [1]) - at(4, [4])), `T=${T}: ${near} is near ${exact}`);
    }
    t.is(at(0.5, [1, 4]), at(1, [1, 4]));
    t.is(at(9, [1, 4]), at(4, [1, 4]));
  });
});

test('where all logits are there, there is nothing to fill', (t) => {
  const teacher = { logits: Float32Array.of(TAIL, 1, 2), tails: null };
  t.is(filledLogits(teacher, 4), teacher.logits);
  t.is(tailLogits(teacher, { terms: [{ type: 'kl', weight: 1 }], temperature: 4 }, 0, 1), null);
});
