import { readFileSync } from 'node:fs';
import test from 'ava';
import type { Random } from '../../../../lib/base/random.ts';
import { mixImages, mixShares, partnersOf } from '../../../../lib/data/views/mixing.ts';
import { NO_VIEWS, type ViewRule, type ViewsSpec } from '../../../../lib/data/views/rule.ts';
import { onePool } from '../../../helpers/one-pool.ts';
import { between, forCases } from '../../../helpers/property.ts';

interface Moments {
  mean: number;
  std: number;
}

/** scripts/goldens/views.py makes them. */
const golden = JSON.parse(readFileSync(new URL('../../../goldens/views.json', import.meta.url), 'utf8')) as {
  draws: number;
  shares: { alpha: number; mixup: Moments; cutmix: Moments }[];
};

function ruleOf(random: Random, spec: Partial<ViewsSpec>): ViewRule {
  return { ...NO_VIEWS, ...spec, seed: random.nextUint32(), number: between(random, 0, 99) };
}

function idsBelow(count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, id) => id);
}

for (const { alpha, ...moments } of golden.shares) {
  for (const kind of ['mixup', 'cutmix'] as const) {
    test(`shares of ${kind} with alpha ${alpha} are drawn as torchvision draws them`, (t) => {
      const rule = { ...NO_VIEWS, seed: 4, number: 9, [kind]: alpha };
      const shares = [...mixShares(idsBelow(golden.draws), rule, { height: 24, width: 32, channels: 3 })];
      const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
      const std = Math.sqrt(shares.reduce((sum, share) => sum + (share - mean) ** 2, 0) / shares.length);
      const expected = moments[kind];
      // Five standard errors of a difference of two means.
      const tolerance = 5 * expected.std * Math.sqrt(2 / golden.draws);
      t.true(Math.abs(mean - expected.mean) <= tolerance, `mean ${mean} for ${expected.mean}`);
      t.true(Math.abs(std - expected.std) <= tolerance, `deviation ${std} for ${expected.std}`);
    });
  }
}

test('shares of mixup have the variance of a beta distribution', (t) => {
  for (const alpha of [0.05, 0.2, 0.5, 0.9, 1, 3, 50]) {
    const rule = { ...NO_VIEWS, seed: 8, number: 1, mixup: alpha };
    const shares = mixShares(idsBelow(golden.draws), rule, { height: 1, width: 1, channels: 3 });
    const squares = Array.from(shares, (share) => (share - 0.5) ** 2);
    const mean = squares.reduce((sum, square) => sum + square, 0) / squares.length;
    const spread = squares.reduce((sum, square) => sum + (square - mean) ** 2, 0) / squares.length;
    const expected = 1 / (4 * (2 * alpha + 1));
    const error = Math.sqrt(spread / squares.length);
    t.true(Math.abs(mean - expected) < 4 * error, `alpha ${alpha}: ${mean} for ${expected}, standard error ${error}`);
  }
});

test('shares are what the pixels say, of both kinds, and each kind is taken by half of the images', (t) =>
  forCases(t, 12, (random) => {
    const image = { height: between(random, 1, 12), width: between(random, 1, 12), channels: 3 };
    const area = image.height * image.width;
    const spec = { mixup: 0.1 + random.nextFloat(), cutmix: 0.1 + random.nextFloat() };
    const kinds = [spec, { ...spec, mixup: 0 }, { ...spec, cutmix: 0 }];
    const rule = ruleOf(random, kinds[random.nextInt(3)] as Partial<ViewsSpec>);
    const ids = idsBelow(200);
    const images = new Float32Array(ids.length * area * 3).fill(192);
    const partners = new Float32Array(images.length).fill(64);
    mixImages(images, partners, ids, image, rule);
    t.true(partners.every((value) => value === 64));
    const shares = mixShares(ids, rule, image);
    let blended = 0;
    for (const [index, share] of shares.entries()) {
      const values = images.subarray(index * area * 3, (index + 1) * area * 3);
      const isBlended = values.some((value) => value !== 192 && value !== 64);
      blended += isBlended ? 1 : 0;
      t.is(isBlended && values.some((value) => value !== values[0]), false);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      t.true(Math.abs(mean - (64 + 128 * share)) < 1e-4, `${mean} for a share of ${share}`);
      if (rule.mixup === 0) t.is(share, Math.fround(values.filter((value) => value === 192).length / 3 / area));
    }
    if (rule.mixup === 0) t.is(blended, 0);
    // Of shares next to 0 or 1 nothing is to be seen.
    else if (rule.cutmix === 0) t.true(blended > 150, `${blended}`);
    else t.true(blended > 50 && blended < 150, `${blended}`);
  }));

