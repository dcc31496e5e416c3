/**
 * Files damaged at random, and files made to unfold: every one is read, or refused with one clear error, within bounds of time and
 * memory; nothing is left behind.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { StillhouseError } from '../../../../lib/base/errors.ts';
import type { Random } from '../../../../lib/base/random.ts';
import { decodeImage, imageSize } from '../../../../lib/data/decode-image.ts';
import { openSource } from '../../../../lib/data/formats/open-source.ts';
import { withinBounds } from '../../../helpers/bounds.ts';
import { MatWriter } from '../../../helpers/mat-writer.ts';
import { forCases } from '../../../helpers/property.ts';
import { idxFile } from '../../../helpers/source-folders.ts';
import { tempFolder } from '../../../helpers/temp-folder.ts';

const fixtures = path.resolve(fileURLToPath(import.meta.url), '../../../../fixtures');

/** Numbers that lengths and counts are wrong by. */
const EDGES = [0, 1, 0x7f, 0xff, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff];

/** Bytes overwritten, cut out, doubled, put in or cut off; most often near the beginning, where the structure is. */
function damage(original: Uint8Array, random: Random): Buffer {
  let bytes = Buffer.from(original);
  for (let change = random.nextInt(3); change >= 0; change--) {
    const reach = random.nextInt(2) === 0 ? Math.min(256, bytes.length) : bytes.length;
    const at = random.nextInt(Math.max(1, reach));
    const length = 1 + random.nextInt(24);
    switch (random.nextInt(6)) {
      case 0:
        bytes[at] = (bytes[at] as number) ^ (1 << random.nextInt(8));
        break;
      case 1:
        for (let byte = at; byte < Math.min(at + length, bytes.length); byte++) bytes[byte] = random.nextInt(256);
        break;
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
        break;
      case 4:
        bytes = bytes.subarray(0, at);
        break;
      default: {
        const edge = EDGES[random.nextInt(EDGES.length)] as number;
        const place = Math.max(0, Math.min(at - (at % 4), bytes.length - 4));
        if (bytes.length < 4) break;
        if (random.nextInt(2) === 0) bytes.writeUInt32LE(edge, place);
        else bytes.writeUInt32BE(edge, place);
      }
    }
  }
  return bytes;
}

/** What bad input may end in. */
const EXPECTED_CODES = ['DATA_LOSS', 'INVALID_ARGUMENT', 'FAILED_PRECONDITION'];

/** @returns whether the work ended well. */
async function endsClearly(t: ExecutionContext, work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof StillhouseError && EXPECTED_CODES.includes(error.code)) return false;
    t.fail(error instanceof Error ? `${error.name}: ${error.stack}` : String(error));
    return false;
  }
}

/** All samples of a folder; a damaged one does not keep the others from being read. */
async function readAll(t: ExecutionContext, folder: string, scratch: string): Promise<void> {
  const source = await openSource(folder, { scratch });
  try {
    const { height, width, channels } = source.storage as { height: number; width: number; channels: number };
    t.true(source.count < 10_000, `${source.count} samples`);
    for (let index = 0; index < source.count; index++) {
      t.true(source.labelOf(index) < source.classNames.length);
      await endsClearly(t, async () => {
        t.is((await source.read(index)).length, height * width * channels);
      });
    }
  } finally {
    await source.close();
  }
}

interface Format {
  readonly name: string;
  readonly cases: number;
  readonly files: Readonly<Record<string, Uint8Array>>;
}

const pixels = (length: number) => Uint8Array.from({ length }, (_, at) => (at * 37) % 251);
const packed = new MatWriter({ packed: true });
const swapped = new MatWriter({ littleEndian: false });

function matFile(writer: MatWriter): Buffer {
  const images = writer.bytes('X', [32, 32, 3, 2], pixels(2 * 3072));
  return writer.file(images, writer.bytes('y', [2, 1], Uint8Array.of(10, 4)));
}

const idxFiles = {
  'train-images-idx3-ubyte': idxFile([4, 5, 6], pixels(120)),
  'train-labels-idx1-ubyte': idxFile([4], Uint8Array.of(0, 1, 2, 9)),
  't10k-images-idx3-ubyte': idxFile([1, 5, 6], pixels(30)),
  't10k-labels-idx1-ubyte': idxFile([1], Uint8Array.of(3)),
};

