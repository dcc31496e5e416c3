import test from 'ava';
import type { Random } from '../../../lib/base/random.ts';
import type { RouteRule } from '../../../lib/wire/route-rules.ts';
import { combine, type LegLogits } from '../../../services/router/combine.ts';
import { combinedMasses } from '../../../services/router/combined-masses.ts';
import { between, forCases } from '../../helpers/property.ts';

/** A leg's outputs in one row, the dustbin's last if it has one. */
function outputsOf({ classIds, dustbin, logits }: LegLogits, row: number): number[] {
  const outputs = classIds.length + (dustbin ? 1 : 0);
  return [...logits].slice(row * outputs, (row + 1) * outputs);
}

function ownOf(leg: LegLogits, row: number): number[] {
  return outputsOf(leg, row).slice(0, leg.classIds.length);
}

function softmax(logits: readonly number[]): number[] {
  const largest = Math.max(...logits);
  const terms = logits.map((value) => Math.exp(value - largest));
  const sum = terms.reduce((total, value) => total + value, 0);
  return terms.map((value) => value / sum);
}

/** One leg against the next, as the first sketch of the system has it: `>` for the earlier, otherwise the later. */
function indexOfLastLargest(scores: readonly number[]): number {
  let chosen = 0;
  for (let leg = 1; leg < scores.length; leg++) {
    if (!((scores[chosen] as number) > (scores[leg] as number))) chosen = leg;
  }
  return chosen;
}

/** `max-softmax` and `max-logit` written out with whole softmaxes. */
function reference(rule: RouteRule, legs: readonly LegLogits[], row: number) {
  const answers = legs.map((leg) => {
    const probabilities = softmax(ownOf(leg, row)).map(Math.fround);
    const probability = Math.max(...probabilities);
    const output = ownOf(leg, row).indexOf(Math.max(...ownOf(leg, row)));
    return { probability, logit: Math.max(...ownOf(leg, row)), classId: leg.classIds[output] as number };
  });
  const leg = indexOfLastLargest(answers.map(({ probability, logit }) => (rule === 'max-logit' ? logit : probability)));
  return { leg, probability: answers[leg]?.probability, classId: answers[leg]?.classId };
}

interface Drawing {
  readonly rows: number;
  readonly atLeast: number;
  /** Undefined: of each leg by chance. */
  readonly dustbins: boolean | undefined;
  readonly draw: () => number;
}

function randomLegs(random: Random, { rows, atLeast, dustbins, draw }: Drawing): LegLogits[] {
  let next = 0;
  return Array.from({ length: between(random, atLeast, 4) }, () => {
    const classIds = Array.from({ length: between(random, 1, 5) }, () => next++);
    const dustbin = dustbins ?? random.nextInt(2) === 0;
    const length = rows * (classIds.length + (dustbin ? 1 : 0));
    return { classIds, dustbin, logits: Float32Array.from({ length }, draw) };
  });
}

for (const rule of ['max-softmax', 'max-logit'] as const) {
  test(`${rule}: as the dumb reference, for random logits and for many ties, a dustbin left out`, async (t) => {
    await forCases(t, 300, (random) => {
      const rows = between(random, 1, 6);
      const isCoarse = random.nextInt(2) === 0;
      const draw = () => (isCoarse ? random.nextInt(3) : 4 * random.nextNormal());
      const legs = randomLegs(random, { rows, atLeast: 1, dustbins: undefined, draw });
      const { classes, probabilities, legs: chosen } = combine(rule, legs, rows);
      for (let row = 0; row < rows; row++) {
        const actual = { leg: chosen[row], probability: probabilities[row], classId: classes[row] };
        t.deepEqual(actual as object, reference(rule, legs, row));
      }
    });
  });
}

/**
 * Σ_m KL(p^m, q) but for what does not depend on q.
 * @param q by class id
 */
function objective(legs: readonly LegLogits[], row: number, q: readonly number[]): number {
  return legs.reduce((total, leg) => {
    const p = softmax(outputsOf(leg, row));
    const others = q.reduce((sum, value, id) => (leg.classIds.includes(id) ? sum : sum + value), 0);
    const bins = [...leg.classIds.map((id) => q[id] as number), others];
    return total - p.reduce((sum, probability, bin) => sum + probability * Math.log(bins[bin] as number), 0);
  }, 0);
}

/**
 * The minimum by expectation maximisation, which never increases the objective: each leg's dustbin is dealt out over the
 * other classes as q has them, and q becomes the mean of the legs.
 */
