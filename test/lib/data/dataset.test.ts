import { truncate, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { shuffle } from '../../../lib/base/random.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import { realDataRoot } from '../../helpers/data-root.ts';
import { forCases } from '../../helpers/property.ts';
import { completeManifest, RECORD_BYTES, writeManifest, writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

test('labels, splits and pixels are those of the files', async (t) => {
  const root = await tempFolder(t);
  const { records, manifest } = await writeSmallDataset(root, 'trees');
  const dataset = await openDataset(root, 'trees');
  t.is(dataset.sampleCount, 18);
  t.is(dataset.digest, manifest.digest);
  t.deepEqual(dataset.classNames, manifest.classNames);
  t.deepEqual(dataset.image, { height: 32, width: 32, channels: 3 });
  t.deepEqual(
    [...dataset.labels],
    records.map((record) => record[0]),
  );
  t.deepEqual(
    [...dataset.idsOf('train')],
    Array.from({ length: 12 }, (_, id) => id),
  );
  t.deepEqual([...dataset.idsOf('test')], [12, 13, 14, 15, 16, 17]);
  await forCases(t, 10, async (random) => {
    const ids = shuffle([...records.keys()], random).slice(0, 1 + random.nextInt(18));
    const images = await dataset.load(ids);
    t.is(images.length, ids.length * 3072);
    for (const [index, id] of ids.entries()) {
      for (let sample = 0; sample < 50; sample++) {
        const [row, column, channel] = [random.nextInt(32), random.nextInt(32), random.nextInt(3)];
        const expected = records[id]?.[1 + channel * 1024 + row * 32 + column];
        t.is(images[((index * 32 + row) * 32 + column) * 3 + channel], expected);
      }
    }
  });
  await dataset.close();
  await dataset.close();
  await t.throwsAsync(() => dataset.load([0]), { instanceOf: StillhouseError });
});

test('files of one split may lie apart', async (t) => {
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'trees', {
    files: [
      ['test', 2],
      ['train', 3],
      ['test', 1],
    ],
  });
  const dataset = await openDataset(root, 'trees');
  t.deepEqual([...dataset.idsOf('train')], [2, 3, 4]);
  t.deepEqual([...dataset.idsOf('test')], [0, 1, 5]);
  await dataset.close();
});

test('more records than are scanned at a time', async (t) => {
  const root = await tempFolder(t);
  const { records } = await writeSmallDataset(root, 'trees', { files: [['train', 300]] });
  const dataset = await openDataset(root, 'trees');
  t.deepEqual(
    [...dataset.labels],
    records.map((record) => record[0]),
  );
  await dataset.close();
});

test('a path opens a data set anywhere', async (t) => {
  const root = await tempFolder(t);
  const { folder } = await writeSmallDataset(root, 'trees');
  const dataset = await openDataset('/nowhere', folder);
  t.is(dataset.sampleCount, 18);
  await dataset.close();
});

test('ids that are not there are refused', async (t) => {
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'trees');
  const dataset = await openDataset(root, 'trees');
  for (const id of [18, -1, 1.5, Number.NaN, 2 ** 32]) {
    const error = await t.throwsAsync(() => dataset.load([0, id]), { instanceOf: StillhouseError });
    t.is(error?.code, 'INVALID_ARGUMENT');
  }
  t.is((await dataset.load([])).length, 0);
  await dataset.close();
});

test('a missing data set says what to do', async (t) => {
  const root = await tempFolder(t);
  const error = await t.throwsAsync(openDataset(root, 'cifar10'), { instanceOf: StillhouseError, message: /cifar10/ });
  t.is(error?.code, 'FAILED_PRECONDITION');
  t.is(error?.field, 'data.dataset');
  t.regex(error?.hint ?? '', /npm run setup/);
});

test('what is neither a name nor a path is refused', async (t) => {
  for (const name of ['', '..', '.', 'a b', '.hidden', 'a\0b']) {
    const error = await t.throwsAsync(openDataset('/tmp', name), { instanceOf: StillhouseError });
    t.is(error?.code, 'INVALID_ARGUMENT', JSON.stringify(name));
    t.is(error?.field, 'data.dataset');
  }
});

test('a truncated file is named with the offset at which it ends', async (t) => {
  const root = await tempFolder(t);
  const { folder } = await writeSmallDataset(root, 'trees');
  const location = path.join(folder, 'part-1.bin');
  await truncate(location, 3 * RECORD_BYTES + 100);
  const error = await t.throwsAsync(openDataset(root, 'trees'), { instanceOf: StillhouseError });
  t.is(error?.code, 'DATA_LOSS');
  t.is(error?.field, location);
  t.regex(error?.message ?? '', /part-1\.bin ends at offset 9319, expected 15365 bytes/);
});

test('a file that shrinks while it is open is noticed', async (t) => {
  const root = await tempFolder(t);
  const { folder } = await writeSmallDataset(root, 'trees');
  const dataset = await openDataset(root, 'trees');
  await truncate(path.join(folder, 'part-1.bin'), 2 * RECORD_BYTES + 5);
  const error = await t.throwsAsync(() => dataset.load([9]), { instanceOf: StillhouseError, message: /offset 6151/ });
  t.is(error?.code, 'DATA_LOSS');
  await dataset.close();
});

