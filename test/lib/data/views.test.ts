import test from 'ava';
import type { Random } from '../../../lib/base/random.ts';
import { epochOrder } from '../../../lib/data/lanes.ts';
import type { ImageShape } from '../../../lib/data/manifest.ts';
import { applyViews, VIEW_PROTOCOL, type ViewRule } from '../../../lib/data/views.ts';
import { between, forCases } from '../../helpers/property.ts';

function randomImages(random: Random, count: number, image: ImageShape): Float32Array {
  // Never 0, so that padding can be told from pixels.
  return Float32Array.from({ length: count * image.height * image.width * image.channels }, () =>
    between(random, 1, 255),
  );
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

test('every view is one of those that a dumb reference draws, and all of them occur', (t) =>
  forCases(t, 12, (random) => {
    const image = { height: between(random, 2, 6), width: between(random, 2, 6), channels: between(random, 1, 3) };
    const rule = {
      seed: random.nextUint32(),
      epoch: between(random, 0, 9),
      flip: random.nextInt(2) === 1,
      shift: random.nextInt(3),
    };
    const values = image.height * image.width * image.channels;
    const one = randomImages(random, 1, image);
    const ids = Uint32Array.from({ length: 600 }, (_, index) => index * 7);
    const images = new Float32Array(ids.length * values);
    for (let index = 0; index < ids.length; index++) images.set(one, index * values);
    const got = viewed(images, ids, image, rule);
    const expected = [...allViews(one, image, rule).values()].map(String);
    const seen = new Set<string>();
    for (let index = 0; index < ids.length; index++)
      seen.add(String(got.subarray(index * values, (index + 1) * values)));
    t.true([...seen].every((view) => expected.includes(view)));
    t.deepEqual([...seen].sort(), [...new Set(expected)].sort());
  }));

test('a shift beyond the image leaves nothing but padding or a part of it', (t) =>
  forCases(t, 20, (random) => {
    const image = { height: 3, width: 4, channels: 2 };
    const rule = { seed: random.nextUint32(), epoch: 0, flip: true, shift: 9 };
    const ids = Uint32Array.from({ length: 20 }, (_, index) => index);
    const images = randomImages(random, ids.length, image);
    const got = viewed(images, ids, image, rule);
    for (const id of ids) {
      const expected = [...allViews(images.subarray(id * 24, id * 24 + 24), image, rule).values()].map(String);
      t.true(expected.includes(String(got.subarray(id * 24, id * 24 + 24))));
    }
  }));

test('a view follows from seed, epoch and sample, whatever the batch it is computed in', (t) =>
  forCases(t, 20, (random) => {
    const image = { height: 5, width: 4, channels: 3 };
    const values = 60;
    const rule = { seed: random.nextUint32(), epoch: between(random, 0, 99), flip: true, shift: 2 };
    const ids = Uint32Array.from({ length: 40 }, (_, index) => 100 + index);
    const images = randomImages(random, ids.length, image);
    const together = viewed(images, ids, image, rule);
    t.deepEqual(viewed(images, ids, image, rule), together);
    const imageOf = (all: Float32Array, id: number) => all.subarray((id - 100) * values, (id - 99) * values);
    const shuffled = epochOrder(ids, rule.seed, 1);
    for (let from = 0, size = 1; from < shuffled.length; from += size, size = between(random, 1, 9)) {
      const batch = shuffled.slice(from, from + size);
      const part = new Float32Array(batch.length * values);
      for (const [index, id] of batch.entries()) part.set(imageOf(images, id), index * values);
      applyViews(part, batch, image, rule);
      for (const [index, id] of batch.entries()) {
        t.deepEqual(part.subarray(index * values, (index + 1) * values), imageOf(together, id));
      }
    }
  }));

test('seed, epoch and sample each change the views', (t) => {
  const image = { height: 8, width: 8, channels: 1 };
  const ids = Uint32Array.from({ length: 16 }, (_, id) => id);
  const images = new Float32Array(16 * 64).map((_, index) => 1 + (index % 64));
  const rule = { seed: 5, epoch: 1, flip: true, shift: 3 };
  const base = viewed(images, ids, image, rule);
  t.notDeepEqual(viewed(images, ids, image, { ...rule, seed: 6 }), base);
  t.notDeepEqual(viewed(images, ids, image, { ...rule, epoch: 2 }), base);
  t.notDeepEqual(
    viewed(
      images,
      ids.map((id) => id + 16),
      image,
      rule,
    ),
    base,
  );
});

test('the flip does not change the shifts', (t) => {
  // Rows tell how far an image moved up or down, whether it is mirrored or not.
  const image = { height: 6, width: 1, channels: 1 };
  const ids = Uint32Array.from({ length: 50 }, (_, id) => id);
  const images = new Float32Array(300).map((_, index) => 1 + (index % 6));
  const rule = { seed: 5, epoch: 1, shift: 2 };
  t.deepEqual(
    viewed(images, ids, image, { ...rule, flip: true }),
    viewed(images, ids, image, { ...rule, flip: false }),
  );
});

test('without flip and shift pixels stay as they are', (t) => {
  const image = { height: 2, width: 2, channels: 1 };
  const images = Float32Array.of(1, 2, 3, 4);
  t.deepEqual(viewed(images, [9], image, { seed: 1, epoch: 0, flip: false, shift: 0 }), images);
});

test('the rule of view protocol 1 is frozen', (t) => {
  // Drawn by the rule when it was laid down. A change of these pixels is a new rule: raise VIEW_PROTOCOL.
  t.is(VIEW_PROTOCOL, 1);
  const image = { height: 3, width: 3, channels: 1 };
  const ids = [0, 1, 2, 59_999];
  const images = Float32Array.from({ length: 36 }, (_, index) => 1 + (index % 9));
  const got = viewed(images, ids, image, { seed: 42, epoch: 7, flip: true, shift: 1 });
  const expected = [
    [6, 5, 4, 9, 8, 7, 0, 0, 0], // mirrored, up
    [0, 0, 0, 2, 1, 0, 5, 4, 0], // mirrored, left and down
    [0, 0, 0, 0, 3, 2, 0, 6, 5], // mirrored, right and down
    [0, 0, 0, 0, 3, 2, 0, 6, 5],
  ];
  t.deepEqual([...got], expected.flat());
});
