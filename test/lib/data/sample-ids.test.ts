import test from 'ava';
import { IdSet, joinIds, selectIds } from '../../../lib/data/sample-ids.ts';
import { between, forCases } from '../../helpers/property.ts';

test('a set of ids holds what it was made of, and a selection keeps the order', (t) =>
  forCases(t, 100, (random) => {
    const ids = Uint32Array.from({ length: between(random, 0, 60) }, () => random.nextInt(200));
    const expected = new Set(ids);
    const found = new IdSet(ids);
    for (let id = 0; id < 220; id++) t.is(found.has(id), expected.has(id), String(id));
    const isKept = (id: number) => id % 3 === 1;
    t.deepEqual([...selectIds(ids, isKept)], [...ids].filter(isKept));
    t.deepEqual([...joinIds(ids, Uint32Array.of(7, 5))], [...ids, 7, 5]);
  }));
