import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { createRandom } from '../../../lib/base/random.ts';
import { openSource } from '../../../lib/data/formats/open-source.ts';
import { type ImportOptions, importDataset } from '../../../lib/data/import-dataset.ts';
import { parseManifest } from '../../../lib/data/manifest.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import type { SampleStorage } from '../../../lib/data/sample-source.ts';
import { importSource, type MemorySample } from '../../helpers/import-source.ts';
import { idxFile, writeIdxFolder, writePictures } from '../../helpers/source-folders.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const GREY: SampleStorage = { kind: 'raw', height: 4, width: 5, channels: 1 };
const COLOUR: SampleStorage = { kind: 'raw', height: 4, width: 5, channels: 3 };
const ENCODED: SampleStorage = { kind: 'encoded', fit: 'squash' };

/** The first two bytes number the sample. */
function pixelSamples(count: number, length: number, classes = 3): MemorySample[] {
  const random = createRandom(7);
  return Array.from({ length: count }, (_, index) => {
    const bytes = Uint8Array.from({ length }, () => random.nextInt(256));
    bytes[0] = index >> 8;
    bytes[1] = index & 255;
    return { split: index % 5 === 4 ? 'test' : 'train', label: Math.floor((index * classes) / count), bytes };
  });
}

async function pictures(count: number): Promise<MemorySample[]> {
  const random = createRandom(8);
  return await Promise.all(
    Array.from({ length: count }, async (_, index): Promise<MemorySample> => {
      const pixels = Uint8Array.from({ length: 8 * 8 * 3 }, () => random.nextInt(256));
      const bytes = await sharp(pixels, { raw: { width: 8, height: 8, channels: 3 } })
        .png()
        .toBuffer();
      return { split: index % 5 === 4 ? 'test' : 'train', label: index % 3, bytes };
    }),
  );
}

async function refused(
  t: ExecutionContext,
  samples: readonly MemorySample[],
  storage: SampleStorage,
  message: RegExp,
  options: Partial<ImportOptions> & { classNames?: string[] } = {},
): Promise<StillhouseError> {
  const root = await tempFolder(t);
  const source = importSource(samples, storage, options);
  const error = await t.throwsAsync(importDataset(source, path.join(root, 'd'), { name: 'd', ...options }), {
    instanceOf: StillhouseError,
    message,
  });
  t.deepEqual(await readdir(root), [], 'nothing is left behind');
  return error as StillhouseError;
}

for (const storage of [GREY, COLOUR] as const) {
  test(`samples of ${storage.channels} channels come back, each once, in their split and with their label`, async (t) => {
    const root = await tempFolder(t);
    const length = 20 * storage.channels;
    const samples = pixelSamples(300, length);
    const manifest = await importDataset(importSource(samples, storage), path.join(root, 'd'), { name: 'd', seed: 3 });
    const dataset = await openDataset(root, 'd');
    t.teardown(() => dataset.close());
    t.is(dataset.digest, manifest.digest);
    t.deepEqual(dataset.image, { height: 4, width: 5, channels: 3 });
    const found = new Set<number>();
    for (const split of ['train', 'test'] as const) {
      const ids = dataset.idsOf(split);
      const images = await dataset.load(ids);
      for (const [index, id] of ids.entries()) {
        const image = images.subarray(index * 60, (index + 1) * 60);
        const number = 256 * (image[0] as number) + (image[storage.channels === 1 ? 3 : 1] as number);
        const sample = samples[number] as MemorySample;
        found.add(number);
        const bytes = [...(sample.bytes as Uint8Array)];
        t.deepEqual([...image], storage.channels === 1 ? bytes.flatMap((grey) => [grey, grey, grey]) : bytes);
        t.is(dataset.labels[id], sample.label);
        t.is(sample.split, split);
      }
    }
    t.is(found.size, 300);
  });
}

test('the same seed gives the same files, another one another order', async (t) => {
  const root = await tempFolder(t);
  const source = importSource(pixelSamples(60, 20), GREY);
  const [one, same, other] = await Promise.all(
    [1, 1, 2].map((seed, run) => importDataset(source, path.join(root, `run-${run}`), { name: `run ${run}`, seed })),
  );
  t.is(one?.digest, same?.digest);
  t.not(one?.digest, other?.digest);
  t.deepEqual(
    await readFile(path.join(root, 'run-0/train-00000.shard')),
    await readFile(path.join(root, 'run-1/train-00000.shard')),
  );
});

