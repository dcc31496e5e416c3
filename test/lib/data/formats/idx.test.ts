/** IDX files, plain and packed, and what is refused. */
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { createRandom } from '../../../../lib/base/random.ts';
import { openSource } from '../../../../lib/data/formats/open-source.ts';
import type { SourceOptions } from '../../../../lib/data/formats/source-options.ts';
import { idxFile } from '../../../helpers/source-folders.ts';
import { tempFolder } from '../../../helpers/temp-folder.ts';

const random = createRandom(417);
const bytes = (length: number) => Uint8Array.from({ length }, () => random.nextInt(256));

const TRAIN_IMAGES = 'train-images-idx3-ubyte';
const TRAIN_LABELS = 'train-labels-idx1-ubyte';
const PIXELS = { train: bytes(3 * 4 * 5), test: bytes(2 * 4 * 5) };

/** Three images of 4x5 for training, two for testing; `changes` replaces files, null removes them. */
async function idxFolder(
  t: ExecutionContext,
  changes: Readonly<Record<string, Uint8Array | string | null>> = {},
): Promise<string> {
  const folder = await tempFolder(t);
  const files = {
    [TRAIN_IMAGES]: idxFile([3, 4, 5], PIXELS.train),
    [TRAIN_LABELS]: idxFile([3], Uint8Array.of(7, 0, 9)),
    't10k-images-idx3-ubyte': idxFile([2, 4, 5], PIXELS.test),
    't10k-labels-idx1-ubyte': idxFile([2], Uint8Array.of(1, 2)),
    ...changes,
  };
  for (const [name, content] of Object.entries(files)) {
    if (content !== null) await writeFile(path.join(folder, name), content);
  }
  return folder;
}

async function scratchOptions(t: ExecutionContext): Promise<SourceOptions> {
  return { scratch: await tempFolder(t) };
}

test('packed and plain files as torchvision reads them (scripts/goldens/idx.py)', async (t) => {
  const root = path.resolve(fileURLToPath(import.meta.url), '../../../..');
  const golden = JSON.parse(await readFile(path.join(root, 'goldens/idx.json'), 'utf8'));
  const folder = path.join(await tempFolder(t), 'idx');
  await cp(path.join(root, 'fixtures/idx'), folder, { recursive: true });
  const source = await openSource(folder, await scratchOptions(t));
  t.teardown(() => source.close());
  const indices = Array.from({ length: source.count }, (_, index) => index);
  for (const split of ['train', 'test']) {
    const members = indices.filter((index) => source.splitOf(index) === split);
    const stored = Buffer.concat(await Promise.all(members.map((index) => source.read(index))));
    const { height, width } = source.image;
    t.deepEqual([members.length, height, width], golden[split].shape);
    t.is(stored.toString('base64'), golden[split].pixels);
    t.deepEqual(
      members.map((index) => source.labelOf(index)),
      golden[split].labels,
    );
  }
});

