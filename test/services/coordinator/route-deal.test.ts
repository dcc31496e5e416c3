import test from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { createRandom } from '../../../lib/base/random.ts';
import type { RouteRecord } from '../../../lib/wire/records.ts';
import { dealLegs } from '../../../services/coordinator/route-deal.ts';

function route(name: string, legs: number): RouteRecord {
  return {
    name,
    rule: 'max-softmax',
    classNames: ['a'],
    legs: Array.from({ length: legs }, (_, at) => ({
      specialist: `s${at}`,
      modelDigest: sha256(`${name}${at}`),
      classIds: [0],
      dustbin: false,
    })),
  };
}

const ids = (count: number) => Array.from({ length: count }, (_, at) => `specialist-${at}`);

test('nobody, nothing: empty hands', (t) => {
  t.deepEqual([...dealLegs([route('r', 2)], [])], []);
  t.deepEqual(
    [...dealLegs([], ['b', 'a'])],
    [
      ['a', []],
      ['b', []],
    ],
  );
});

test('every leg has a home, no specialist more than its share, nobody idle, whatever the order of the input', (t) => {
  const seed = 11;
  t.log(`seed ${seed}`);
  const random = createRandom(seed);
  for (let round = 0; round < 300; round++) {
    const routes = Array.from({ length: random.nextInt(4) }, (_, at) => route(`r${at}`, 1 + random.nextInt(5)));
    const specialists = ids(1 + random.nextInt(8));
    const dealt = dealLegs(routes, specialists);
    const legs = routes.flatMap(({ name, legs }) => legs.map(({ specialist }) => `${name}.${specialist}`));
    const homes = [...dealt.values()].flat().map(({ name }) => name);
    t.deepEqual([...new Set(homes)].sort(), legs.sort());
    const share = Math.max(1, Math.ceil(legs.length / specialists.length));
    for (const models of dealt.values()) {
      t.true(models.length <= share);
      if (legs.length > 0 && legs.length <= specialists.length) t.is(models.length, 1);
    }
    const again = dealLegs([...routes].reverse(), [...specialists].reverse());
    t.deepEqual([...again].sort(), [...dealt].sort());
  }
});

test('a specialist that leaves moves few legs of the others', (t) => {
  const routes = [route('r', 40)];
  const before = dealLegs(routes, ids(8));
  const after = dealLegs(routes, ids(7));
  let moved = 0;
  for (const [id, models] of before) {
    if (!after.has(id)) continue;
    const now = new Set(after.get(id)?.map(({ name }) => name));
    moved += models.filter(({ name }) => !now.has(name)).length;
  }
  t.true(moved <= 15, `${moved} of 35 moved`);
});
