/** SVHN's files as scipy reads them (scripts/goldens/svhn.py), in both byte orders, and what is refused. */
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { openSource } from '../../../../lib/data/formats/open-source.ts';
import { MatWriter } from '../../../helpers/mat-writer.ts';
import { forCases } from '../../../helpers/property.ts';
import { tempFolder } from '../../../helpers/temp-folder.ts';

const root = path.resolve(fileURLToPath(import.meta.url), '../../../..');
const fixtures = path.join(root, 'fixtures/svhn');

type Golden = Readonly<Record<string, { readonly labels: number[]; readonly pixels: string[] }>>;

const hashOf = (pixels: Uint8Array) => createHash('sha256').update(pixels).digest('hex');

test('pixels and labels are those that scipy reads, 10 as 0; nothing is left in the scratch folder', async (t) => {
  const golden: Golden = JSON.parse(await readFile(path.join(root, 'goldens/svhn.json'), 'utf8'));
  const folder = path.join(await tempFolder(t), 'svhn');
  const scratch = await tempFolder(t);
  await cp(fixtures, folder, { recursive: true });
  for (const extra of [false, true]) {
    const source = await openSource(folder, { scratch, extra });
    const files = ['train_32x32.mat', ...(extra ? ['extra_32x32.mat'] : []), 'test_32x32.mat'];
    const expected = files.flatMap((name) => golden[name]?.pixels ?? []);
    t.is(source.format, 'svhn');
    t.is(source.count, expected.length);
    t.deepEqual(source.storage, { kind: 'raw', height: 32, width: 32, channels: 3 });
    const indices = expected.map((_, index) => index);
    t.deepEqual(
      indices.map((index) => source.labelOf(index)),
      files.flatMap((name) => golden[name]?.labels ?? []),
    );
    // Backwards: records are read in any order.
    for (const index of indices.toReversed()) t.is(hashOf(await source.read(index)), expected[index] as string);
    t.deepEqual(
      indices.map((index) => source.splitOf(index)),
      indices.map((index) => (index < expected.length - 2 ? 'train' : 'test')),
    );
    t.regex(source.whereOf(1), /train_32x32\.mat \(image 1, offset 3072 of X, unpacked\)$/);
    await source.close();
    t.deepEqual(await readdir(scratch), []);
  }
});

test('both byte orders, packed and plain, labels as bytes and as doubles', async (t) => {
  await forCases(t, 8, async (random, seed) => {
    const folder = path.join(await tempFolder(t), String(seed));
    const scratch = await tempFolder(t);
    await mkdir(folder);
    const writer = new MatWriter({ littleEndian: random.nextInt(2) === 0, packed: random.nextInt(2) === 0 });
    const count = 1 + random.nextInt(6);
    const stored = Uint8Array.from({ length: count * 3072 }, () => random.nextInt(256));
    const digits = Uint8Array.from({ length: count }, () => 1 + random.nextInt(10));
    // MATLAB drops a last dimension of one.
    const shape = count === 1 ? [32, 32, 3] : [32, 32, 3, count];
    const elements = [
      writer.bytes('X', shape, stored),
      writer.bytes('y', [count, 1], digits, random.nextInt(2) === 0),
      writer.bytes('more', [1, 2], Uint8Array.of(1, 2)),
    ];
    const bytes = writer.file(...(random.nextInt(2) === 0 ? elements : elements.toReversed()));
    await writeFile(path.join(folder, 'train_32x32.mat'), bytes);
    await writeFile(path.join(folder, 'test_32x32.mat'), bytes);
    const source = await openSource(folder, { scratch });
    t.is(source.count, 2 * count);
    for (let image = 0; image < count; image++) {
      const pixels = await source.read(image);
      const [row, column, channel] = [random.nextInt(32), random.nextInt(32), random.nextInt(3)];
      t.is(pixels[(row * 32 + column) * 3 + channel], stored[image * 3072 + channel * 1024 + column * 32 + row]);
      t.is(source.labelOf(image), (digits[image] as number) % 10);
    }
    await source.close();
  });
});

/** A folder whose training file is the one given. */
async function folderWith(t: ExecutionContext, bytes: Uint8Array): Promise<string> {
  const folder = await tempFolder(t);
  await cp(path.join(fixtures, 'test_32x32.mat'), path.join(folder, 'test_32x32.mat'));
  await writeFile(path.join(folder, 'train_32x32.mat'), bytes);
  return folder;
}

