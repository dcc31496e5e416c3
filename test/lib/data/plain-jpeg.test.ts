import test from 'ava';
import sharp, { type Sharp } from 'sharp';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { createRandom } from '../../../lib/base/random.ts';
import { decodeImage } from '../../../lib/data/decode-image.ts';
import { decodePlainJpeg, decodePlainJpegSync } from '../../../lib/data/plain-jpeg.ts';
import { forCases } from '../../helpers/property.ts';

const SIZE = { height: 48, width: 56 };

/** Soft shapes: what decoders round differently stays small. */
async function photograph(seed: number, width = 130, height = 90): Promise<Sharp> {
  const random = createRandom(seed);
  const small = Uint8Array.from({ length: 9 * 7 * 3 }, () => random.nextInt(256));
  const picture = sharp(small, { raw: { width: 9, height: 7, channels: 3 } });
  const pixels = await picture.resize(width, height, { fit: 'fill', kernel: 'cubic' }).raw().toBuffer();
  return sharp(pixels, { raw: { width, height, channels: 3 } });
}

test('pixels are those of the long way, up to the rounding of decoders', async (t) => {
  await forCases(t, 12, async (random, seed) => {
    const picture = await photograph(seed, 60 + random.nextInt(60), 60 + random.nextInt(60));
    const chromaSubsampling = random.nextInt(2) === 0 ? '4:2:0' : '4:4:4';
    const file = await picture
      .jpeg({ quality: 90, progressive: random.nextInt(2) === 0, chromaSubsampling })
      .toBuffer();
    const short = await decodePlainJpeg(file, SIZE, 'x');
    t.not(short, null);
    t.deepEqual(decodePlainJpegSync(file, SIZE, 'x'), short);
    const long = await decodeImage(file, SIZE, { fit: 'squash', where: 'x' });
    const differences = long.map((value, at) =>
      Math.abs(value - ((short as Uint8Array)[4 * Math.floor(at / 3) + (at % 3)] as number)),
    );
    t.true(Math.max(...differences) <= 16, `largest ${Math.max(...differences)}`);
    t.true(differences.reduce((sum, value) => sum + value, 0) / differences.length < 1);
  });
});

test('what is not plain takes the long way', async (t) => {
  const picture = await photograph(1);
  const others: [string, Buffer][] = [
    ['grey', await picture.clone().toColourspace('b-w').jpeg().toBuffer()],
    ['CMYK', await picture.clone().toColourspace('cmyk').jpeg().toBuffer()],
    ['turned', await picture.clone().withMetadata({ orientation: 6 }).jpeg().toBuffer()],
    ['a colour profile', await picture.clone().withIccProfile('p3').jpeg().toBuffer()],
    ['PNG', await picture.clone().png().toBuffer()],
    ['nothing', Buffer.alloc(0)],
    ['the first bytes', (await picture.clone().jpeg().toBuffer()).subarray(0, 40)],
  ];
  for (const [what, file] of others) {
    t.is(await decodePlainJpeg(file, SIZE, 'x'), null, what);
    t.is(decodePlainJpegSync(file, SIZE, 'x'), null, what);
  }
});

test('bytes changed at random: pixels or an error that names the file', async (t) => {
  const file = await (await photograph(2)).jpeg().toBuffer();
  await forCases(t, 150, async (random) => {
    const bytes = Uint8Array.from(file.subarray(0, 1 + random.nextInt(file.length)));
    for (let change = 0; change < 3; change++) bytes[random.nextInt(bytes.length)] = random.nextInt(256);
    for (const decode of [decodePlainJpeg, decodePlainJpegSync]) {
      try {
        const pixels = await decode(bytes, SIZE, 'shard at offset 7');
        t.true(pixels === null || pixels.length === 48 * 56 * 4);
      } catch (error) {
        t.true(error instanceof StillhouseError, String(error));
        t.is((error as StillhouseError).code, 'DATA_LOSS');
        t.regex((error as StillhouseError).message, /^shard at offset 7 cannot be decoded/);
      }
    }
  });
});
