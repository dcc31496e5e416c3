/** Reading by threads: the same pixels, nothing lost, nothing left running. */
import { execFile } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { createRandom, shuffle } from '../../../lib/base/random.ts';
import { importDataset } from '../../../lib/data/import-dataset.ts';
import type { OfficialManifest } from '../../../lib/data/manifest.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import type { ReadRequest } from '../../../lib/data/read-request.ts';
import { ReaderPool } from '../../../lib/data/reader-pool.ts';
import { NO_VIEWS, partnersOf, type ViewRule } from '../../../lib/data/views.ts';
import { importSource } from '../../helpers/import-source.ts';
import { onePool } from '../../helpers/one-pool.ts';
import { writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const RULE: ViewRule = {
  ...NO_VIEWS,
  flip: true,
  shift: 2,
  crop: { scale: [0.3, 1], ratio: [0.75, 1.33] },
  jitter: { brightness: 0.2, contrast: 0.2, saturation: 0.2, hue: 0.1 },
  cutout: 4,
  mixup: 0.4,
  cutmix: 0.6,
  seed: 5,
  number: 2,
};

async function pictureFolder(t: ExecutionContext): Promise<string> {
  const root = await tempFolder(t);
  const random = createRandom(3);
  const samples = await Promise.all(
    Array.from({ length: 24 }, async (_, index) => {
      const [width, height] = [20 + random.nextInt(20), 20 + random.nextInt(20)];
      const pixels = Uint8Array.from({ length: width * height * 3 }, () => random.nextInt(256));
      const picture = sharp(pixels, { raw: { width, height, channels: 3 } });
      const bytes = await (index % 2 === 0 ? picture.jpeg() : picture.png()).toBuffer();
      return { split: index % 4 === 3 ? ('test' as const) : ('train' as const), label: index % 3, bytes };
    }),
  );
  const source = importSource(samples, { kind: 'encoded', fit: 'squash' }, { size: 16 });
  await importDataset(source, path.join(root, 'd'), { name: 'd' });
  return root;
}

test('0, 1 and 2 threads read the same pixels, in the order asked for, with views and mixed', async (t) => {
  const roots = { pictures: await pictureFolder(t), official: await tempFolder(t) };
  await writeSmallDataset(roots.official, 'd', {
    files: [
      ['train', 20],
      ['test', 4],
    ],
  });
  for (const [what, root] of Object.entries(roots)) {
    const datasets = await Promise.all([0, 1, 2].map((threads) => openDataset(root, 'd', { threads })));
    const ids = shuffle(
      Uint32Array.from({ length: 18 }, (_, id) => id),
      createRandom(2),
    );
    const partners = partnersOf(ids, onePool(ids.slice().sort()), RULE);
    t.not(partners, null);
    const [one, two, three] = await Promise.all(
      datasets.map(async (dataset) => {
        const batches = [0, 1, 2, 3, 4, 5].map((batch) => dataset.load(ids.subarray(3 * batch, 3 * batch + 3)));
        const mixed = dataset.load(ids, { rule: RULE, partners });
        return [...(await Promise.all(batches)), await mixed].map((images) => Buffer.from(images.buffer));
      }),
    );
    t.deepEqual(two, one, what);
    t.deepEqual(three, one, what);
    for (const dataset of datasets) await dataset.close();
  }
});

test('bad requests fail by themselves', async (t) => {
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'd');
  const dataset = await openDataset(root, 'd', { threads: 1 });
  t.teardown(() => dataset.close());
  const asked = [dataset.load([0]), dataset.load([18]), dataset.load([1])];
  const [first, wrong, last] = await Promise.allSettled(asked);
  t.is(first?.status, 'fulfilled');
  t.is(last?.status, 'fulfilled');
  t.is(wrong?.status === 'rejected' && wrong.reason.code, 'INVALID_ARGUMENT');
});

test('closing ends what is under way, and what comes later', async (t) => {
  const root = await pictureFolder(t);
  for (const threads of [0, 1, 2]) {
    const dataset = await openDataset(root, 'd', { threads });
    const ids = dataset.idsOf('train');
    const asked = Array.from({ length: 10 }, () => dataset.load(ids));
    const settled = Promise.allSettled(asked);
    await dataset.close();
    await dataset.close();
    // Not even their files were open.
    for (const end of await settled) t.is(end.status === 'rejected' && end.reason.code, 'CANCELLED');
    const error = await t.throwsAsync(dataset.load([0]), { instanceOf: StillhouseError });
    t.is(error?.code, 'CANCELLED');
  }
});

test('closing in the middle ends what waits for a thread', async (t) => {
  const root = await pictureFolder(t);
  for (const threads of [1, 2]) {
    const dataset = await openDataset(root, 'd', { threads });
    const ids = dataset.idsOf('train');
    const asked = Array.from({ length: 12 }, () => dataset.load(ids));
    const settled = Promise.allSettled(asked);
    // Each thread has at most two requests: when the first is answered, most have not been handed over.
    await Promise.race(asked);
    await dataset.close();
    const ends = await settled;
    for (const end of ends) {
      if (end.status === 'rejected') t.is(end.reason.code, 'CANCELLED');
      else t.is(end.value.length, ids.length * 16 * 16 * 3);
    }
    t.true(ends.some(({ status }) => status === 'fulfilled'));
    t.is(ends.at(-1)?.status, 'rejected', `${threads} threads`);
  }
});

