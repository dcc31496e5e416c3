import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { createRandom, hashName, shuffle } from '../../../lib/base/random.ts';
import { drawLabelled } from '../../../lib/data/labelled.ts';
import { between, forCases } from '../../helpers/property.ts';

test('a draw is a subset of its size, even over the classes, held by larger draws, the same for the same seed', (t) =>
  forCases(t, 200, (random) => {
    const classes = between(random, 1, 6);
    const samples = between(random, 1, 120);
    const labels = Uint8Array.from({ length: 2 * samples }, () => random.nextInt(classes));
    const ids = shuffle(
      Uint32Array.from({ length: 2 * samples }, (_, id) => id),
      random,
    )
      .slice(0, samples)
      .sort();
    const seed = random.nextUint32();
    const count = between(random, 1, samples);
    const drawn = drawLabelled(ids, labels, { seed, count });
    t.deepEqual(drawLabelled(ids, labels, { seed, count }), drawn);
    t.is(drawn.length, count);
    t.deepEqual(drawn, drawn.slice().sort());
    const available = new Set(ids);
    t.is(new Set(drawn).size, count);
    t.true(drawn.every((id) => available.has(id)));
    const larger = new Set(drawLabelled(ids, labels, { seed, count: between(random, count, samples) }));
    t.true(drawn.every((id) => larger.has(id)));
    // A class has fewer than another by more than one only where it has no more.
    const countOf = (set: Uint32Array, label: number) => set.filter((id) => labels[id] === label).length;
    const most = Math.max(...Array.from({ length: classes }, (_, label) => countOf(drawn, label)));
    for (let label = 0; label < classes; label++) {
      const own = countOf(drawn, label);
      t.true(own >= most - 1 || own === countOf(ids, label), `class ${label}: ${own} of ${most}`);
    }
  }));

/** One class after the other gives its next sample, until there are enough. */
function dumbDraw(ids: Uint32Array, labels: Uint8Array, seed: number, count: number): Uint32Array {
  const order = shuffle([...ids], createRandom(seed, hashName('labelled')));
  const queues = Array.from({ length: 256 }, (_, label) => order.filter((id) => labels[id] === label));
  const drawn: number[] = [];
  for (let turn = 0; drawn.length < count; turn++) {
    for (const queue of queues) {
      const id = queue[turn];
      if (id !== undefined && drawn.length < count) drawn.push(id);
    }
  }
  return Uint32Array.from(drawn).sort();
}

test('the draw is that of classes in turn', (t) =>
  forCases(t, 200, (random) => {
    const samples = between(random, 1, 80);
    const classes = between(random, 1, 7);
    // Some classes often, some hardly ever.
    const labels = Uint8Array.from({ length: samples }, () => random.nextInt(1 + random.nextInt(classes)));
    const ids = Uint32Array.from({ length: samples }, (_, id) => id);
    const seed = random.nextUint32();
    const count = between(random, 1, samples);
    t.deepEqual(drawLabelled(ids, labels, { seed, count }), dumbDraw(ids, labels, seed, count));
  }));

test('another seed draws others', (t) => {
  const random = createRandom(7);
  const labels = Uint8Array.from({ length: 400 }, () => random.nextInt(10));
  const ids = Uint32Array.from({ length: 400 }, (_, id) => id);
  t.notDeepEqual(drawLabelled(ids, labels, { seed: 1, count: 40 }), drawLabelled(ids, labels, { seed: 2, count: 40 }));
});

for (const count of [0, 6, 1.5]) {
  test(`${count} of 5 samples is refused`, (t) => {
    const draw = () => drawLabelled(Uint32Array.of(1, 2, 3, 4, 5), new Uint8Array(6), { seed: 1, count });
    const error = t.throws(draw, { instanceOf: StillhouseError });
    t.is(error.field, 'data.labelled');
    t.regex(error.message, /from 1 to 5/);
  });
}
