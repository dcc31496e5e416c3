import test from 'ava';
import { createRandom } from '../../../lib/base/random.ts';
import { withLabelNoise } from '../../../lib/data/label-noise.ts';
import { between, forCases } from '../../helpers/property.ts';

const SEED = 11;

test('only labels of the samples named change, into other classes; a higher rate keeps what a lower one replaced', (t) =>
  forCases(t, 60, (random) => {
    const classes = between(random, 2, 12);
    // A data set that was read from a file may well have its labels in a Buffer.
    const labels = Buffer.from(Uint8Array.from({ length: 200 }, () => random.nextInt(classes)));
    const before = [...labels];
    const ids = Uint32Array.from(labels.keys()).filter(() => random.nextInt(3) > 0);
    const named = new Set(ids);
    const seed = random.nextUint32();
    const rate = random.nextFloat() * 0.8;
    const noisy = withLabelNoise(labels, ids, { seed, rate, classes });
    const more = withLabelNoise(labels, ids, { seed, rate: rate + 0.2, classes });
    t.deepEqual([...labels], before);
    for (const [id, label] of noisy.entries()) {
      t.true(label < classes);
      if (label === labels[id]) continue;
      t.true(named.has(id));
      t.is(more[id], label);
    }
    t.deepEqual(withLabelNoise(labels, ids, { seed, rate, classes }), noisy);
  }));

test(`the rate is met, by all other classes alike (seed ${SEED})`, (t) => {
  const classes = 5;
  const count = 40_000;
  const random = createRandom(SEED);
  const labels = Uint16Array.from({ length: count }, () => random.nextInt(classes));
  const noisy = withLabelNoise(labels, Uint32Array.from(labels.keys()), { seed: SEED, rate: 0.3, classes });
  const byStep = new Array<number>(classes).fill(0);
  for (const [id, label] of noisy.entries()) {
    const step = (label + classes - (labels[id] as number)) % classes;
    byStep[step] = (byStep[step] as number) + 1;
  }
  // Five standard deviations of a binomial draw.
  const near = (found: number, share: number) =>
    Math.abs(found - count * share) < 5 * Math.sqrt(count * share * (1 - share));
  t.true(near(byStep[0] as number, 0.7), String(byStep));
  for (const found of byStep.slice(1)) t.true(near(found, 0.3 / (classes - 1)), String(byStep));
});

test('no rate changes nothing; every label changes at rate 1; a single class has nothing to change into', (t) => {
  const labels = Uint8Array.of(0, 1, 2, 0);
  const ids = Uint32Array.of(0, 1, 2, 3);
  t.deepEqual(withLabelNoise(labels, ids, { seed: 1, rate: 0, classes: 3 }), labels);
  t.true(withLabelNoise(labels, ids, { seed: 1, rate: 1, classes: 3 }).every((label, id) => label !== labels[id]));
  t.deepEqual(withLabelNoise(new Uint8Array(4), ids, { seed: 1, rate: 1, classes: 1 }), new Uint8Array(4));
});
