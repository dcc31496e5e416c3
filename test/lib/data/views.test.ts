import test from 'ava';
import { createRandom, type Random, shuffle } from '../../../lib/base/random.ts';
import type { ImageShape } from '../../../lib/data/manifest.ts';
import {
  applyViews,
  areOff,
  cropBox,
  mixImages,
  mixShares,
  NO_VIEWS,
  partnersOf,
  VIEW_PROTOCOL,
  type ViewRule,
  type ViewsSpec,
  viewNumber,
} from '../../../lib/data/views.ts';
import { onePool } from '../../helpers/one-pool.ts';
import { between, forCases } from '../../helpers/property.ts';

const CROP = { scale: [0.08, 1], ratio: [3 / 4, 4 / 3] } as const;
const PIXEL: ImageShape = { height: 1, width: 1, channels: 3 };
const JITTER = { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.2 };

/** In the order in which they are applied. */
const KINDS: readonly { kind: string; spec: Partial<ViewsSpec> }[] = [
  { kind: 'crop', spec: { crop: CROP } },
  { kind: 'flip and shift', spec: { flip: true, shift: 2 } },
  { kind: 'jitter', spec: { jitter: JITTER } },
  { kind: 'cutout', spec: { cutout: 3 } },
];

function ruleOf(random: Random, spec: Partial<ViewsSpec>): ViewRule {
  return { ...NO_VIEWS, ...spec, seed: random.nextUint32(), number: between(random, 0, 99) };
}

function randomShape(random: Random): ImageShape {
  return { height: between(random, 2, 9), width: between(random, 2, 9), channels: 3 };
}

function randomImages(random: Random, count: number, image: ImageShape): Float32Array {
  // Never 0, so that padding can be told from pixels.
  return Float32Array.from({ length: count * valuesOf(image) }, () => between(random, 1, 255));
}

function valuesOf({ height, width, channels }: ImageShape): number {
  return height * width * channels;
}

function imageAt(images: Float32Array, index: number, image: ImageShape): Float32Array {
  return images.subarray(index * valuesOf(image), (index + 1) * valuesOf(image));
}

/** The same image for every one of so many samples. */
function repeated(one: Float32Array, count: number): Float32Array {
  const images = new Float32Array(one.length * count);
  for (let index = 0; index < count; index++) images.set(one, index * one.length);
  return images;
}

function idsFrom(first: number, count: number, step = 1): Uint32Array {
  return Uint32Array.from({ length: count }, (_, index) => first + index * step);
}

function viewed(images: Float32Array, ids: ArrayLike<number>, image: ImageShape, rule: ViewRule): Float32Array {
  const copy = images.slice();
  applyViews(copy, ids, image, rule);
  return copy;
}

/** One pixel at a time, as the definition reads: mirror, then move. */
function dumbView(
  pixels: Float32Array,
  image: ImageShape,
  mirrored: boolean,
  right: number,
  down: number,
): Float32Array {
  const { height, width, channels } = image;
  const result = new Float32Array(pixels.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const fromY = y - down;
      const fromX = x - right;
      if (fromY < 0 || fromY >= height || fromX < 0 || fromX >= width) continue;
      const sourceX = mirrored ? width - 1 - fromX : fromX;
      for (let c = 0; c < channels; c++) {
        result[(y * width + x) * channels + c] = pixels[(fromY * width + sourceX) * channels + c] as number;
      }
    }
  }
  return result;
}

/** Every view that the rule allows, by its name. */
function allViews(pixels: Float32Array, image: ImageShape, rule: ViewRule): Map<string, Float32Array> {
  const views = new Map<string, Float32Array>();
  for (const mirrored of rule.flip ? [false, true] : [false]) {
    for (let right = -rule.shift; right <= rule.shift; right++) {
      for (let down = -rule.shift; down <= rule.shift; down++) {
        views.set(`${mirrored} ${right} ${down}`, dumbView(pixels, image, mirrored, right, down));
      }
    }
  }
  return views;
}