test('samples sorted by class are mixed', async (t) => {
  const root = await tempFolder(t);
  await importDataset(importSource(pixelSamples(300, 20), GREY), path.join(root, 'd'), { name: 'd' });
  const dataset = await openDataset(root, 'd');
  t.teardown(() => dataset.close());
  const train = dataset.idsOf('train');
  for (let from = 0; from < train.length; from += 60) {
    const counts = [0, 0, 0];
    for (const id of train.subarray(from, from + 60)) counts[dataset.labels[id] as number]! += 1;
    t.true(Math.min(...counts) >= 8, `of 60 samples: ${counts}`);
  }
});

test('more classes than a byte tells apart', async (t) => {
  const root = await tempFolder(t);
  const classNames = Array.from({ length: 300 }, (_, index) => `class ${index}`);
  const samples = pixelSamples(600, 20, 300);
  await importDataset(importSource(samples, GREY, { classNames }), path.join(root, 'd'), { name: 'd' });
  const dataset = await openDataset(root, 'd');
  t.teardown(() => dataset.close());
  t.true(dataset.labels instanceof Uint16Array);
  const [image] = [await dataset.load([17])];
  const number = 256 * (image?.[0] as number) + (image?.[3] as number);
  t.is(dataset.labels[17], samples[number]?.label);
});

test('shards end at 8192 records', async (t) => {
  const root = await tempFolder(t);
  const tiny: SampleStorage = { kind: 'raw', height: 1, width: 2, channels: 1 };
  const samples = pixelSamples(10_300, 2);
  const manifest = await importDataset(importSource(samples, tiny), path.join(root, 'd'), { name: 'd' });
  t.deepEqual(
    manifest.shards.map(({ path: file, records }) => [file, records]),
    [
      ['train-00000.shard', 8192],
      ['train-00001.shard', 48],
      ['test-00000.shard', 2060],
    ],
  );
  const dataset = await openDataset(root, 'd');
  t.teardown(() => dataset.close());
  t.deepEqual(dataset.shards, [
    { firstId: 0, records: 8192 },
    { firstId: 8192, records: 48 },
    { firstId: 8240, records: 2060 },
  ]);
  const images = await dataset.load([8191, 8192, 8240, 10_299]);
  t.is(images.length, 24);
});

test('pictures keep their bytes and come back as pixels', async (t) => {
  const root = await tempFolder(t);
  const samples = await pictures(20);
  await importDataset(importSource(samples, ENCODED), path.join(root, 'd'), { name: 'd', seed: 1 });
  const dataset = await openDataset(root, 'd');
  t.teardown(() => dataset.close());
  const expected = new Set<string>();
  for (const { bytes, label } of samples) {
    expected.add(
      `${label}: ${[
        ...(await sharp(bytes as Uint8Array)
          .raw()
          .toBuffer()),
      ]}`,
    );
  }
  for (let id = 0; id < 20; id++) t.true(expected.delete(`${dataset.labels[id]}: ${[...(await dataset.load([id]))]}`));
  t.is(expected.size, 0);
});

test('statistics are those of all training images', async (t) => {
  const root = await tempFolder(t);
  for (const storage of [GREY, COLOUR] as const) {
    const samples = pixelSamples(50, 20 * storage.channels);
    const folder = path.join(root, String(storage.channels));
    const { statistics } = await importDataset(importSource(samples, storage), folder, { name: 'd', statistics: true });
    const train = samples.filter(({ split }) => split === 'train').flatMap(({ bytes }) => [...(bytes as Uint8Array)]);
    for (let channel = 0; channel < 3; channel++) {
      const values = train.filter((_, at) => storage.channels === 1 || at % 3 === channel).map((value) => value / 255);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
      t.true(Math.abs((statistics?.mean[channel] as number) - mean) < 1e-9);
      t.true(Math.abs((statistics?.std[channel] as number) - Math.sqrt(variance)) < 1e-9);
    }
  }
});