test('a label that is no digit makes a bad sample, not a bad file', async (t) => {
  const writer = new MatWriter();
  const labels = writer.bytes('y', [3, 1], Uint8Array.of(4, 0, 11));
  const pixels = writer.bytes('X', [32, 32, 3, 3], new Uint8Array(3 * 3072).fill(9));
  const source = await openSource(await folderWith(t, writer.file(pixels, labels)), { scratch: await tempFolder(t) });
  t.teardown(() => source.close());
  t.is((await source.read(0)).length, 3072);
  t.is(source.labelOf(1), 0);
  for (const [index, label] of [
    [1, 0],
    [2, 11],
  ] as const) {
    const message = new RegExp(`train_32x32\\.mat \\(label ${index} of y\\) has the label ${label}, expected 1 to 10`);
    await t.throwsAsync(source.read(index), { code: 'DATA_LOSS', message });
  }
});

test('damaged and foreign files are refused, naming the file, the offset and what to do', async (t) => {
  const plain = new MatWriter();
  const packing = new MatWriter({ packed: true });
  const pixels = (writer: MatWriter, count = 2) =>
    writer.bytes('X', [32, 32, 3, count], new Uint8Array(count * 3072).fill(7));
  const labels = plain.bytes('y', [2, 1], Uint8Array.of(1, 2));
  const good = plain.file(pixels(plain), labels);
  const hdf = Buffer.alloc(600, ' ');
  hdf.write('MATLAB 7.3 MAT-file, Platform: GLNXA64');
  const version = Buffer.from(good);
  version.writeUInt16LE(0x0200, 124);
  const announced = Buffer.from(good);
  announced.writeUInt32LE(0xfffffff0, 132);
  // Announces 4 GiB of pixels in a few packed bytes.
  const bomb = packing.packed(
    Buffer.concat([plain.words(14, 0xfffffff0), pixels(plain).subarray(8, 400), Buffer.alloc(200)]),
  );
  const longer = packing.packed(Buffer.concat([pixels(plain), Buffer.alloc(8 * 2 ** 20)]));
  const cut = pixels(packing);
  const cutShort = Buffer.concat([packing.words(15, cut.length - 28), cut.subarray(8, cut.length - 20)]);
  const cases: [string, Uint8Array, RegExp][] = [
    ['version 7.3', hdf, /7\.3, which is HDF5/],
    ['another version', version, /version 0x200, expected 0x100/],
    ['no MAT-file', Buffer.alloc(4096, 'x'), /letters IM or MI at offset 126/],
    ['nothing', new Uint8Array(0), /letters IM or MI at offset 126/],
    ['cut off', good.subarray(0, 3000), /ends at offset 3000, within the element at 128/],
    ['too long', Buffer.concat([good, Buffer.alloc(5)]), /ends with 5 bytes at offset \d+: no element/],
    ['more after it', Buffer.concat([good, Buffer.alloc(16)]), /element of type 0 and 0 bytes at offset/],
    ['an element that is too long', announced, /within the element at 128/],
    ['no labels', plain.file(pixels(plain)), /holds no numeric array y, only X/],
    ['fewer labels', plain.file(pixels(plain, 3), labels), /3 images in X, but 2 labels in y/],
    [
      'another shape',
      plain.file(plain.bytes('X', [16, 64, 3, 2], new Uint8Array(6144)), labels),
      /shape \[16,64,3,2\]/,
    ],
    [
      'no room',
      plain.file(plain.bytes('X', [32, 32, 3, 9], new Uint8Array(6144)), labels),
      /shape \[32,32,3,9\] and 6144/,
    ],
    [
      'overflow',
      plain.file(plain.bytes('X', [65536, 65536, 3, 65536], new Uint8Array(8)), labels),
      /and 8 bytes of values/,
    ],
    ['a bomb', plain.file(bomb, labels), /announces 4294967288 bytes, more than its \d+ packed ones can hold/],
    ['more than announced', plain.file(longer, labels), /unpacks to more than the 6208 bytes it announces/],
    ['packed and cut off', plain.file(cutShort, labels), /cannot be unpacked near offset/],
  ];
  const scratch = await tempFolder(t);
  for (const [what, bytes, message] of cases) {
    const error = await t.throwsAsync(openSource(await folderWith(t, bytes), { scratch }), { message }, what);
    t.regex(error?.message ?? '', /train_32x32\.mat/, what);
    t.truthy((error as { hint?: string }).hint, what);
    t.deepEqual(await readdir(scratch), [], what);
  }
});