test('a request that makes no sense fails; the thread goes on', async (t) => {
  const { pool, request } = await smallPool(t);
  t.is((await pool.read(request(0))).length, 3072);
  const senseless = { ...request(0), samples: { ...request(0).samples, files: null } } as never;
  const tooLarge = { ...request(0), image: { height: 1e6, width: 1e6, channels: 3 } };
  for (const wrong of [senseless, tooLarge]) {
    const error = await t.throwsAsync(pool.read(wrong), { instanceOf: StillhouseError });
    t.is(error?.code, 'INTERNAL');
  }
  t.is((await pool.read(request(1))).length, 3072);
});

test.serial('a thread that ends fails what it was asked, and the next request has another', async (t) => {
  const { pool, request } = await smallPool(t);
  const threads: Worker[] = [];
  const onThread = (thread: Worker) => threads.push(thread);
  process.on('worker', onThread);
  t.teardown(() => process.off('worker', onThread));
  const first = await pool.read(request(0));
  for (const number of [1, 2]) {
    // Much work, both at once with the one thread.
    const reads = [pool.read(request(1, 5000)), pool.read(request(2, 5000))];
    const waits = pool.read(request(0));
    const ends = Promise.allSettled(reads);
    // They have been handed over by then.
    await new Promise(setImmediate);
    await threads.at(-1)?.terminate();
    for (const end of await ends) {
      t.is(end.status === 'rejected' && end.reason.code, 'UNAVAILABLE');
      t.regex(end.status === 'rejected' ? end.reason.message : '', /a thread that reads images has ended: exit code 1/);
    }
    t.deepEqual(await waits, first);
    t.is(threads.length, 1 + number);
  }
});

async function smallPool(t: ExecutionContext) {
  const root = await tempFolder(t);
  const { folder, manifest } = await writeSmallDataset(root, 'd');
  const pool = new ReaderPool(1);
  t.teardown(() => pool.close(new StillhouseError('CANCELLED', 'the end')));
  const [{ records, bytes }] = manifest.files as [OfficialManifest['files'][number]];
  const location = path.join(folder, 'part-0.bin');
  const fd = openSync(location, 'r');
  t.teardown(() => closeSync(fd));
  const file = { records, bytes, location, fd, offsets: null, layout: { kind: 'cifar10' } } as const;
  /** @param times that the sample is asked for */
  const request = (id: number, times = 1): ReadRequest => ({
    image: manifest.image,
    files: [file],
    samples: {
      ids: new Uint32Array(times).fill(id),
      files: new Uint32Array(times),
      records: new Uint32Array(times).fill(id),
    },
    view: { rule: RULE, partners: null },
  });
  return { pool, request };
}

test('a data set that is replaced while threads read it stays the one that was opened', async (t) => {
  const root = await tempFolder(t);
  const samples = Array.from({ length: 40 }, (_, index) => ({
    split: 'train' as const,
    label: index % 3,
    bytes: new Uint8Array(192).fill(index),
  }));
  // The same shards but for the order in them.
  const write = async (seed: number) => {
    const source = importSource(samples, { kind: 'raw', height: 8, width: 8, channels: 3 });
    await importDataset(source, path.join(root, 'd'), { name: 'd', seed, replace: true });
  };
  await write(1);
  const dataset = await openDataset(root, 'd', { threads: 2 });
  t.teardown(() => dataset.close());
  const ids = dataset.idsOf('train');
  // By one thread.
  const images = await dataset.load(ids);
  await write(2);
  const replaced = await openDataset(root, 'd');
  t.notDeepEqual(await replaced.load(ids), images);
  await replaced.close();
  for (const again of await Promise.all([dataset.load(ids), dataset.load(ids)])) t.deepEqual(again, images);
});

test('threads that wait do not keep a process alive; threads at work do', async (t) => {
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'd');
  const script = path.join(root, 'read.mts');
  const module = new URL('../../../lib/data/open-dataset.ts', import.meta.url).href;
  await writeFile(
    script,
    `import type { OfficialManifest } from '../../../lib/data/manifest.ts';
import { openDataset } from ${JSON.stringify(module)};
const dataset = await openDataset(${JSON.stringify(root)}, 'd', { threads: 2 });
const images = await Promise.all([dataset.load([0]), dataset.load([1, 2])]);
console.log(images.map(({ length }) => length).join(' '));
`,
  );
  const run = promisify(execFile)(process.execPath, ['--import=tsx', script], { cwd: process.cwd(), timeout: 60_000 });
  t.is((await run).stdout, '3072 6144\n');
});
