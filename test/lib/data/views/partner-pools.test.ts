/** Which samples may be mixed with which. */
import test from 'ava';
import { NO_VIEWS, PartnerPools, partnersOf } from '../../../../lib/data/views.ts';
import { between, forCases } from '../../../helpers/property.ts';

/** Shards one after another, of which so many ids each are trained on. */
function samplesOf(perShard: readonly number[]) {
  const records = 1000;
  const shards = perShard.map((_, shard) => ({ firstId: shard * records, records }));
  const ids = perShard.flatMap((count, shard) => Array.from({ length: count }, (_, index) => shard * records + index));
  return { ids: Uint32Array.from(ids), shards };
}

/** Shards that the pool of each shard's samples reaches over, first and last; null for a shard without any. */
function poolsOf(perShard: readonly number[]): ([number, number] | null)[] {
  const pools = new PartnerPools(samplesOf(perShard));
  return perShard.map((count, shard) => {
    if (count === 0) return null;
    const pool = pools.poolOf(shard * 1000 + count - 1);
    const ends = [pool[0] as number, pool.at(-1) as number];
    return ends.map((id) => Math.floor(id / 1000)) as [number, number];
  });
}

const repeated = <T>(count: number, value: T) => Array.from({ length: count }, () => value);

test('in up to 16 shards with samples any may be mixed with any', (t) => {
  t.deepEqual(poolsOf([...repeated(16, 500), 0, 0]).slice(0, 16), repeated(16, [0, 15]));
});

test('in more shards each has its own, unless it has few', (t) => {
  t.deepEqual(
    poolsOf(repeated(17, 128)),
    repeated(17, null).map((_, shard) => [shard, shard]),
  );
  const few = [60, 60, 60, 200, 100, 0, 50, ...repeated(14, 300), 127];
  const expected = [[0, 2], [0, 2], [0, 2], [3, 3], [4, 6], null, [4, 6]];
  t.deepEqual(poolsOf(few).slice(0, 7), expected as never);
  // What is left over at the end is put to those before it.
  t.deepEqual(poolsOf(few).slice(19), [
    [19, 19],
    [20, 21],
    [20, 21],
  ]);
  // Never so far that all shards would be read.
  t.deepEqual(
    poolsOf(repeated(40, 2)).map((pool) => pool?.[0]),
    [...repeated(16, 0), ...repeated(24, 16)],
  );
});

test('partners are of the sample’s own pool, now and then each of it', (t) =>
  forCases(t, 30, (random) => {
    const samples = samplesOf(Array.from({ length: between(random, 1, 50) }, () => between(random, 1, 300)));
    const pools = new PartnerPools(samples);
    const rule = { ...NO_VIEWS, mixup: 1, seed: random.nextUint32(), number: 3 };
    const partners = partnersOf(samples.ids, pools, rule) as Uint32Array;
    for (const [index, id] of samples.ids.entries()) {
      const pool = pools.poolOf(id);
      t.true(pool.includes(partners[index] as number));
      t.true(pool.includes(id));
    }
    t.true(new Set(partners).size > samples.ids.length / 2);
  }));