test('damaged samples are refused, or kept out of every split and listed', async (t) => {
  const samples = await pictures(30);
  const damagedAt = [4, 11];
  const broken = samples.map((sample, index) =>
    damagedAt.includes(index) ? { ...sample, bytes: Buffer.from('no picture') } : sample,
  );
  const first = await refused(t, broken, ENCODED, /memory\.bin at offset (400|1100) is no JPEG/);
  t.is(first.code, 'DATA_LOSS');
  await refused(t, broken, ENCODED, /2 samples are damaged, the first: memory\.bin at offset/, { badSamples: 1 });

  const root = await tempFolder(t);
  const manifest = await importDataset(importSource(broken, ENCODED), path.join(root, 'd'), {
    name: 'd',
    badSamples: 2,
  });
  t.deepEqual(manifest.badSamples.map(({ source }) => source).sort(), [
    'memory.bin at offset 1100',
    'memory.bin at offset 400',
  ]);
  const dataset = await openDataset(root, 'd');
  t.teardown(() => dataset.close());
  t.is(dataset.sampleCount, 30);
  t.is(dataset.idsOf('train').length + dataset.idsOf('test').length, 28);
  const [bad] = dataset.badSamples;
  t.false([...dataset.idsOf('train'), ...dataset.idsOf('test')].includes(bad?.id as number));
  const error = await t.throwsAsync(dataset.load([bad?.id as number]), { instanceOf: StillhouseError });
  t.is(error?.code, 'DATA_LOSS');
  t.regex(error?.message ?? '', /\.shard\) cannot be read: memory\.bin at offset \d+ is no JPEG/);
});

test('a damaged record of pixels keeps its place', async (t) => {
  const root = await tempFolder(t);
  const samples = pixelSamples(20, 20).map((sample, index) => (index === 3 ? { ...sample, bytes: null } : sample));
  const manifest = await importDataset(importSource(samples, GREY), path.join(root, 'd'), { name: 'd', badSamples: 1 });
  t.is(manifest.badSamples.length, 1);
  t.is(manifest.shards[0]?.bytes, 16 * 20);
});

const three = pixelSamples(30, 20);
const refusals: [string, readonly MemorySample[], SampleStorage, RegExp, object][] = [
  ['no samples', [], GREY, /no training images/, {}],
  ['no training images', three.filter(({ split }) => split === 'test'), GREY, /no training images/, {}],
  ['an empty class', three.filter(({ label }) => label !== 1), GREY, /class "beech" has no images/, {}],
  ['no classes', [], GREY, /no classes/, { classNames: [] }],
  ['two classes of one name', three, GREY, /the same name/, { classNames: ['a', 'b', 'a'] }],
  ['too many classes', three, GREY, /65536 classes/, { classNames: Array.from({ length: 65_536 }, String) }],
  ['a label out of range', [{ split: 'train', label: 3, bytes: null }], GREY, /has label 3, but there are only 3/, {}],
  ['a record of another size', pixelSamples(30, 21), GREY, /has 21 bytes of pixels, expected 20/, {}],
  [
    'only damaged samples',
    three.map((sample) => ({ ...sample, bytes: null })),
    GREY,
    /all training images are/,
    { badSamples: 30 },
  ],
  [
    'a class of which only the test images are good',
    three.map((sample) => (sample.label === 1 && sample.split === 'train' ? { ...sample, bytes: null } : sample)),
    GREY,
    /all training images of its class "beech" are damaged/,
    { badSamples: 30 },
  ],
  [
    'more damaged samples than jobs may skip',
    three,
    GREY,
    /1001 damaged samples are more than .* 1000/,
    { badSamples: 1001 },
  ],
];
for (const [what, samples, storage, message, options] of refusals) {
  test(`refused: ${what}`, (t) => refused(t, samples, storage, message, options).then(() => undefined));
}

