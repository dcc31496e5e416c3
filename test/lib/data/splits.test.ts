import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { createRandom, hashName, shuffle } from '../../../lib/base/random.ts';
import type { SplitName } from '../../../lib/data/manifest.ts';
import { selectSplits, selectTest } from '../../../lib/data/splits.ts';
import { between, forCases } from '../../helpers/property.ts';

/** Training ids 0 .. train-1, test ids after them. */
function source(train: number, testing: number) {
  const range = (length: number, from: number) => Uint32Array.from({ length }, (_, index) => from + index);
  return { idsOf: (split: SplitName) => (split === 'train' ? range(train, 0) : range(testing, train)) };
}

test('splits are disjoint, sorted, of the size asked for, and from the right part of the data', (t) =>
  forCases(t, 200, (random) => {
    const available = between(random, 2, 300);
    const calibrate = between(random, 0, available - 1);
    const train = between(random, 1, available - calibrate);
    const testing = between(random, 1, 50);
    const seed = random.nextUint32();
    const request = { seed, train, calibrate, test: between(random, 1, testing) };
    const splits = selectSplits(source(available, testing), request);
    t.deepEqual(selectSplits(source(available, testing), request), splits);
    t.is(splits.train.length, train);
    t.is(splits.calibrate.length, calibrate);
    t.is(splits.test.length, request.test);
    const all = [...splits.train, ...splits.calibrate, ...splits.test];
    t.is(new Set(all).size, all.length);
    t.true([...splits.train, ...splits.calibrate].every((id) => id < available));
    t.true(splits.test.every((id) => id >= available && id < available + testing));
    for (const ids of Object.values(splits)) t.deepEqual(ids, ids.slice().sort());
  }));

test('the draw is a plain shuffle: its front trains, its end calibrates', (t) =>
  forCases(t, 200, (random) => {
    const available = between(random, 2, 200);
    const calibrate = between(random, 0, available - 1);
    // All of it too, where nothing has to be shuffled.
    const train = random.nextInt(3) === 0 ? available - calibrate : between(random, 1, available - calibrate);
    const testing = between(random, 1, 30);
    const seed = random.nextUint32();
    const pools = source(available, testing);
    const shuffled = (split: SplitName) =>
      shuffle([...pools.idsOf(split)], createRandom(seed, hashName(`split ${split}`)));
    const sorted = (ids: number[]) => Uint32Array.from(ids).sort();
    const chosen = between(random, 1, testing);
    t.deepEqual(selectSplits(pools, { seed, train, calibrate, test: chosen }), {
      train: sorted(shuffled('train').slice(0, train)),
      calibrate: sorted(shuffled('train').slice(available - calibrate)),
      test: sorted(shuffled('test').slice(0, chosen)),
    });
  }));

test('samples of another domain train, all of them, and nothing else', (t) => {
  const sourceIds = Uint32Array.of(200, 203, 207);
  const pair = { ...source(100, 20), sourceIds };
  const request = { seed: 5, train: 30, calibrate: 10, test: 8 };
  const alone = selectSplits(source(100, 20), request);
  const both = selectSplits(pair, request);
  t.deepEqual(both, { ...alone, train: Uint32Array.from([...alone.train, ...sourceIds]) });
});

test('without counts all is used, and calibration is cut from training', (t) => {
  const all = selectSplits(source(100, 20), { seed: 1 });
  t.deepEqual([all.train.length, all.calibrate.length, all.test.length], [100, 0, 20]);
  const cut = selectSplits(source(100, 20), { seed: 1, calibrate: 30 });
  t.deepEqual([cut.train.length, cut.calibrate.length, cut.test.length], [70, 30, 20]);
});

test('another seed chooses other samples; other counts do not', (t) => {
  const base = selectSplits(source(1000, 100), { seed: 1, train: 100, calibrate: 50, test: 10 });
  const other = selectSplits(source(1000, 100), { seed: 2, train: 100, calibrate: 50, test: 10 });
  t.notDeepEqual(other.train, base.train);
  t.notDeepEqual(other.calibrate, base.calibrate);
  t.notDeepEqual(other.test, base.test);
  const more = selectSplits(source(1000, 100), { seed: 1, train: 200, calibrate: 80, test: 20 });
  for (const split of ['train', 'calibrate', 'test'] as const) {
    const chosen = new Set(more[split]);
    t.true(
      base[split].every((id) => chosen.has(id)),
      `the larger ${split} holds the smaller one`,
    );
  }
});

test('more than there is, or nothing, is refused with the field', (t) => {
  const cases: [object, string, RegExp][] = [
    [{ train: 101 }, 'data.train', /from 1 to 100/],
    [{ train: 91, calibrate: 10 }, 'data.train', /from 1 to 90.*besides 10/],
    [{ train: 0 }, 'data.train', /whole number/],
    [{ train: 1.5 }, 'data.train', /whole number/],
    [{ calibrate: 100 }, 'data.train', /from 1 to 0/],
    [{ calibrate: 101 }, 'data.calibrate', /from 0 to 100/],
    [{ calibrate: -1 }, 'data.calibrate', /whole number/],
    [{ test: 21 }, 'data.test', /from 1 to 20/],
    [{ test: 0 }, 'data.test', /whole number/],
  ];
  for (const [request, field, message] of cases) {
    const error = t.throws(() => selectSplits(source(100, 20), { seed: 1, ...request }), {
      instanceOf: StillhouseError,
      message,
    });
    t.is(error?.code, 'INVALID_ARGUMENT');
    t.is(error?.field, field);
  }
});

test('a data set without test images is told to have none, and how it gets some', (t) => {
  const error = t.throws(() => selectSplits(source(10, 0), { seed: 1 }), { instanceOf: StillhouseError });
  t.is(error?.message, 'data.test: the data set has no test images');
  t.is(error?.field, 'data.test');
  t.regex(error?.hint ?? '', /--test-share/);
});

test('the test samples alone are those of the splits', (t) =>
  forCases(t, 50, (random) => {
    const request = { seed: random.nextUint32(), test: between(random, 1, 30) };
    t.deepEqual(selectTest(source(10, 30), request), selectSplits(source(10, 30), request).test);
  }));