test('every flip and shift is one of those that a dumb reference draws, and all of them occur', (t) =>
  forCases(t, 12, (random) => {
    const image = { height: between(random, 2, 6), width: between(random, 2, 6), channels: 3 };
    const rule = ruleOf(random, { flip: random.nextInt(2) === 1, shift: random.nextInt(3) });
    const one = randomImages(random, 1, image);
    const ids = idsFrom(0, 600, 7);
    const got = viewed(repeated(one, ids.length), ids, image, rule);
    const expected = [...allViews(one, image, rule).values()].map(String);
    const seen = new Set<string>();
    for (const index of ids.keys()) seen.add(String(imageAt(got, index, image)));
    t.deepEqual([...seen].sort(), [...new Set(expected)].sort());
  }));

test('a shift beyond the image leaves nothing but padding or a part of it', (t) =>
  forCases(t, 20, (random) => {
    const image = { height: 3, width: 4, channels: 3 };
    const rule = ruleOf(random, { flip: true, shift: 9 });
    const ids = idsFrom(0, 20);
    const images = randomImages(random, ids.length, image);
    const got = viewed(images, ids, image, rule);
    for (const id of ids) {
      const expected = [...allViews(imageAt(images, id, image), image, rule).values()].map(String);
      t.true(expected.includes(String(imageAt(got, id, image))));
    }
  }));

test('half of the images are mirrored', (t) => {
  const image = { height: 1, width: 2, channels: 3 };
  const count = 10_000;
  const images = repeated(Float32Array.of(1, 1, 1, 9, 9, 9), count);
  const got = viewed(images, idsFrom(0, count), image, ruleOf(createRandom(7), { flip: true }));
  let mirrored = 0;
  for (let index = 0; index < count; index++) mirrored += got[index * 6] === 9 ? 1 : 0;
  // Five standard deviations are 250.
  t.true(Math.abs(mirrored - count / 2) < 250, `${mirrored} of ${count}`);
});

test('the flip does not change the shifts', (t) => {
  // Rows tell how far an image moved up or down, whether it is mirrored or not.
  const image = { height: 6, width: 1, channels: 3 };
  const ids = idsFrom(0, 50);
  const images = repeated(
    Float32Array.from({ length: 18 }, (_, value) => 1 + Math.floor(value / 3)),
    ids.length,
  );
  const rule = ruleOf(createRandom(5), { shift: 2 });
  t.deepEqual(viewed(images, ids, image, { ...rule, flip: true }), viewed(images, ids, image, rule));
});

test('cutout blanks a square with the mean colour, around any pixel', (t) =>
  forCases(t, 8, (random) => {
    const image = { height: between(random, 2, 6), width: between(random, 2, 6), channels: 3 };
    const rule = ruleOf(random, { cutout: between(random, 1, 7) });
    const one = randomImages(random, 1, image);
    const mean = [0, 1, 2].map((channel) => {
      const values = one.filter((_, value) => value % 3 === channel);
      return Math.fround(values.reduce((sum, value) => sum + value, 0) / values.length);
    });
    const expected = new Set<string>();
    for (let x = 0; x < image.width; x++) {
      for (let y = 0; y < image.height; y++) {
        const cut = one.map((value, at) => {
          const column = Math.floor(at / 3) % image.width;
          const row = Math.floor(at / 3 / image.width);
          const within = (place: number, centre: number) => {
            const offset = place - (centre - Math.floor(rule.cutout / 2));
            return offset >= 0 && offset < rule.cutout;
          };
          return within(column, x) && within(row, y) ? (mean[at % 3] as number) : value;
        });
        expected.add(String(cut));
      }
    }
    const ids = idsFrom(3, 600, 5);
    const got = viewed(repeated(one, ids.length), ids, image, rule);
    const seen = new Set<string>();
    for (const index of ids.keys()) seen.add(String(imageAt(got, index, image)));
    t.deepEqual([...seen].sort(), [...expected].sort());
  }));