function minimum(legs: readonly LegLogits[], row: number): number[] {
  const classes = legs.reduce((sum, { classIds }) => sum + classIds.length, 0);
  let q = Array.from({ length: classes }, () => 1 / classes);
  for (let round = 0; round < 3_000; round++) {
    const dealt = legs.map((leg) => {
      const p = softmax(outputsOf(leg, row));
      const others = q.reduce((sum, value, id) => (leg.classIds.includes(id) ? sum : sum + value), 0);
      return q.map((value, id) => {
        const output = leg.classIds.indexOf(id);
        return output >= 0 ? (p[output] as number) : ((p.at(-1) as number) * value) / others;
      });
    });
    q = q.map((_, id) => dealt.reduce((sum, values) => sum + (values[id] as number), 0) / legs.length);
  }
  return q;
}

test('dustbin: the likeliest class where the objective is smallest, found by brute force', async (t) => {
  await forCases(t, 40, (random) => {
    const draw = () => 2 * random.nextNormal();
    const legs = randomLegs(random, { rows: 2, atLeast: 2, dustbins: true, draw });
    const { classes, probabilities, legs: chosen } = combine('dustbin', legs, 2);
    for (const row of [0, 1]) {
      const q = minimum(legs, row);
      const best = Math.max(...q);
      t.true(Math.abs((probabilities[row] as number) - best) < 1e-6, `${probabilities[row]} is not ${best}`);
      t.is(classes[row], q.indexOf(best));
      t.true(legs[chosen[row] as number]?.classIds.includes(classes[row] as number));
    }
  });
});

test('dustbin: no distribution has a smaller objective than the masses with each leg’s own proportions', async (t) => {
  await forCases(t, 60, (random) => {
    const legs = randomLegs(random, { rows: 1, atLeast: 2, dustbins: true, draw: () => 2 * random.nextNormal() });
    const masses = combinedMasses(
      legs.map((leg) => {
        const others = softmax(outputsOf(leg, 0)).at(-1) as number;
        return { own: 1 - others, others };
      }),
    );
    const q = legs.flatMap((leg, at) => softmax(ownOf(leg, 0)).map((share) => share * (masses[at] as number)));
    const least = objective(legs, 0, q);
    for (const reach of [1e-3, 1e-2, 0.1, 1]) {
      const moved = q.map((value) => value * Math.exp(reach * random.nextNormal()));
      const sum = moved.reduce((total, value) => total + value, 0);
      const other = objective(
        legs,
        0,
        moved.map((value) => value / sum),
      );
      t.true(other >= least - 1e-12, `${other} < ${least}`);
    }
  });
});

test('dustbin: two specialists as the closed form has it, with probabilities of 0 and 1 too', async (t) => {
  await forCases(t, 200, (random) => {
    const draw = () => [0, 1, 1e-300, 1e-17, random.nextFloat(), random.nextFloat() ** 20][random.nextInt(6)] as number;
    const [d1, d2] = [draw(), draw()];
    const masses = combinedMasses([
      { own: 1 - d1, others: d1 },
      { own: 1 - d2, others: d2 },
    ]);
    const first = (1 - d1 + d2) / 2;
    t.true(Math.abs((masses[0] as number) - first) < 1e-14, `d ${d1}, ${d2}: ${masses[0]} is not ${first}`);
    t.true(Math.abs((masses[1] as number) - (1 - first)) < 1e-14);
  });
});

test('dustbin: the masses where specialists are certain', (t) => {
  const all = { own: 1, others: 0 };
  const none = { own: 0, others: 1 };
  const half = { own: 0.5, others: 0.5 };
  const cases: [(typeof all)[], number[]][] = [
    [[all], [1]],
    [[none], [1]],
    [
      [all, none, none],
      [1, 0, 0],
    ],
    [
      [all, none, all],
      [0.5, 0, 0.5],
    ],
    [
      [none, none, none],
      [1 / 3, 1 / 3, 1 / 3],
    ],
    [
      [all, all, all, all],
      [0.25, 0.25, 0.25, 0.25],
    ],
    [
      [half, half, half],
      [1 / 3, 1 / 3, 1 / 3],
    ],
  ];
  for (const [beliefs, expected] of cases) {
    const masses = combinedMasses(beliefs);
    t.is(masses.length, expected.length);
    masses.forEach((mass, at) => {
      t.true(Math.abs(mass - (expected[at] as number)) < 1e-14, `${masses} are not ${expected}`);
    });
  }
});

