/** Whatever views and normalisation a job file may ask for, what a network sees are numbers. */
import test from 'ava';
import type { Random } from '../../../lib/base/random.ts';
import { applyViews, mixImages, PartnerPools, partnersOf, type ViewsSpec } from '../../../lib/data/views.ts';
import { normalize, viewsSchema } from '../../../lib/wire/data-schema.ts';
import { between, forCases } from '../../helpers/property.ts';

/** What somebody might write: the limits, what is far beyond them, and what is hardly more than nothing. */
const EXTREMES = [
  0,
  5e-324,
  1e-300,
  1e-7,
  1e-6,
  0.01,
  0.5,
  1,
  2,
  10,
  16,
  100,
  1000,
  1024,
  1e9,
  1e300,
  Number.MAX_VALUE,
];

const extreme = (random: Random) => EXTREMES[random.nextInt(EXTREMES.length)] as number;
const span = (random: Random) => [extreme(random), extreme(random)].sort((a, b) => a - b);

/** One draw after another, until the schema takes one. */
function accepted<T>(draw: () => unknown, schema: { safeParse(value: unknown): { data?: T | undefined } }): T {
  for (;;) {
    const { data } = schema.safeParse(draw());
    if (data !== undefined) return data;
  }
}

test('at the extremes of the schema every pixel is a number from 0 to 255', (t) =>
  forCases(t, 400, (random) => {
    const parts = viewsSchema.shape;
    const views = viewsSchema.parse({
      flip: random.nextInt(2) === 0,
      shift: accepted(() => extreme(random), parts.shift),
      crop: accepted(() => ({ scale: span(random), ratio: span(random) }), parts.crop),
      jitter: accepted(
        () => ({
          ...{ brightness: extreme(random), contrast: extreme(random) },
          ...{ saturation: extreme(random), hue: extreme(random) },
        }),
        parts.jitter,
      ),
      cutout: accepted(() => extreme(random), parts.cutout),
      mixup: accepted(() => extreme(random), parts.mixup),
      cutmix: accepted(() => extreme(random), parts.cutmix),
    }) as ViewsSpec;
    const image = { height: between(random, 1, 9), width: between(random, 1, 9), channels: 3 };
    const rule = { ...views, seed: random.nextUint32(), number: random.nextInt(5) };
    const ids = Uint32Array.from({ length: 8 }, (_, id) => id);
    const pixel = random.nextInt(3) === 0 ? () => 255 * random.nextInt(2) : () => random.nextInt(256);
    const images = Float32Array.from({ length: 8 * 3 * image.height * image.width }, pixel);
    const partners = partnersOf(ids, new PartnerPools({ ids, shards: [{ firstId: 0, records: 8 }] }), rule);
    const mixedIn = images.slice();
    applyViews(images, ids, image, rule);
    if (partners !== null) {
      applyViews(mixedIn, partners, image, rule);
      mixImages(images, mixedIn, ids, image, rule);
    }
    // A blend of two float32 may end a rounding beyond both.
    t.true(
      images.every((value) => value >= 0 && value <= 255.001),
      JSON.stringify(rule),
    );
  }));

test('pixels that are normalised by any numbers that a job may name are numbers', (t) =>
  forCases(t, 200, (random) => {
    const three = () => [extreme(random), extreme(random), extreme(random)];
    const spec = accepted(() => ({ mean: [0, 0.5, 1], std: three() }), normalize);
    if (typeof spec !== 'object') throw new Error(`expected numbers, got ${spec}`);
    for (const [channel, mean] of spec.mean.entries()) {
      for (const pixel of [0, 255]) {
        const value = Math.fround(Math.fround(pixel / 255 - mean) / Math.fround(spec.std[channel] as number));
        t.true(Math.abs(value) <= 1e6 * 1.001, `${value}`);
      }
    }
  }));
