/** Pictures become the pixels that PIL and torchvision make of them (scripts/goldens/images.py), or one clear error. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import sharp from 'sharp';
import { decodeImage, imageSize } from '../../../lib/data/decode-image.ts';
import type { ImageBox } from '../../../lib/data/image-box.ts';
import { withinBounds } from '../../helpers/bounds.ts';

interface ImageGolden {
  readonly file: string;
  readonly what: 'squash' | 'crop' | 'box';
  readonly height: number;
  readonly width: number;
  readonly box?: ImageBox;
  /** Uint8 [height, width, 3], base64. */
  readonly pixels: string;
}

const root = path.resolve(fileURLToPath(import.meta.url), '../../..');
const goldens: ImageGolden[] = JSON.parse(readFileSync(path.join(root, 'goldens/images.json'), 'utf8'));
const fixture = (name: string) => readFile(path.join(root, 'fixtures/images', name));

function difference(actual: Uint8Array, expected: Uint8Array): { max: number; mean: number } {
  const differences = actual.map((value, at) => Math.abs(value - (expected[at] as number)));
  return {
    max: differences.reduce((max, value) => Math.max(max, value), 0),
    mean: differences.reduce((sum, value) => sum + value, 0) / actual.length,
  };
}

/** PIL converts CMYK by a formula, libvips by a profile of printing inks: colours differ, but not which they are. */
const isManaged = ({ file }: ImageGolden) => file === 'cmyk.jpg';
const isNatural = ({ file, height, width }: ImageGolden) =>
  !(height === 24 && width === 32) && !(file.startsWith('exif') && height === 32 && width === 24);

for (const golden of goldens) {
  const { file, what, height, width, box, pixels } = golden;
  test(`${file} as PIL has it: ${what} to ${height}x${width}`, async (t) => {
    const expected = Buffer.from(pixels, 'base64');
    const fit = what === 'crop' ? 'crop' : 'squash';
    const actual = await decodeImage(await fixture(file), { height, width }, { fit, box, where: file });
    t.is(actual.length, expected.length);
    const { max, mean } = difference(actual, expected);
    const [maxAllowed, meanAllowed] = isManaged(golden) ? [110, 30] : isNatural(golden) ? [12, 1.7] : [0, 0];
    t.true(max <= maxAllowed && mean <= meanAllowed, `max ${max}, mean ${mean}`);
  });
}

test('the size is that of the picture seen upright', async (t) => {
  t.deepEqual(await imageSize(await fixture('rgb.jpg'), 'a'), { height: 24, width: 32 });
  t.deepEqual(await imageSize(await fixture('exif-6.jpg'), 'a'), { height: 32, width: 24 });
  t.deepEqual(await imageSize(await fixture('rgba.webp'), 'a'), { height: 24, width: 32 });
});

test('a colour profile is honoured: the same colour in another space has the same pixels', async (t) => {
  const background = { r: 40, g: 180, b: 90 };
  const plain = sharp({ create: { width: 8, height: 8, channels: 3, background } });
  const wide = await plain.clone().withIccProfile('p3').png().toBuffer();
  const ignored = await sharp(wide, { ignoreIcc: true }).raw().toBuffer();
  t.true(difference(ignored, await plain.clone().raw().toBuffer()).max > 20);
  const actual = await decodeImage(wide, { height: 8, width: 8 }, { fit: 'squash', where: 'wide' });
  t.true(difference(actual, await plain.raw().toBuffer()).max <= 2);
});

test.serial('a picture longer than any is cropped within bounded memory', async (t) => {
  const background = { r: 10, g: 200, b: 30 };
  const long = await sharp({ create: { width: 30_000, height: 2, channels: 3, background } })
    .png()
    .toBuffer();
  const size = { height: 224, width: 224 };
  // All of it scaled to 256 rows would be 2.9 GB.
  const pixels = await withinBounds(t, () => decodeImage(long, size, { fit: 'crop', where: 'long' }));
  t.deepEqual([...pixels.subarray(0, 3)], [10, 200, 30]);
  t.is(pixels.length, 224 * 224 * 3);
});

const whole = { height: 12, width: 10 };

function withJpegSize(jpeg: Uint8Array, side: number): Buffer {
  const bytes = Buffer.from(jpeg);
  const frame = bytes.indexOf(Buffer.from([0xff, 0xc0]));
  bytes.writeUInt16BE(side, frame + 5);
  bytes.writeUInt16BE(side, frame + 7);
  return bytes;
}

test('damaged pictures are refused, naming the file', async (t) => {
  const jpeg = await fixture('rgb.jpg');
  const png = await fixture('rgb.png');
  const webp = await fixture('rgb.webp');
  const flipped = Buffer.from(png);
  flipped[100] = (flipped[100] as number) ^ 0xff;
  const cases: [string, Uint8Array, RegExp][] = [
    ['nothing', new Uint8Array(0), /^a\.jpg is no JPEG, PNG or WebP file/],
    ['another format', Buffer.from('GIF89a\x01\x00\x01\x00'), /is no JPEG, PNG or WebP file/],
    ['a vector drawing', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), /is no JPEG, PNG or WebP file/],
    ['a JPEG cut off', jpeg.subarray(0, jpeg.length - 200), /cannot be decoded: it is damaged or cut off/],
    ['a JPEG without its end', jpeg.subarray(0, jpeg.length - 2), /cannot be decoded/],
    ['a progressive JPEG cut off', (await fixture('progressive.jpg')).subarray(0, 900), /cannot be decoded/],
    ['a header alone', jpeg.subarray(0, 4), /cannot be decoded/],
    ['a PNG cut off', png.subarray(0, png.length - 40), /cannot be decoded/],
    ['a PNG with a wrong checksum', flipped, /cannot be decoded/],
    ['a WebP cut off', webp.subarray(0, webp.length - 20), /cannot be decoded/],
    ['a JPEG of 4 gigapixels', withJpegSize(jpeg, 65_500), /exceeds pixel limit/],
  ];
  for (const [what, bytes, message] of cases) {
    await t.throwsAsync(
      decodeImage(bytes, whole, { fit: 'squash', where: 'a.jpg' }),
      { code: 'DATA_LOSS', message },
      what,
    );
  }
  await t.throwsAsync(imageSize(jpeg.subarray(0, 4), 'b.jpg'), { code: 'DATA_LOSS', message: /^b\.jpg cannot be/ });
});