test('a file that is too long or missing is named', async (t) => {
  const root = await tempFolder(t);
  const { folder } = await writeSmallDataset(root, 'trees');
  const location = path.join(folder, 'part-2.bin');
  await writeFile(location, new Uint8Array(1), { flag: 'a' });
  const long = await t.throwsAsync(openDataset(root, 'trees'), {
    instanceOf: StillhouseError,
    message: /is 18439 bytes long/,
  });
  t.is(long?.code, 'DATA_LOSS');
  await unlink(location);
  const missing = await t.throwsAsync(openDataset(root, 'trees'), {
    instanceOf: StillhouseError,
    message: /part-2\.bin/,
  });
  t.is(missing?.code, 'DATA_LOSS');
});

test('sizes are compared before anything is read', async (t) => {
  const root = await tempFolder(t);
  const { folder, records } = await writeSmallDataset(root, 'trees');
  (records[0] as Uint8Array)[0] = 200;
  await writeFile(path.join(folder, 'part-0.bin'), Buffer.concat(records.slice(0, 7)));
  await truncate(path.join(folder, 'part-2.bin'), 10);
  await t.throwsAsync(openDataset(root, 'trees'), {
    instanceOf: StillhouseError,
    message: /part-2\.bin ends at offset 10/,
  });
});

test('a label out of range is named with its offset', async (t) => {
  const root = await tempFolder(t);
  const { folder, records, manifest } = await writeSmallDataset(root, 'trees');
  const location = path.join(folder, 'part-1.bin');
  (records[8] as Uint8Array)[0] = 4;
  await writeFile(location, Buffer.concat(records.slice(7, 12)));
  const error = await t.throwsAsync(openDataset(root, 'trees'), { instanceOf: StillhouseError });
  t.is(error?.code, 'DATA_LOSS');
  t.regex(error?.message ?? '', /part-1\.bin has label 4 at offset 3073, but there are only 4 classes/);
  t.is(manifest.classNames.length, 4);
});

test('changed pixels are noticed unless the check is switched off', async (t) => {
  const root = await tempFolder(t);
  const { folder, records } = await writeSmallDataset(root, 'trees');
  (records[3] as Uint8Array)[77] = ((records[3]?.[77] as number) + 1) % 256;
  await writeFile(path.join(folder, 'part-0.bin'), Buffer.concat(records.slice(0, 7)));
  const error = await t.throwsAsync(openDataset(root, 'trees'), {
    instanceOf: StillhouseError,
    message: /part-0\.bin has SHA-256/,
  });
  t.is(error?.code, 'DATA_LOSS');
  const dataset = await openDataset(root, 'trees', { verifyContent: false });
  await dataset.close();
});

test('a manifest with a wrong digest is refused', async (t) => {
  const root = await tempFolder(t);
  const { folder, manifest } = await writeSmallDataset(root, 'trees');
  await writeManifest(folder, { ...manifest, classNames: ['oak', ...manifest.classNames.slice(1)] });
  const error = await t.throwsAsync(openDataset(root, 'trees'), {
    instanceOf: StillhouseError,
    message: /manifest\.json/,
  });
  t.is(error?.code, 'DATA_LOSS');
  await writeManifest(folder, completeManifest({ ...manifest, name: 'renamed' }));
  const dataset = await openDataset(root, 'trees');
  t.is(dataset.digest, manifest.digest);
  await dataset.close();
});

test('CIFAR-10, as set-up has put it there', async (t) => {
  const dataset = await openDataset(realDataRoot(), 'cifar10');
  t.teardown(() => dataset.close());
  t.is(dataset.classNames.join(' '), 'airplane automobile bird cat deer dog frog horse ship truck');
  t.is(dataset.sampleCount, 60_000);
  const train = dataset.idsOf('train');
  const testing = dataset.idsOf('test');
  t.deepEqual([train.length, train[0], train.at(-1)], [50_000, 0, 49_999]);
  t.deepEqual([testing.length, testing[0], testing.at(-1)], [10_000, 50_000, 59_999]);
  const perClass = (ids: Uint32Array) => {
    const counts = new Array<number>(10).fill(0);
    for (const id of ids) counts[dataset.labels[id] as number]! += 1;
    return counts;
  };
  t.deepEqual(perClass(train), new Array(10).fill(5000));
  t.deepEqual(perClass(testing), new Array(10).fill(1000));
  // The first images are known: a frog, two trucks, a deer, an automobile; of the test images a cat and two ships.
  t.deepEqual([...dataset.labels.slice(0, 5)], [6, 9, 9, 4, 1]);
  t.deepEqual([...dataset.labels.slice(50_000, 50_003)], [3, 8, 8]);
  const frog = await dataset.load([0]);
  t.deepEqual([...frog.subarray(0, 6)], [59, 62, 63, 43, 46, 45]);
});

test('the mean colour of CIFAR-10 is the published one', async (t) => {
  const dataset = await openDataset(realDataRoot(), 'cifar10', { verifyContent: false });
  t.teardown(() => dataset.close());
  const sums = [0, 0, 0];
  const train = dataset.idsOf('train');
  for (let from = 0; from < train.length; from += 1000) {
    const images = await dataset.load(train.subarray(from, from + 1000));
    for (let index = 0; index < images.length; index++) sums[index % 3]! += images[index] as number;
  }
  const means = sums.map((sum) => (sum / (train.length * 1024 * 255)).toFixed(4));
  t.deepEqual(means, ['0.4914', '0.4822', '0.4465']);
});