test('a folder that is there is replaced only when told so', async (t) => {
  const root = await tempFolder(t);
  const folder = path.join(root, 'd');
  const source = importSource(three, GREY);
  const first = await importDataset(source, folder, { name: 'd', seed: 1 });
  const error = await t.throwsAsync(importDataset(source, folder, { name: 'd', seed: 2 }), {
    instanceOf: StillhouseError,
  });
  t.is(error?.code, 'ALREADY_EXISTS');
  const read = async () => parseManifest(await readFile(path.join(folder, 'manifest.json'), 'utf8'), 'm').digest;
  t.is(await read(), first.digest);
  const second = await importDataset(source, folder, { name: 'd', seed: 2, replace: true });
  t.not(second.digest, first.digest);
  t.is(await read(), second.digest);
  t.deepEqual(await readdir(root), ['d']);
});

test('an import that is stopped leaves nothing, and tells how far it is', async (t) => {
  const root = await tempFolder(t);
  const stop = new AbortController();
  const done: number[] = [];
  const importing = importDataset(importSource(pixelSamples(5000, 20), GREY), path.join(root, 'd'), {
    name: 'd',
    signal: stop.signal,
    onProgress: (samplesDone, samples) => {
      t.is(samples, 5000);
      done.push(samplesDone);
      if (samplesDone > 1000) stop.abort(new StillhouseError('CANCELLED', 'stopped'));
    },
  });
  await t.throwsAsync(importing, { instanceOf: StillhouseError, message: 'stopped' });
  t.true(done.length > 1 && done.every((count, index) => count > (done[index - 1] ?? 0)));
  t.deepEqual(await readdir(root), []);
});

test('a full disk is told, and nothing is left', async (t) => {
  const root = await tempFolder(t);
  // Files of this process may have 64 KiB: the shard of 200 KB cannot be written.
  const script = path.join(root, 'import.mts');
  const at = (file: string) => JSON.stringify(new URL(`../../../${file}`, import.meta.url).href);
  await writeFile(
    script,
    `import { importDataset } from ${at('lib/data/import-dataset.ts')};
import { importSource } from ${at('test/helpers/import-source.ts')};
const samples = Array.from({ length: 300 }, (_, index) => ({ split: 'train', label: index % 3, bytes: new Uint8Array(3 * 400) }));
const source = importSource(samples, { kind: 'raw', height: 20, width: 20, channels: 3 });
await importDataset(source, ${JSON.stringify(path.join(root, 'out/d'))}, { name: 'd' }).catch((error) => {
  console.log(JSON.stringify({ code: error.code, message: error.message, hint: error.hint }));
});
`,
  );
  const command = `ulimit -f 64; exec ${process.execPath} --import=tsx ${script}`;
  const { stdout } = await promisify(execFile)('bash', ['-c', command], { cwd: process.cwd() });
  const error = JSON.parse(stdout);
  t.is(error.code, 'RESOURCE_EXHAUSTED');
  t.regex(error.message, /cannot write .*train-00000\.shard: EFBIG/);
  t.regex(error.hint, /room/);
  t.deepEqual(await readdir(path.join(root, 'out')), []);
});

test('a folder in the way that no import has left is not touched', async (t) => {
  const root = await tempFolder(t);
  await importDataset(importSource(three, GREY), path.join(root, '.d.partial'), { name: 'in the way' });
  const error = await t.throwsAsync(importDataset(importSource(three, GREY), path.join(root, 'd'), { name: 'd' }), {
    instanceOf: StillhouseError,
    message: /\.d\.partial is there, and nobody is known to write it/,
  });
  t.is(error?.code, 'ALREADY_EXISTS');
  t.true((await stat(path.join(root, '.d.partial/manifest.json'))).isFile());
  t.deepEqual(await readdir(root), ['.d.partial']);
});

/** What an import that writes `d` leaves when it is killed: halfway, or between the two renames of a replacement. */
async function leaveBehind(root: string, owner: string, replacing: boolean): Promise<void> {
  await importDataset(importSource(three, GREY), path.join(root, 'd'), { name: 'd', seed: 7 });
  await rename(path.join(root, 'd'), path.join(root, replacing ? '.d.old' : '.d.partial'));
  await writeFile(path.join(root, '.d.pid'), owner);
}

