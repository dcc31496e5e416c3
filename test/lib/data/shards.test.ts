/** Reading shards: nothing that their bytes say is believed. */
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { readFile, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { createRandom } from '../../../lib/base/random.ts';
import { importDataset } from '../../../lib/data/import-dataset.ts';
import { parseManifest } from '../../../lib/data/manifest.ts';
import { type OpenOptions, openDataset } from '../../../lib/data/open-dataset.ts';
import { WINDOW_SHARDS } from '../../../lib/data/order.ts';
import type { ShardedManifest } from '../../../lib/data/sharded-manifest.ts';
import { importSource } from '../../helpers/import-source.ts';
import { between, forCases } from '../../helpers/property.ts';
import { completeManifest, writeManifest } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const COUNT = 12;

/** 8x8 pictures, 9 for training; PNG, whose checksums notice every changed byte. */
async function encodedDataset(
  t: ExecutionContext,
): Promise<{ root: string; folder: string; manifest: ShardedManifest }> {
  const root = await tempFolder(t);
  const random = createRandom(3);
  const samples = await Promise.all(
    Array.from({ length: COUNT }, async (_, index) => {
      const pixels = Uint8Array.from({ length: 192 }, () => random.nextInt(256));
      const bytes = await sharp(pixels, { raw: { width: 8, height: 8, channels: 3 } })
        .png()
        .toBuffer();
      return { split: index % 4 === 3 ? ('test' as const) : ('train' as const), label: index % 3, bytes };
    }),
  );
  const folder = path.join(root, 'd');
  const manifest = await importDataset(importSource(samples, { kind: 'encoded', fit: 'squash' }), folder, {
    name: 'd',
  });
  return { root, folder, manifest };
}

async function loadAll(root: string, options: OpenOptions = {}): Promise<number[][]> {
  const dataset = await openDataset(root, 'd', options);
  try {
    const images: number[][] = [];
    for (let id = 0; id < dataset.sampleCount; id++) images.push([...(await dataset.load([id]))]);
    return images;
  } finally {
    await dataset.close();
  }
}

test('bytes changed at random: the right pixels, or an error that names file and offset; never a crash', async (t) => {
  const { root, folder } = await encodedDataset(t);
  const right = await loadAll(root);
  const shard = path.join(folder, 'train-00000.shard');
  const whole = await readFile(shard);
  let failures = 0;
  await forCases(t, 60, async (random) => {
    const bytes = Uint8Array.from(whole);
    // Half of them in the index, where a byte decides on how much is read.
    const changes = between(random, 1, 3);
    for (let change = 0; change < changes; change++) {
      const at = random.nextInt(random.nextInt(2) === 0 ? 48 : bytes.length);
      bytes[at] = ((bytes[at] as number) + between(random, 1, 255)) % 256;
    }
    await writeFile(shard, bytes);
    const dataset = await openDataset(root, 'd', { verifyContent: false });
    for (let id = 0; id < 9; id++) {
      try {
        t.deepEqual([...(await dataset.load([id]))], right[id]);
      } catch (error) {
        failures++;
        t.true(error instanceof StillhouseError, String(error));
        t.is((error as StillhouseError).code, 'DATA_LOSS');
        t.regex((error as StillhouseError).message, /train-00000\.shard .*at offset \d+/);
      }
    }
    await dataset.close();
  });
  t.true(failures > 60);
});

test('a changed shard is refused when it is first read from, the others are not', async (t) => {
  const { root, folder } = await encodedDataset(t);
  const shard = path.join(folder, 'train-00000.shard');
  const bytes = await readFile(shard);
  bytes[bytes.length - 1] = (bytes[bytes.length - 1] as number) ^ 1;
  await writeFile(shard, bytes);
  const dataset = await openDataset(root, 'd');
  t.teardown(() => dataset.close());
  t.is((await dataset.load([9])).length, 192);
  const error = await t.throwsAsync(dataset.load([0]), {
    instanceOf: StillhouseError,
    message: /train-00000\.shard has SHA-256/,
  });
  t.is(error?.code, 'DATA_LOSS');
});

for (const threads of [0, 1]) {
  test(`truncated, overlong and missing shards are named, ${threads} threads`, async (t) => {
    const { root, folder, manifest } = await encodedDataset(t);
    const shard = path.join(folder, 'train-00000.shard');
    const whole = await readFile(shard);
    const expect = async (message: RegExp) => {
      const dataset = await openDataset(root, 'd', { threads, verifyContent: false });
      const error = await t.throwsAsync(dataset.load([0]), { instanceOf: StillhouseError, message });
      t.is(error?.code, 'DATA_LOSS');
      await dataset.close();
    };
    await truncate(shard, 100);
    await expect(new RegExp(`train-00000\\.shard ends at offset 100, expected ${manifest.shards[0]?.bytes} bytes`));
    await writeFile(shard, Buffer.concat([whole, Buffer.alloc(1)]));
    await expect(/train-00000\.shard is \d+ bytes long, expected \d+/);
    await unlink(shard);
    await expect(/cannot open .*train-00000\.shard|train-00000\.shard cannot be opened/);
  });
}

test('a shard that shrinks while it is open is noticed', async (t) => {
  const { root, folder } = await encodedDataset(t);
  const dataset = await openDataset(root, 'd');
  t.teardown(() => dataset.close());
  await dataset.load([0]);
  await truncate(path.join(folder, 'train-00000.shard'), 60);
  const error = await t.throwsAsync(dataset.load([8]), { instanceOf: StillhouseError });
  t.regex(error?.message ?? '', /train-00000\.shard ends at offset \d+, expected \d+ bytes/);
});

test('labels: changed, out of range, cut off', async (t) => {
  const { root, folder, manifest } = await encodedDataset(t);
  const location = path.join(folder, 'labels.bin');
  const labels = await readFile(location);
  const refused = async (message: RegExp) => {
    const error = await t.throwsAsync(openDataset(root, 'd'), { instanceOf: StillhouseError, message });
    t.is(error?.code, 'DATA_LOSS');
  };
  const opened = await openDataset(root, 'd');
  const copy = opened.labels.slice(0, 2);
  copy.fill(7);
  t.deepEqual([...opened.labels], [...labels]);
  await opened.close();
  labels[5] = 3;
  await writeFile(location, labels);
  await refused(/labels\.bin has SHA-256/);
  const sha256 = createHash('sha256').update(labels).digest('hex');
  await writeManifest(
    folder,
    completeManifest<ShardedManifest>({ ...manifest, labels: { ...manifest.labels, sha256 } }),
  );
  await refused(/labels\.bin has label 3 at offset 5, but there are only 3 classes/);
  await truncate(location, 4);
  await refused(/labels\.bin ends at offset 4, expected 12 bytes/);
});

test('files stay open within bounds, those that were read from last', async (t) => {
  const root = await tempFolder(t);
  const samples = Array.from({ length: 3 }, (_, label) => ({
    split: 'train' as const,
    label,
    bytes: new Uint8Array(4),
  }));
  const folder = path.join(root, 'd');
  const manifest = await importDataset(
    importSource(samples, { kind: 'raw', height: 2, width: 2, channels: 1 }),
    folder,
    { name: 'd' },
  );
  // The same shard under many names.
  const COPIES = 1100;
  const shard = manifest.shards[0] as ShardedManifest['shards'][number];
  const shards = Array.from({ length: COPIES }, (_, index) => ({ ...shard, path: `train-${index}.shard` }));
  const bytes = await readFile(path.join(folder, shard.path));
  for (const { path: file } of shards) await writeFile(path.join(folder, file), bytes);
  const labels = new Uint8Array(3 * COPIES).map((_, id) => id % 3);
  await writeFile(path.join(folder, 'labels.bin'), labels);
  const sha256 = createHash('sha256').update(labels).digest('hex');
  const content = { path: 'labels.bin', bytes: labels.length, sha256 };
  await writeManifest(folder, completeManifest<ShardedManifest>({ ...manifest, shards, labels: content }));
  const openFiles = () => readdirSync('/proc/self/fd').length;
  const before = openFiles();
  const dataset = await openDataset(root, 'd');
  for (let id = 0; id < 3 * COPIES; id += 3) await dataset.load([id]);
  t.true(openFiles() - before <= 1024);
  await rm(folder, { recursive: true });
  // Two windows for each of eight lanes: nothing is opened again that a training comes back to.
  const last = Array.from({ length: 2 * 8 * WINDOW_SHARDS }, (_, index) => 3 * (COPIES - 1 - index));
  t.is((await dataset.load(last)).length, last.length * 12);
  await t.throwsAsync(dataset.load([0]), { message: /cannot open .*train-0\.shard/ });
  await dataset.close();
  t.true(openFiles() - before < 10);
});

const good = completeManifest<ShardedManifest>({
  formatVersion: 2,
  name: 'trees',
  classNames: ['ash', 'beech'],
  image: { height: 4, width: 5, channels: 3 },
  storage: { kind: 'raw', height: 4, width: 5, channels: 1 },
  labels: { path: 'labels.bin', bytes: 5, sha256: 'a'.repeat(64) },
  shards: [
    { path: 'train-0.shard', split: 'train', records: 3, bytes: 60, sha256: 'b'.repeat(64) },
    { path: 'test-0.shard', split: 'test', records: 2, bytes: 40, sha256: 'c'.repeat(64) },
  ],
  badSamples: [{ id: 3, source: 'x', reason: 'is damaged' }],
  statistics: { mean: [0.1, 0.2, 0.3], std: [0.1, 0.2, 0.3] },
  origin: { format: 'idx', seed: 1 },
});

test('a manifest of shards is read back as it was written; its name is no part of its digest', (t) => {
  t.deepEqual(parseManifest(JSON.stringify(good), 'm.json'), good);
  t.is(completeManifest<ShardedManifest>({ ...good, name: 'other' }).digest, good.digest);
  t.not(
    completeManifest<ShardedManifest>({ ...good, labels: { ...good.labels, sha256: 'd'.repeat(64) } }).digest,
    good.digest,
  );
  const error = t.throws(() => parseManifest(JSON.stringify({ ...good, classNames: ['ash', 'elm'] }), 'm.json'), {
    instanceOf: StillhouseError,
  });
  t.is(error?.code, 'DATA_LOSS');
});

const [shard, other] = good.shards;
const bad = { id: 1, source: 'x', reason: 'y' };
const refused: [string, object, string][] = [
  ['no shards', { shards: [] }, 'shards'],
  ['a shard twice', { shards: [shard, shard] }, 'shards[1].path'],
  ['a shard that is the labels', { shards: [shard, { ...other, path: 'labels.bin' }] }, 'shards[1].path'],
  ['a size that does not fit the records', { shards: [shard, { ...other, bytes: 41 }] }, 'shards[1].bytes'],
  ['too many records', { shards: [{ ...shard, records: 8193, bytes: 8193 * 20 }, other] }, 'shards[0].records'],
  ['a way out of the folder', { shards: [shard, { ...other, path: '../x' }] }, 'shards[1].path'],
  ['labels of another number', { labels: { ...good.labels, bytes: 6 } }, 'labels.bytes'],
  ['two channels', { storage: { ...good.storage, channels: 2 } }, 'storage.channels'],
  ['pixels of another size', { image: { height: 8, width: 5, channels: 3 } }, 'storage'],
  ['grey images', { image: { height: 4, width: 5, channels: 1 } }, 'image.channels'],
  [
    'an encoded shard without room for its index',
    { storage: { kind: 'encoded', fit: 'crop' }, shards: [{ ...shard, bytes: 20 }, other] },
    'shards[0].bytes',
  ],
  ['an unknown fit', { storage: { kind: 'encoded', fit: 'stretch' } }, 'storage.fit'],
  ['a damaged sample that is not there', { badSamples: [{ ...bad, id: 5 }] }, 'badSamples[0].id'],
  ['damaged samples out of order', { badSamples: [{ ...bad, id: 2 }, bad] }, 'badSamples[1].id'],
  ['a class twice', { classNames: ['ash', 'ash'] }, 'classNames[1]'],
  ['an unknown key', { extra: 1 }, ''],
];
for (const [what, change, field] of refused) {
  test(`a manifest of shards is refused: ${what}`, (t) => {
    const text = JSON.stringify({ ...good, ...change });
    const error = t.throws(() => parseManifest(text, 'm.json'), { instanceOf: StillhouseError, message: /^m\.json/ });
    t.is(error?.code, 'INVALID_ARGUMENT');
    t.is(error?.field, field);
  });
}

test('a manifest of ten thousand shards and ten million samples', (t) => {
  const shards = Array.from({ length: 10_000 }, (_, index) => ({
    ...shard,
    path: `train-${index}.shard`,
    records: 1000,
    bytes: 20_000,
  }));
  const labels = { ...good.labels, bytes: 10_000_000 };
  const manifest = completeManifest<ShardedManifest>({ ...good, shards: shards as ShardedManifest['shards'], labels });
  t.is(parseManifest(JSON.stringify(manifest), 'm.json').digest, manifest.digest);
});