test('plain and packed files give the same images and labels; nothing is left in the scratch folder', async (t) => {
  const options = await scratchOptions(t);
  const packed = Object.fromEntries(
    [
      [TRAIN_IMAGES, idxFile([3, 4, 5], PIXELS.train)] as const,
      [TRAIN_LABELS, idxFile([3], Uint8Array.of(7, 0, 9))] as const,
    ].flatMap(([name, content]) => [
      [name, null],
      [`${name}.gz`, gzipSync(content)],
    ]),
  );
  for (const folder of [await idxFolder(t), await idxFolder(t, packed)]) {
    const source = await openSource(folder, options);
    t.is(source.format, 'idx');
    t.is(source.count, 5);
    t.deepEqual(source.storage, { kind: 'raw', height: 4, width: 5, channels: 1 });
    t.deepEqual(source.image, { height: 4, width: 5, channels: 3 });
    t.deepEqual(source.classNames, ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    for (const index of [4, 0, 2, 3, 1]) {
      const stored = index < 3 ? PIXELS.train : PIXELS.test;
      const at = (index < 3 ? index : index - 3) * 20;
      t.deepEqual(await source.read(index), stored.slice(at, at + 20));
      t.is(source.labelOf(index), [7, 0, 9, 1, 2][index] as number);
      t.is(source.splitOf(index), index < 3 ? 'train' : 'test');
    }
    t.regex(source.whereOf(1), /train-images-idx3-ubyte(\.gz)? \(image 1, offset 36\)$/);
    await source.close();
    t.deepEqual(await readdir(options.scratch), []);
  }
});

test('four dimensions: images with channels', async (t) => {
  const pixels = bytes(3 * 2 * 2 * 3);
  const folder = await idxFolder(t, {
    [TRAIN_IMAGES]: null,
    't10k-images-idx3-ubyte': null,
    'train-images-idx4-ubyte': idxFile([3, 2, 2, 3], pixels),
    't10k-images-idx4-ubyte': idxFile([2, 2, 2, 3], bytes(24)),
  });
  const source = await openSource(folder, await scratchOptions(t));
  t.teardown(() => source.close());
  t.deepEqual(source.storage, { kind: 'raw', height: 2, width: 2, channels: 3 });
  t.deepEqual(await source.read(2), pixels.slice(24));
});

test('class names: given, well known, or in labels.txt', async (t) => {
  const names = async (folder: string, classNames?: SourceOptions['classNames']) => {
    const source = await openSource(folder, { ...(await scratchOptions(t)), classNames });
    await source.close();
    return source.classNames;
  };
  const plain = await idxFolder(t);
  t.is((await names(plain, 'fashion-mnist'))[9], 'Ankle boot');
  t.deepEqual(await names(plain, ['a', 'ß']), ['a', 'ß']);
  await t.throwsAsync(names(plain, ['a', 'b', 'a']), { code: 'INVALID_ARGUMENT', message: /"a" occurs twice/ });
  const named = await idxFolder(t, { 'labels.txt': 'null\r\neins\r\n' });
  t.deepEqual(await names(named), ['null', 'eins']);
  t.is((await names(named, 'digits'))[9], '9');
});

test('a label out of range makes a bad sample, named by file and offset', async (t) => {
  const folder = await idxFolder(t, { [TRAIN_LABELS]: idxFile([3], Uint8Array.of(7, 200, 9)) });
  const source = await openSource(folder, await scratchOptions(t));
  t.teardown(() => source.close());
  t.is(source.labelOf(1), 0);
  await t.throwsAsync(source.read(1), {
    code: 'DATA_LOSS',
    message: /train-labels-idx1-ubyte \(label 1, offset 9\) has the label 200, expected 0 to 9$/,
  });
});

test('damaged files are refused, naming the file, the offset and what was expected', async (t) => {
  const options = await scratchOptions(t);
  const images = idxFile([3, 4, 5], PIXELS.train);
  const wrongType = Buffer.from(images);
  wrongType[2] = 0x0d;
  const gz = `${TRAIN_IMAGES}.gz`;
  const packed = gzipSync(images);
  const bomb = gzipSync(Buffer.concat([images, Buffer.alloc(32 * 2 ** 20)]));
  const none = { [TRAIN_IMAGES]: null };
  const cases: [string, Record<string, Uint8Array | string | null>, RegExp][] = [
    [
      'cut off',
      { [TRAIN_IMAGES]: images.subarray(0, 70) },
      /is 70 bytes long, but announces \[3,4,5\] at offset 4: expected 76/,
    ],
    ['too long', { [TRAIN_IMAGES]: Buffer.concat([images, Buffer.alloc(3)]) }, /is 79 bytes long.*expected 76/],
    ['cut off in its header', { [TRAIN_IMAGES]: images.subarray(0, 9) }, /announces 3 dimensions at offset 3/],
    ['empty', { [TRAIN_IMAGES]: '' }, /magic number of IDX/],
    ['no IDX', { [TRAIN_IMAGES]: 'hello, this is text' }, /magic number of IDX/],
    ['floats', { [TRAIN_IMAGES]: wrongType }, /type 0xd \(offset 2\), expected 0x8/],
    [
      'another number of labels',
      { [TRAIN_LABELS]: idxFile([2], Uint8Array.of(1, 2)) },
      /announces 3 images at offset 4, but .*labels.* 2 labels/,
    ],
    ['images for labels', { [TRAIN_LABELS]: images }, /labels-idx1-ubyte has 3 dimensions at offset 3, expected 1/],
    ['labels for images', { [TRAIN_IMAGES]: idxFile([3], bytes(3)) }, /has the shape \[3\] at offset 4/],
    ['five channels', { [TRAIN_IMAGES]: idxFile([3, 2, 2, 5], bytes(60)) }, /has the shape \[3,2,2,5\]/],
    ['no pixels', { [TRAIN_IMAGES]: idxFile([3, 0, 5], bytes(0)) }, /has the shape \[3,0,5\]/],
    [
      'overflow',
      { [TRAIN_IMAGES]: idxFile([3, 0xffffffff, 0xffffffff, 3], bytes(9)) },
      /images of more than 67108864 bytes/,
    ],
    ['large', { [TRAIN_IMAGES]: idxFile([3, 8192, 8192], bytes(9)) }, /expected 201326608 bytes/],
    [
      'two shapes',
      { 't10k-images-idx3-ubyte': idxFile([2, 5, 4], bytes(40)) },
      /holds images \[5,4,1\], but .* \[4,5,1\]/,
    ],
    ['missing', none, /lacks train-images-idx3-ubyte or train-images-idx3-ubyte\.gz/],
    ['packed and cut off', { ...none, [gz]: packed.subarray(0, packed.length - 12) }, /cannot be unpacked near offset/],
    [
      'packed and damaged',
      { ...none, [gz]: Buffer.concat([packed.subarray(0, 30), bytes(8), packed.subarray(38)]) },
      /cannot be unpacked|announces/,
    ],
    ['not packed', { ...none, [gz]: images }, /cannot be unpacked near offset/],
    ['packed nothing', { ...none, [gz]: '' }, /is empty at offset 0/],
    ['more than announced', { ...none, [gz]: bomb }, /unpacks to more than the 76 bytes it announces/],
    [
      'less than announced',
      { ...none, [gz]: gzipSync(images.subarray(0, 60)) },
      /unpacks to 60 bytes, but announces 76/,
    ],
    [
      'announces too much',
      { ...none, [gz]: gzipSync(idxFile([3, 8192, 8192], bytes(9))) },
      /more than its \d+ bytes can hold/,
    ],
    ['more images than any', { [TRAIN_IMAGES]: idxFile([0xffffffff, 1, 1], bytes(9)) }, /expected 1 to 33554432$/],
  ];
  for (const [what, changes, message] of cases) {
    const error = await t.throwsAsync(openSource(await idxFolder(t, changes), options), { message }, what);
    t.truthy((error as { hint?: string }).hint, what);
    t.deepEqual(await readdir(options.scratch), [], what);
  }
});

test('labels are not unpacked when there are more of them than images', async (t) => {
  const announced = 32 * 2 ** 20;
  const folder = await idxFolder(t, {
    [TRAIN_LABELS]: null,
    [`${TRAIN_LABELS}.gz`]: gzipSync(idxFile([announced], new Uint8Array(announced))),
  });
  // Unpacking would fail: there is nowhere to unpack to.
  const opening = openSource(folder, { scratch: path.join(folder, 'nowhere') });
  await t.throwsAsync(opening, {
    code: 'DATA_LOSS',
    message: /announces 3 images at offset 4, but .* 33554432 labels/,
  });
});

test('a folder with several families of files is refused; beside a plain file the packed one does not count', async (t) => {
  const options = await scratchOptions(t);
  const several = await idxFolder(t, { 'emnist-letters-train-images-idx3-ubyte': idxFile([1, 2, 2], bytes(4)) });
  await t.throwsAsync(openSource(several, options), {
    message: /several data sets: .*"", "emnist-letters-"|"emnist-letters-", ""/,
  });
  const both = await idxFolder(t, { [`${TRAIN_IMAGES}.gz`]: 'not even packed' });
  const source = await openSource(both, options);
  await source.close();
  t.is(source.count, 5);
});

test('a scratch folder that is not there is named', async (t) => {
  const folder = await idxFolder(t, {
    [TRAIN_IMAGES]: null,
    [`${TRAIN_IMAGES}.gz`]: gzipSync(idxFile([3, 4, 5], PIXELS.train)),
  });
  const gone = await tempFolder(t);
  await rm(gone, { recursive: true });
  await t.throwsAsync(openSource(folder, { scratch: gone }), { message: /cannot be written: ENOENT/ });
  await mkdir(gone);
});