test('a view follows from seed, view number and sample, whatever the batch it is computed in', (t) =>
  forCases(t, 20, (random) => {
    const image = randomShape(random);
    const rule = ruleOf(random, {
      ...Object.assign({}, ...KINDS.filter(() => random.nextInt(4) > 0).map(({ spec }) => spec)),
      mixup: random.nextInt(2),
      cutmix: random.nextInt(2),
    });
    const ids = idsFrom(100, 40);
    const images = randomImages(random, ids.length, image);
    const together = mixedViews(images, ids, ids, image, rule);
    t.deepEqual(mixedViews(images, ids, ids, image, rule), together);
    const order = shuffle(ids.slice(), random);
    for (let from = 0, size = 1; from < order.length; from += size, size = between(random, 1, 9)) {
      const batch = order.slice(from, from + size);
      const part = mixedViews(images, ids, batch, image, rule);
      for (const [index, id] of batch.entries()) {
        t.deepEqual(imageAt(part, index, image), imageAt(together, id - 100, image));
      }
    }
  }));

/** As a data set does it: views of the batch, views of its partners, mixed. @param pool the samples of `images` */
function mixedViews(
  images: Float32Array,
  pool: Uint32Array,
  ids: Uint32Array,
  image: ImageShape,
  rule: ViewRule,
): Float32Array {
  const load = (wanted: Uint32Array) => {
    const loaded = new Float32Array(wanted.length * valuesOf(image));
    for (const [index, id] of wanted.entries()) {
      loaded.set(imageAt(images, id - (pool[0] as number), image), index * valuesOf(image));
    }
    applyViews(loaded, wanted, image, rule);
    return loaded;
  };
  const own = load(ids);
  const partners = partnersOf(ids, onePool(pool), rule);
  if (partners !== null) mixImages(own, load(partners), ids, image, rule);
  return own;
}

for (const { kind, spec } of KINDS) {
  test(`seed, view number and sample each change the views: ${kind}`, (t) => {
    const image = { height: 8, width: 8, channels: 3 };
    const ids = idsFrom(0, 16);
    const random = createRandom(11);
    const images = repeated(randomImages(random, 1, image), ids.length);
    const rule = ruleOf(random, spec);
    const base = viewed(images, ids, image, rule);
    t.false(areOff(rule));
    t.notDeepEqual(base, images);
    t.notDeepEqual(viewed(images, ids, image, { ...rule, seed: rule.seed + 1 }), base);
    t.notDeepEqual(viewed(images, ids, image, { ...rule, number: rule.number + 1 }), base);
    t.notDeepEqual(viewed(images, idsFrom(16, 16), image, rule), base);
  });
}

test('every kind of change draws for itself, and they come one after the other', (t) =>
  forCases(t, 30, (random) => {
    const image = randomShape(random);
    const chosen = KINDS.filter(() => random.nextInt(3) > 0);
    const rule = ruleOf(random, Object.assign({}, ...chosen.map(({ spec }) => spec)));
    const ids = idsFrom(random.nextInt(1000), 12);
    const images = randomImages(random, ids.length, image);
    let expected = images;
    for (const { spec } of chosen) {
      const { seed, number } = rule;
      expected = viewed(expected, ids, image, { ...NO_VIEWS, ...spec, seed, number });
    }
    t.deepEqual(viewed(images, ids, image, rule), expected, chosen.map(({ kind }) => kind).join(', '));
  }));

test('images that come cropped are not cropped again', (t) => {
  const image = { height: 6, width: 5, channels: 3 };
  const random = createRandom(3);
  const ids = idsFrom(0, 9);
  const images = randomImages(random, ids.length, image);
  const rule = ruleOf(random, { crop: CROP, flip: true });
  const cropped = images.slice();
  applyViews(cropped, ids, image, rule, { cropped: true });
  t.deepEqual(cropped, viewed(images, ids, image, { ...rule, crop: undefined }));
});

test('pixels stay within 0 and 255, however strong the views', (t) =>
  forCases(t, 60, (random) => {
    const image = randomShape(random);
    const upTo = (most: number) => random.nextFloat() * most;
    const rule = ruleOf(random, {
      crop: { scale: [0.001, 1], ratio: [0.05, 20] },
      jitter: { brightness: upTo(9), contrast: upTo(9), saturation: upTo(9), hue: upTo(0.5) },
      shift: random.nextInt(17),
      cutout: random.nextInt(20),
      mixup: upTo(2),
      cutmix: upTo(2),
    });
    const ids = idsFrom(0, 10);
    const images = Float32Array.from({ length: 10 * valuesOf(image) }, () => (random.nextInt(2) ? 255 : upTo(255)));
    t.true(mixedViews(images, ids, ids, image, rule).every((value) => value >= 0 && value <= 255));
  }));

