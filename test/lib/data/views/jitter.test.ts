import { readFileSync } from 'node:fs';
import test from 'ava';
import { createRandom, type Random } from '../../../../lib/base/random.ts';
import { adjustBrightness, adjustContrast, adjustHue, adjustSaturation } from '../../../../lib/data/views/colour.ts';
import { jitterImage } from '../../../../lib/data/views/jitter.ts';
import { type JitterSpec, NO_VIEWS } from '../../../../lib/data/views/rule.ts';
import { between, forCases } from '../../../helpers/property.ts';

const CHANGES = {
  brightness: adjustBrightness,
  contrast: adjustContrast,
  saturation: adjustSaturation,
  hue: adjustHue,
};

const NONE: JitterSpec = { brightness: 0, contrast: 0, saturation: 0, hue: 0 };

/** scripts/goldens/views.py makes them. */
const golden = JSON.parse(readFileSync(new URL('../../../goldens/views.json', import.meta.url), 'utf8')) as {
  pixels: number[];
  colours: { change: keyof typeof CHANGES; factor: number; pixels: number[] }[];
};

for (const { change, factor, pixels } of golden.colours) {
  test(`${change} is changed as torchvision does it: ${factor}`, (t) => {
    const got = Float32Array.from(golden.pixels);
    CHANGES[change](got, factor);
    for (const [value, expected] of pixels.entries()) {
      t.true(Math.abs((got[value] as number) - expected) < 1e-3, `value ${value}: ${got[value]} for ${expected}`);
    }
  });
}

function jittered(pixels: Float32Array, id: number, spec: JitterSpec): Float32Array {
  const copy = pixels.slice();
  jitterImage(copy, id, { ...NO_VIEWS, seed: 77, number: 4 }, spec);
  return copy;
}

function randomPixels(random: Random): Float32Array {
  return Float32Array.from({ length: 3 * between(random, 1, 20) }, () => between(random, 0, 255));
}

test('factors are uniform within what is asked for, and never negative', (t) => {
  const factors = (strength: number) =>
    Array.from({ length: 5000 }, (_, id) => {
      const [value] = jittered(Float32Array.of(60, 60, 60), id, { ...NONE, brightness: strength });
      return (value as number) / 60;
    });
  for (const [strength, least, most] of [
    [0.4, 0.6, 1.4],
    [2, 0, 3],
  ] as const) {
    const drawn = factors(strength);
    t.true(drawn.every((factor) => factor >= least - 1e-6 && factor <= most + 1e-6));
    const tenth = (most - least) / 10;
    for (let part = 0; part < 10; part++) {
      const from = least + part * tenth;
      const count = drawn.filter((factor) => factor >= from && factor < from + tenth).length;
      // Five standard deviations are 106.
      t.true(Math.abs(count - 500) < 106, `${count} of 500 from ${from}`);
    }
  }
});

test('the hue turns both ways, as far as is asked for', (t) => {
  // Red turned by x of the circle has 6x of its full value in green, turned back in blue.
  const turns = Array.from({ length: 5000 }, (_, id) => {
    const [, green, blue] = jittered(Float32Array.of(255, 0, 0), id, { ...NONE, hue: 0.1 });
    return ((green as number) - (blue as number)) / 255 / 6;
  });
  t.true(turns.every((turn) => Math.abs(turn) < 0.1 + 1e-6));
  t.true(Math.max(...turns) > 0.099 && Math.min(...turns) < -0.099);
  t.true(Math.abs(turns.reduce((sum, turn) => sum + turn, 0) / turns.length) < 0.005);
});

test('the changes come in every order, each with the factor that it has alone', (t) => {
  const spec: JitterSpec = { brightness: 0.8, contrast: 0.8, saturation: 0.8, hue: 0.3 };
  const kinds = Object.keys(CHANGES) as (keyof typeof CHANGES)[];
  const orders = permutations(kinds);
  const pixels = randomPixels(createRandom(19));
  const seen = new Map<string, number>();
  for (let id = 0; id < 1200; id++) {
    const factors = factorsOf(id, spec);
    const got = jittered(pixels, id, spec);
    const fitting = orders.filter((order) => {
      const expected = pixels.slice();
      for (const kind of order) CHANGES[kind](expected, factors[kind]);
      return expected.every((value, at) => Math.abs(value - (got[at] as number)) < 1e-3);
    });
    t.true(fitting.length > 0, `sample ${id}`);
    for (const order of fitting) seen.set(String(order), (seen.get(String(order)) ?? 0) + 1);
  }
  t.is(seen.size, 24);
  for (const [order, count] of seen) t.true(count > 20, `${order}: ${count}`);
});

/** The factor of each change, found from what it does alone to pixels that tell. */
function factorsOf(id: number, spec: JitterSpec): Record<keyof typeof CHANGES, number> {
  const alone = (kind: keyof typeof CHANGES, ...pixels: number[]) =>
    jittered(Float32Array.from(pixels), id, { ...NONE, [kind]: spec[kind] });
  const dark = alone('brightness', 60, 60, 60);
  // Two greys around 100 move away from it, or towards it.
  const contrasted = alone('contrast', 90, 90, 90, 110, 110, 110);
  const saturated = alone('saturation', 110, 100, 100);
  const turned = alone('hue', 255, 0, 0);
  const sextants =
    (turned[1] as number) > (turned[2] as number)
      ? sextantsOf(turned[0] as number, turned[1] as number)
      : -sextantsOf(turned[0] as number, turned[2] as number);
  return {
    brightness: (dark[0] as number) / 60,
    contrast: ((contrasted[3] as number) - (contrasted[0] as number)) / 20,
    saturation: ((saturated[0] as number) - (saturated[1] as number)) / 10,
    hue: sextants / 6,
  };
}

/** How far red was turned, from what is left of it and what has come up beside it. */
function sextantsOf(red: number, other: number): number {
  return other < 255 ? other / 255 : 2 - red / 255;
}

function permutations<T>(values: readonly T[]): T[][] {
  if (values.length === 0) return [[]];
  return values.flatMap((value, at) =>
    permutations(values.filter((_, other) => other !== at)).map((rest) => [value, ...rest]),
  );
}

test('without strength nothing changes', (t) =>
  forCases(t, 20, (random) => {
    const pixels = randomPixels(random);
    t.deepEqual(jittered(pixels, random.nextInt(1000), NONE), pixels);
  }));