test('the pixels of a partner lie in one box', (t) =>
  forCases(t, 40, (random) => {
    const image = { height: between(random, 1, 9), width: between(random, 1, 9), channels: 3 };
    const area = image.height * image.width;
    const rule = ruleOf(random, { cutmix: 1 });
    const own = Float32Array.from({ length: area * 3 }, (_, value) => value + 1);
    const partner = own.map((value) => -value);
    const mixed = own.slice();
    mixImages(mixed, partner, [random.nextInt(1000)], image, rule);
    const cut = idsBelow(area).filter((place) => (mixed[place * 3] as number) < 0);
    const rows = new Set([...cut].map((place) => Math.floor(place / image.width)));
    const columns = new Set([...cut].map((place) => place % image.width));
    t.is(cut.length, rows.size * columns.size);
    for (const places of [rows, columns]) {
      if (places.size > 0) t.is(Math.max(...places) - Math.min(...places), places.size - 1);
    }
    t.deepEqual(
      mixed,
      own.map((value, at) => (cut.includes(Math.floor(at / 3)) ? -value : value)),
    );
  }));

test('switching one kind on moves nothing of the other', (t) =>
  forCases(t, 10, (random) => {
    const image = { height: 8, width: 8, channels: 3 };
    const both = ruleOf(random, { mixup: 0.5, cutmix: 1 });
    const ids = idsBelow(100);
    const [shares, blended, cut] = [both, { ...both, cutmix: 0 }, { ...both, mixup: 0 }].map((rule) =>
      mixShares(ids, rule, image),
    ) as [Float32Array, Float32Array, Float32Array];
    t.true(shares.every((share, index) => share === blended[index] || share === cut[index]));
    const pools = onePool(ids);
    t.deepEqual(partnersOf(ids, pools, { ...both, cutmix: 0 }), partnersOf(ids, pools, both));
  }));

test('partners come from the pool, each as likely, whatever the batch', (t) => {
  const pool = Uint32Array.from({ length: 20 }, (_, index) => 7 + 3 * index);
  const pools = onePool(pool);
  const rule = { ...NO_VIEWS, seed: 12, number: 1, cutmix: 1 };
  const ids = idsBelow(20_000);
  const partners = partnersOf(ids, pools, rule) as Uint32Array;
  const counts = new Map<number, number>();
  for (const partner of partners) counts.set(partner, (counts.get(partner) ?? 0) + 1);
  t.deepEqual(Uint32Array.from(counts.keys()).sort(), pool);
  // Five standard deviations are 154.
  for (const [partner, count] of counts) t.true(Math.abs(count - 1000) < 154, `${partner}: ${count}`);
  t.deepEqual(
    partnersOf([9, 4, 800], pools, rule),
    Uint32Array.from([9, 4, 800], (id) => partners[id] as number),
  );
  t.notDeepEqual(partnersOf(ids, pools, { ...rule, number: 2 }), partners);
  t.notDeepEqual(partnersOf(ids, pools, { ...rule, seed: 13 }), partners);
});

test('shares are within 0 and 1 for any alpha', (t) => {
  const ids = idsBelow(300);
  for (const alpha of [5e-324, 1e-300, 1e-3, 0.3, 1, 30, 1e6, 1e300]) {
    for (const kind of ['mixup', 'cutmix']) {
      const rule = { ...NO_VIEWS, seed: 1, number: 0, [kind]: alpha };
      const shares = mixShares(ids, rule, { height: 4, width: 4, channels: 3 });
      t.true(
        shares.every((share) => share >= 0 && share <= 1),
        `${kind} ${alpha}`,
      );
      if (kind === 'mixup' && alpha <= 1e-300) t.true(shares.every((share) => share === 0 || share === 1));
      if (kind === 'mixup' && alpha >= 1e6) t.true(shares.every((share) => Math.abs(share - 0.5) < 0.01));
    }
  }
});
