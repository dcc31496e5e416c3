import test from 'ava';
import type { Random } from '../../../lib/base/random.ts';
import { combineMaxSoftmax, type LegLogits } from '../../../services/router/combine.ts';
import { between, forCases } from '../../helpers/property.ts';

/** The rule as the first sketch of the system has it: two whole softmaxes, `>` for the earlier, otherwise the later. */
function reference(legs: readonly LegLogits[], row: number) {
  const answers = legs.map(({ classIds, logits }) => {
    const z = [...logits].slice(row * classIds.length, (row + 1) * classIds.length);
    const shifted = z.map((value) => Math.exp(value - Math.max(...z)));
    const sum = shifted.reduce((total, value) => total + value, 0);
    const probabilities = shifted.map((value) => Math.fround(value / sum));
    const best = Math.max(...probabilities);
    return { best, classId: classIds[probabilities.indexOf(best)] as number };
  });
  let chosen = 0;
  for (let leg = 1; leg < legs.length; leg++) {
    const [current, candidate] = [answers[chosen], answers[leg]] as { best: number }[];
    if (!((current?.best as number) > (candidate?.best as number))) chosen = leg;
  }
  return { leg: chosen, probability: answers[chosen]?.best, classId: answers[chosen]?.classId };
}

function randomLegs(random: Random, rows: number, draw: () => number): LegLogits[] {
  let next = 0;
  return Array.from({ length: between(random, 1, 4) }, () => {
    const classIds = Array.from({ length: between(random, 1, 5) }, () => next++);
    return { classIds, logits: Float32Array.from({ length: rows * classIds.length }, draw) };
  });
}

test('as the dumb reference, for random logits and for many ties', async (t) => {
  await forCases(t, 300, (random) => {
    const rows = between(random, 1, 6);
    const isCoarse = random.nextInt(2) === 0;
    const legs = randomLegs(random, rows, () => (isCoarse ? random.nextInt(3) : 4 * random.nextNormal()));
    const { classes, probabilities, legs: chosen } = combineMaxSoftmax(legs, rows);
    for (let row = 0; row < rows; row++) {
      const actual = { leg: chosen[row], probability: probabilities[row], classId: classes[row] };
      t.deepEqual(actual as object, reference(legs, row));
    }
  });
});

test('rows go each their own way, ties to the later leg', (t) => {
  const legs = [
    { classIds: [0, 1], logits: Float32Array.of(5, 0, 0, 1, 2, 2) },
    { classIds: [2, 3], logits: Float32Array.of(0, 1, 5, 0, 2, 2) },
  ];
  const { classes, legs: chosen, probabilities } = combineMaxSoftmax(legs, 3);
  t.deepEqual([...classes], [0, 2, 2]);
  t.deepEqual([...chosen], [0, 1, 1]);
  t.is(probabilities[2], 0.5);
});

test('huge logits neither overflow nor underflow; certainties that are both 1 are a tie', (t) => {
  const legs = [
    { classIds: [0, 1], logits: Float32Array.of(3e38, -3e38) },
    { classIds: [2, 3], logits: Float32Array.of(-1e4, -1e4 - 200) },
  ];
  const { classes, probabilities } = combineMaxSoftmax(legs, 1);
  t.deepEqual([...classes], [2]);
  t.deepEqual([...probabilities], [1]);
});