const FORMATS: Format[] = [
  { name: 'IDX', cases: 150, files: idxFiles },
  {
    name: 'IDX.gz',
    cases: 150,
    files: Object.fromEntries(Object.entries(idxFiles).map(([name, bytes]) => [`${name}.gz`, gzipSync(bytes)])),
  },
  {
    name: 'SVHN packed',
    cases: 200,
    files: { 'train_32x32.mat': matFile(packed), 'test_32x32.mat': matFile(packed) },
  },
  {
    name: 'SVHN plain, big-endian',
    cases: 150,
    files: { 'train_32x32.mat': matFile(swapped), 'test_32x32.mat': matFile(swapped) },
  },
  {
    name: 'CIFAR-100',
    cases: 80,
    files: {
      'train.bin': pixels(3074 * 2),
      'test.bin': pixels(3074),
      'fine_label_names.txt': Buffer.from(Array.from({ length: 251 }, (_, at) => `class ${at}\n`).join('')),
    },
  },
];

/** Gzip of so many times 32 MiB of zeros after `head`, in a thousandth of that. */
function unfoldingGzip(head: Uint8Array, times: number): Buffer {
  const zeros = gzipSync(new Uint8Array(2 ** 25));
  return Buffer.concat([gzipSync(head), ...Array.from({ length: times }, () => zeros)]);
}

const MANY = 20 * 2 ** 25;

for (const [what, images, labels] of [
  ['labels', idxFiles['train-images-idx3-ubyte'], unfoldingGzip(idxFile([MANY], new Uint8Array()), 20)],
  ['images and labels', ...[[MANY, 1, 1], [MANY]].map((sizes) => unfoldingGzip(idxFile(sizes, new Uint8Array()), 20))],
  ['images, beyond what they announce', unfoldingGzip(idxFiles['train-images-idx3-ubyte'], 20), null],
] as const) {
  test.serial(`IDX.gz of 600 kB that unfold to 640 MiB are refused: ${what}`, async (t) => {
    const [folder, scratch] = [await tempFolder(t), await tempFolder(t)];
    const [imagesName, labelsName] = ['train-images-idx3-ubyte', 'train-labels-idx1-ubyte'] as const;
    const { [imagesName]: _, [labelsName]: plainLabels, ...test } = idxFiles;
    const packed = (bytes: Uint8Array) => (bytes[0] === 0 ? gzipSync(bytes) : bytes);
    const files = {
      ...test,
      [`${imagesName}.gz`]: packed(images),
      [`${labelsName}.gz`]: packed(labels ?? plainLabels),
    };
    for (const [name, bytes] of Object.entries(files)) await writeFile(path.join(folder, name), bytes);
    t.false(await withinBounds(t, () => endsClearly(t, () => readAll(t, folder, scratch))));
    t.deepEqual(await readdir(scratch), []);
  });
}

for (const { name, cases, files } of FORMATS) {
  test.serial(`${name}: damaged files are read or refused`, async (t) => {
    const root = await tempFolder(t);
    const scratch = await tempFolder(t);
    let read = 0;
    await forCases(t, cases, async (random, seed) => {
      const folder = path.join(root, String(seed));
      await mkdir(folder);
      const names = Object.keys(files);
      const target = names[random.nextInt(names.length)] as string;
      for (const [file, bytes] of Object.entries(files)) {
        await writeFile(path.join(folder, file), file === target ? damage(bytes, random) : bytes);
      }
      if (await withinBounds(t, () => endsClearly(t, () => readAll(t, folder, scratch)))) read++;
    });
    t.deepEqual(await readdir(scratch), []);
    t.true(read < cases, 'nothing was refused');
  });
}

for (const file of ['rgb.jpg', 'progressive.jpg', 'exif-6.jpg', 'cmyk.jpg', 'rgba.png', 'palette.png', 'rgb.webp']) {
  test.serial(`${file}: damaged pictures are decoded or refused`, async (t) => {
    const original = await readFile(path.join(fixtures, 'images', file));
    const size = { height: 10, width: 12 };
    let decoded = 0;
    await forCases(t, 60, async (random) => {
      const bytes = damage(original, random);
      const fit = random.nextInt(2) === 0 ? 'squash' : 'crop';
      const decode = async () => {
        await imageSize(bytes, file);
        t.is((await decodeImage(bytes, size, { fit, where: file })).length, 360);
      };
      if (await withinBounds(t, () => endsClearly(t, decode))) decoded++;
    });
    t.true(decoded < 60, 'nothing was refused');
  });
}