test('without views pixels stay as they are', (t) => {
  const image = { height: 2, width: 2, channels: 3 };
  const rule = { ...NO_VIEWS, seed: 1, number: 0 };
  const images = randomImages(createRandom(2), 3, image);
  t.true(areOff(rule));
  t.deepEqual(viewed(images, [9, 3, 7], image, rule), images);
  t.is(cropBox(9, rule, image), null);
  t.is(partnersOf([9], onePool(Uint32Array.of(9, 12)), rule), null);
});

test('a cycle of views comes again', (t) => {
  const numbers = (cycle?: number) => [0, 1, 2, 3, 4, 5, 6].map((epoch) => viewNumber({ cycle }, epoch));
  t.deepEqual(numbers(), [0, 1, 2, 3, 4, 5, 6]);
  t.deepEqual(numbers(1), [0, 0, 0, 0, 0, 0, 0]);
  t.deepEqual(numbers(3), [0, 1, 2, 0, 1, 2, 0]);
});

// Drawn by the rule when it was laid down. A change of what follows is a new rule: raise VIEW_PROTOCOL.
test('the rule of view protocol 2 is frozen', (t) => {
  t.is(VIEW_PROTOCOL, 2);
  const ids = [0, 1, 2, 59_999];
  const rule = { ...NO_VIEWS, seed: 42, number: 7 };
  const image = { height: 3, width: 3, channels: 3 };
  const grey = Float32Array.from({ length: 27 }, (_, value) => 1 + Math.floor(value / 3));
  const reds = (spec: Partial<ViewsSpec>) =>
    viewed(repeated(grey, ids.length), ids, image, { ...rule, ...spec }).filter((_, value) => value % 3 === 0);
  const moved = [
    [6, 5, 4, 9, 8, 7, 0, 0, 0], // mirrored, up
    [0, 0, 0, 2, 1, 0, 5, 4, 0], // mirrored, left and down
    [0, 0, 0, 0, 3, 2, 0, 6, 5], // mirrored, right and down
    [0, 0, 0, 0, 3, 2, 0, 6, 5],
  ];
  t.deepEqual([...reds({ flip: true, shift: 1 })], moved.flat());
  const cut = [
    [5, 5, 3, 5, 5, 6, 7, 8, 9],
    [1, 2, 3, 5, 5, 6, 5, 5, 9],
    [5, 5, 3, 5, 5, 6, 7, 8, 9],
    [1, 2, 3, 5, 5, 6, 5, 8, 9],
  ];
  t.deepEqual([...reds({ cutout: 2 })], cut.flat());
  const colours = viewed(repeated(Float32Array.of(200, 100, 50), ids.length), ids, PIXEL, { ...rule, jitter: JITTER });
  t.deepEqual(Array.from(colours, Math.round), [200, 145, 124, 158, 23, 114, 144, 57, 50, 108, 165, 8]);
  const boxes = ids.map((id) => Object.values(cropBox(id, { ...rule, crop: CROP }, { width: 640, height: 480 }) ?? {}));
  t.deepEqual(boxes, [
    [19, 24, 481, 367],
    [329, 60, 242, 309],
    [71, 57, 170, 189],
    [62, 68, 268, 346],
  ]);
  const mixing = { ...rule, mixup: 0.4, cutmix: 1 };
  t.deepEqual([...(partnersOf(ids, onePool(idsFrom(0, 50_000)), mixing) ?? [])], [17_509, 11_364, 29_758, 42_908]);
  const shares = mixShares(ids, mixing, { height: 8, width: 8, channels: 3 });
  t.deepEqual(
    Array.from(shares, (share) => Math.round(share * 10_000)),
    [9375, 7656, 10_000, 9375],
  );
});