test('rows go each their own way, ties to the later leg and within a leg to the first class', (t) => {
  const rows = [
    [5, 0, 0, 0, 1, 5],
    [0, 1, 5, 5, 0, 0],
    [2, 2, 1, 2, 2, 1],
  ];
  const legs = [
    { classIds: [0, 1], dustbin: true, logits: Float32Array.from(rows.flatMap((row) => row.slice(0, 3))) },
    { classIds: [2, 3], dustbin: true, logits: Float32Array.from(rows.flatMap((row) => row.slice(3))) },
  ];
  for (const rule of ['max-softmax', 'max-logit', 'dustbin'] as const) {
    const { classes, legs: chosen } = combine(rule, legs, 3);
    t.deepEqual([...classes], [0, 2, 2], rule);
    t.deepEqual([...chosen], [0, 1, 1], rule);
  }
  t.is(combine('max-softmax', legs, 3).probabilities[2], 0.5);
  t.is(combine('dustbin', legs, 3).probabilities[2], 0.25);
});

test('each rule sees what the others do not', (t) => {
  // The first is certain within its classes but finds little; the second hesitates, on strong evidence; their dustbins
  // contradict both.
  const legs = [
    { classIds: [0, 1], dustbin: true, logits: Float32Array.of(4, -4, -9) },
    { classIds: [2, 3], dustbin: true, logits: Float32Array.of(7, 6, 9) },
  ];
  const answers = (['max-softmax', 'max-logit', 'dustbin'] as const).map((rule) => combine(rule, legs, 1));
  t.deepEqual(
    answers.map(({ classes }) => classes[0]),
    [0, 2, 0],
  );
  t.is(answers[1]?.probabilities[0], Math.fround(1 / (1 + Math.exp(-1))), 'of the second specialist alone');
  const swapped = [legs[0] as LegLogits, { ...(legs[1] as LegLogits), logits: Float32Array.of(7, 2, -9) }];
  const lost = [{ ...(swapped[0] as LegLogits), logits: Float32Array.of(4, -4, 9) }, swapped[1] as LegLogits];
  t.deepEqual(
    [combine('max-softmax', lost, 1).classes[0], combine('dustbin', lost, 1).classes[0]],
    [0, 2],
    'a specialist that says itself that the image is none of its own does not win by certainty',
  );
});

test('one specialist alone answers by its own softmax, whatever its dustbin says', (t) => {
  const legs = [{ classIds: [1, 0], dustbin: true, logits: Float32Array.of(0, Math.log(3), 50) }];
  const { classes, probabilities } = combine('dustbin', legs, 1);
  t.deepEqual([...classes], [0]);
  t.is(probabilities[0], 0.75);
});

test('huge logits neither overflow nor underflow; certainties that are both 1 are a tie', (t) => {
  const legs = [
    { classIds: [0, 1], dustbin: false, logits: Float32Array.of(3e38, -3e38) },
    { classIds: [2, 3], dustbin: false, logits: Float32Array.of(-1e4, -1e4 - 200) },
  ];
  const bySoftmax = combine('max-softmax', legs, 1);
  t.deepEqual([[...bySoftmax.classes], [...bySoftmax.probabilities]], [[2], [1]]);
  const byLogit = combine('max-logit', legs, 1);
  t.deepEqual([[...byLogit.classes], [...byLogit.probabilities]], [[0], [1]]);
});

test('dustbin: huge logits neither overflow nor underflow', (t) => {
  const leg = (first: number, ...logits: number[]) => ({
    classIds: [first, first + 1],
    dustbin: true,
    logits: Float32Array.from(logits),
  });
  const cases: [LegLogits[], number, number][] = [
    [[leg(0, 3e38, -3e38, -3e38), leg(2, -3e38, -3e38, 3e38)], 0, 1],
    [[leg(0, -3e38, -3e38, 3e38), leg(2, 3e38, 3e38, 3e38)], 2, 5 / 12],
    [[leg(0, -3e38, -2e38, 3e38), leg(2, -3e38, -3e38, 3e38)], 1, 0.5],
    [[leg(0, 3e38, -3e38, -3e38), leg(2, 3e38, -3e38, -3e38)], 2, 0.5],
    [[leg(0, -3e38, -3e38, 3e38), leg(2, 1e4, -1e4, 0), leg(4, 0, 0, 3e38)], 2, 1],
  ];
  for (const [legs, classId, probability] of cases) {
    const { classes, probabilities } = combine('dustbin', legs, 1);
    t.deepEqual([...classes], [classId]);
    t.is(probabilities[0], Math.fround(probability));
  }
});
