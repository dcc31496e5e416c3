/** Several teachers' answers as one: against PyTorch, and against the formulas written out. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import type { Random } from '../../../../lib/base/random.ts';
import {
  decodeRows,
  encodeRows,
  type LogitsFormat,
  type TeacherLogits,
} from '../../../../lib/distill/logits/format.ts';
import { type Join, joinLogits } from '../../../../lib/distill/logits/join.ts';
import { between, forCases } from '../../../helpers/property.ts';

interface GoldenMeans {
  readonly columns: number;
  readonly temperature: number;
  readonly weights: readonly number[];
  readonly teachers: readonly (readonly number[])[];
  readonly logits: readonly number[];
  readonly probabilities: readonly number[];
}

const golden = JSON.parse(readFileSync(new URL('../../../goldens/logits.json', import.meta.url), 'utf8')) as {
  readonly means: readonly GoldenMeans[];
};

const nobody = () => {
  throw new Error('no row is asked about');
};

function softmax(row: ArrayLike<number>, T: number): number[] {
  const largest = Math.max(...Array.from(row));
  const exponentials = Array.from(row, (logit) => Math.exp((logit - largest) / T));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}

const raw = (logits: ArrayLike<number>): TeacherLogits => ({ logits: Float32Array.from(logits), tails: null });

for (const [index, { columns, temperature, weights, teachers, logits, probabilities }] of golden.means.entries()) {
  test(`means ${index}: those of PyTorch`, (t) => {
    const answers = teachers.map(raw);
    const context = { columns, temperature, teacherOfRow: nobody };
    const mean = joinLogits(answers, { combine: 'mean-logits', weights }, context);
    t.is(mean.tails, null);
    for (const [at, wanted] of logits.entries()) {
      t.true(Math.abs((mean.logits[at] as number) - wanted) <= 1e-6 * Math.max(1, Math.abs(wanted)));
    }
    const joined = joinLogits(answers, { combine: 'mean-probabilities', weights }, context).logits;
    t.true(joined.every(Number.isFinite), 'also where a probability underflows');
    for (let row = 0; row < joined.length / columns; row++) {
      const found = softmax(joined.subarray(row * columns, (row + 1) * columns), temperature);
      for (const [column, p] of found.entries()) {
        const wanted = probabilities[row * columns + column] as number;
        t.true(Math.abs(p - wanted) <= 1e-6, `${p} is ${wanted}`);
      }
    }
  });
}

function randomAnswers(random: Random, count: number, rows: number, columns: number): TeacherLogits[] {
  return Array.from({ length: count }, () =>
    raw(Array.from({ length: rows * columns }, () => between(random, 1, 4) * random.nextNormal())),
  );
}

const one = (combine: Join['combine'], count: number): Join => ({ combine, weights: new Array(count).fill(1) });

test('by class and by confidence, each row is one teacher’s', async (t) => {
  await forCases(t, 40, (random) => {
    const [count, rows, columns] = [between(random, 2, 4), between(random, 1, 6), between(random, 2, 7)];
    const temperature = [1, 4][random.nextInt(2)] as number;
    const answers = randomAnswers(random, count, rows, columns);
    const at = (index: number, row: number) =>
      (answers[index] as TeacherLogits).logits.subarray(row * columns, (row + 1) * columns);
    const asked = Array.from({ length: rows }, () => random.nextInt(count));
    const confident = asked.map((_, row) => {
      const largest = answers.map((_, index) => Math.max(...softmax(at(index, row), temperature)));
      return largest.indexOf(Math.max(...largest));
    });
    for (const [combine, chosen] of [
      ['by-class', asked],
      ['most-confident', confident],
    ] as const) {
      const context = { columns, temperature, teacherOfRow: (row: number) => asked[row] as number };
      const joined = joinLogits(answers, one(combine, count), context);
      t.is(joined.tails, null);
      t.deepEqual(
        [...joined.logits],
        chosen.flatMap((index, row) => [...at(index, row)]),
        combine,
      );
    }
  });
});

test('a row that was chosen brings its tails along, and they count for its confidence', async (t) => {
  await forCases(t, 30, (random) => {
    const [rows, columns, temperature] = [4, 30, 4];
    const format: LogitsFormat = { encoding: { topK: 3 }, columns, temperatures: [1, temperature] };
    const full = randomAnswers(random, 3, rows, columns);
    const answers = full.map(({ logits }) => decodeRows(encodeRows(logits, format), rows, format, 'a test'));
    const context = { columns, temperature, teacherOfRow: (row: number) => row % 3 };
    const confident = Array.from({ length: rows }, (_, row) => {
      // Told from all logits: at a declared temperature the largest probability is exact.
      const largest = full.map(({ logits }) =>
        Math.max(...softmax(logits.subarray(row * columns, (row + 1) * columns), temperature)),
      );
      return largest.indexOf(Math.max(...largest));
    });
    for (const [combine, chosen] of [
      ['by-class', [0, 1, 2, 0]],
      ['most-confident', confident],
    ] as const) {
      const joined = joinLogits(answers, one(combine, 3), context);
      t.deepEqual(joined.tails?.temperatures, [1, temperature]);
      for (const [row, index] of chosen.entries()) {
        const { logits, tails } = answers[index] as TeacherLogits;
        const part = (values: Float32Array | undefined, width: number) => values?.slice(row * width, (row + 1) * width);
        t.deepEqual(part(joined.logits, columns), part(logits, columns));
        t.deepEqual(part(joined.tails?.values, 2), part(tails?.values, 2));
      }
    }
  });
});

test('one teacher’s answer is the answer', (t) => {
  const [answer] = [raw([1, 2, 3])];
  const context = { columns: 3, temperature: 4, teacherOfRow: nobody };
  for (const combine of ['mean-logits', 'mean-probabilities', 'by-class', 'most-confident'] as const) {
    t.is(joinLogits([answer], one(combine, 1), context), answer);
  }
});

test('weights need not add up to 1, and of equals the first is chosen', (t) => {
  const answers = [raw([0, 2]), raw([4, 6])];
  const context = { columns: 2, temperature: 1, teacherOfRow: nobody };
  t.deepEqual([...joinLogits(answers, { combine: 'mean-logits', weights: [30, 10] }, context).logits], [1, 3]);
  t.deepEqual([...joinLogits(answers, one('most-confident', 2), context).logits], [0, 2]);
});
