import test from 'ava';
import { scaleImages } from '../../../lib/data/scale-images.ts';
import { between, forCases } from '../../helpers/property.ts';

/** Of one channel; `Image.resize` of Pillow 12, BILINEAR, of (37 row + 91 column + 13) mod 256. It rounds between rows and columns too. */
const PILLOW = [
  { from: [5, 4], to: [2, 3], expected: [77, 152, 95, 151, 139, 117] },
  {
    from: [2, 3],
    to: [4, 5],
    expected: [13, 49, 104, 159, 195, 22, 58, 113, 168, 204, 41, 77, 132, 187, 223, 50, 86, 141, 196, 232],
  },
  { from: [6, 6], to: [4, 4], expected: [61, 160, 93, 192, 113, 117, 125, 137, 166, 123, 141, 105, 158, 122, 136, 93] },
] as const;

const shape = ([height, width]: readonly [number, number], channels: number) => ({ height, width, channels });

for (const { from, to, expected } of PILLOW) {
  test(`${from} to ${to} as Pillow scales, to a rounding`, (t) => {
    const [height, width] = from;
    const image = Float32Array.from(
      { length: height * width },
      (_, at) => (37 * Math.floor(at / width) + 91 * (at % width) + 13) % 256,
    );
    const scaled = scaleImages(image, shape(from, 1), shape(to, 1));
    t.is(scaled.length, expected.length);
    for (const [at, value] of scaled.entries())
      t.true(Math.abs(value - (expected[at] as number)) <= 1, `${at}: ${value}`);
  });
}

test('images and channels are scaled each by themselves, constant ones stay', (t) =>
  forCases(t, 40, (random) => {
    const from = shape([between(random, 1, 9), between(random, 1, 9)], 3);
    const to = shape([between(random, 1, 9), between(random, 1, 9)], 3);
    const values = from.height * from.width;
    const count = between(random, 1, 3);
    const images = Float32Array.from({ length: count * values * 3 }, (_, at) =>
      at % 3 === 2 ? 200 : random.nextInt(256),
    );
    const before = images.slice();
    const scaled = scaleImages(images, from, to);
    t.deepEqual(images, before);
    for (let image = 0; image < count; image++) {
      for (let channel = 0; channel < 3; channel++) {
        const alone = Float32Array.from(
          { length: values },
          (_, at) => images[(image * values + at) * 3 + channel] as number,
        );
        const expected = scaleImages(alone, { ...from, channels: 1 }, { ...to, channels: 1 });
        for (const [at, value] of expected.entries()) {
          t.is(scaled[(image * to.height * to.width + at) * 3 + channel], value);
          if (channel === 2) t.is(value, 200);
        }
      }
    }
  }));