test('what an import has left that was killed is cleaned up; one that lives is refused', async (t) => {
  const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  t.teardown(() => other.kill('SIGKILL'));
  const root = await tempFolder(t);
  const again = (options: object = {}) =>
    importDataset(importSource(three, GREY), path.join(root, 'd'), { name: 'd', ...options });
  for (const owner of [`${other.pid}`, '1 2 another-machine']) {
    await leaveBehind(root, owner, false);
    const error = await t.throwsAsync(again(), { code: 'FAILED_PRECONDITION' });
    t.regex(error?.message ?? '', /\/d is being written by another process \(process \d+( on another-machine)?\)/);
    t.deepEqual((await readdir(root)).sort(), ['.d.partial', '.d.pid']);
    await rm(path.join(root, '.d.partial'), { recursive: true });
    await rm(path.join(root, '.d.pid'));
  }
  // Somebody else has the id by now: it started at another time.
  const stat = await readFile(`/proc/${other.pid}/stat`, 'latin1').catch(() => '');
  if (stat === '') t.log('not run: there is no /proc to tell when processes started');
  else {
    await leaveBehind(root, `${other.pid} 0 ${hostname()}`, false);
    await again();
    t.deepEqual(await readdir(root), ['d']);
    await rm(path.join(root, 'd'), { recursive: true });
  }
  other.kill('SIGKILL');
  await once(other, 'exit');
  await leaveBehind(root, `${other.pid}`, false);
  await again();
  t.deepEqual(await readdir(root), ['d']);
  await rm(path.join(root, 'd'), { recursive: true });
  // What was to be replaced is there again, and so in the way of an import that replaces nothing.
  await leaveBehind(root, `${other.pid}`, true);
  await t.throwsAsync(again(), { code: 'ALREADY_EXISTS', message: /\/d is there already/ });
  t.deepEqual(await readdir(root), ['d']);
  await again({ replace: true, seed: 8 });
  t.deepEqual(await readdir(root), ['d']);
});

test('of two imports of one name at a time one is refused', async (t) => {
  const root = await tempFolder(t);
  const start = () => importDataset(importSource(three, GREY), path.join(root, 'd'), { name: 'd' });
  const ends = await Promise.allSettled([start(), start()]);
  t.deepEqual(ends.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  const [refused] = ends.filter((end) => end.status === 'rejected');
  t.regex(String(refused?.reason), /is being written by another process|is there already/);
  t.deepEqual(await readdir(root), ['d']);
});

test('the same folder elsewhere gives the same digest, damaged samples included', async (t) => {
  const root = await tempFolder(t);
  const labels = { classes: ['ash', 'beech'], perClass: 4, side: 12 };
  const imported = async (place: string) => {
    const folder = path.join(root, place);
    const pictures = path.join(folder, 'pictures');
    const files = await writePictures(pictures, { seed: 3, ...labels });
    const broken = files[2] as string;
    await writeFile(broken, (await readFile(broken)).subarray(0, 100));
    await writeIdxFolder(path.join(folder, 'digits'), { seed: 3, side: 4, train: 30, test: 10 });
    const bytes = Uint8Array.from({ length: 30 }, (_, index) => (index === 4 ? 200 : index % 10));
    await writeFile(path.join(folder, 'digits/train-labels-idx1-ubyte'), idxFile([30], bytes));
    const manifests = [];
    for (const kind of ['pictures', 'digits']) {
      const source = await openSource(path.join(folder, kind), { scratch: root });
      const refused = await t.throwsAsync(importDataset(source, path.join(folder, `${kind}-0`), { name: 'x' }));
      t.true(refused?.message.startsWith(`${path.join(folder, kind)}/`), 'who imports sees the whole path');
      manifests.push(await importDataset(source, path.join(folder, `${kind}-1`), { name: 'x', badSamples: 1 }));
      await source.close();
    }
    return manifests;
  };
  const [here, there] = [await imported('here'), await imported('some/where/else')];
  t.deepEqual(here, there);
  t.like(here[0]?.badSamples[0], { source: 'ash/0002.jpg' });
  t.like(here[1]?.badSamples[0], { source: 'train-images-idx3-ubyte (image 4, offset 80)' });
  t.regex(here[1]?.badSamples[0]?.reason ?? '', /^train-labels-idx1-ubyte \(label 4, offset 12\) has the label 200/);
});
