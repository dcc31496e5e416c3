import { createHash } from 'node:crypto';
import { link, readdir, readFile, rm, truncate } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { StillhouseError } from '../../../../lib/base/errors.ts';
import { createRandom } from '../../../../lib/base/random.ts';
import { importDataset } from '../../../../lib/data/import-dataset.ts';
import { openDataset } from '../../../../lib/data/open-dataset.ts';
import { addressRule, parseAddress } from '../../../../lib/data/places/address.ts';
import { HttpSource } from '../../../../lib/data/places/http-source.ts';
import { openPlace, type PlaceOptions } from '../../../../lib/data/places/place.ts';
import { RemotePlace } from '../../../../lib/data/places/remote-place.ts';
import { openShardCache } from '../../../../lib/data/places/shard-cache.ts';
import { serveFiles } from '../../../helpers/file-server.ts';
import { importSource } from '../../../helpers/import-source.ts';
import { bytesOf } from '../../../helpers/open-files.ts';
import { untilWritten } from '../../../helpers/partial-files.ts';
import { writeSmallDataset } from '../../../helpers/small-dataset.ts';
import { tempFolder } from '../../../helpers/temp-folder.ts';

const MIB = 1 << 20;
const SEED = 7;
const BLOCK_BYTES = 1 << 16;

/** A random block again and again, each with its number at its beginning. */
function randomBytes(length: number): Buffer {
  const random = createRandom(SEED);
  const block = Buffer.from(Uint32Array.from({ length: BLOCK_BYTES / 4 }, () => random.nextUint32()).buffer);
  const bytes = Buffer.alloc(length, block);
  for (let at = 0; at < length; at += BLOCK_BYTES) bytes.writeUInt32LE(at, at);
  return bytes;
}

function contentOf(bytes: Uint8Array) {
  return { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}

async function cacheIn(t: ExecutionContext) {
  return { folder: await tempFolder(t), limitBytes: 64 * MIB };
}

test('a file comes in pieces, and once', async (t) => {
  const bytes = randomBytes(20 * MIB);
  const server = await serveFiles(t, { '/data/a.bin': bytes });
  const place = openPlace(`${server.url}/data/`, { shardCache: await cacheIn(t) });
  const both = await Promise.all([1, 2].map(() => bytesOf(place.openFile('a.bin', contentOf(bytes)))));
  for (const one of both) t.true(bytes.equals(one));
  t.deepEqual(
    server.answers.map(({ status, from, bytes }) => [status, from / MIB, bytes / MIB]),
    [
      [206, 0, 8],
      [206, 8, 8],
      [206, 16, 4],
    ],
  );
});

test('a cut connection goes on at the byte where it stopped, of the same version', async (t) => {
  const bytes = randomBytes(3 * MIB);
  const server = await serveFiles(t, { '/a.bin': bytes });
  const shardCache = await cacheIn(t);
  const before = () => untilWritten(shardCache.folder, MIB / 2);
  server.faults.push({ afterBytes: MIB, end: 'cut', before }, { afterBytes: 0, end: 'cut' }, { status: 503 });
  const place = openPlace(server.url, { shardCache });
  t.true(bytes.equals(await bytesOf(place.openFile('a.bin', contentOf(bytes)))));
  const last = server.answers.at(-1);
  t.is(last?.status, 206);
  t.true((last?.from ?? 0) >= MIB / 2 && (last?.from ?? 0) <= MIB, `from ${last?.from}`);
  t.is(last?.ifRange, `"${contentOf(bytes).sha256}"`);
});

test('a file that is another one half-way is fetched from its beginning', async (t) => {
  const bytes = randomBytes(12 * MIB);
  const old = Buffer.alloc(12 * MIB, 3);
  const server = await serveFiles(t, { '/a.bin': old });
  const shardCache = await cacheIn(t);
  const before = async () => {
    await untilWritten(shardCache.folder, MIB / 2);
    server.files.set('/a.bin', bytes);
  };
  server.faults.push({ afterBytes: MIB, end: 'cut', before });
  const place = openPlace(server.url, { shardCache });
  t.true(bytes.equals(await bytesOf(place.openFile('a.bin', contentOf(bytes)))));
  t.deepEqual(
    server.answers.map(({ status, from }) => [status, from]),
    [
      [206, 0],
      [200, 0],
    ],
  );
});

test('a server that falls silent is asked again', async (t) => {
  const bytes = randomBytes(MIB);
  const server = await serveFiles(t, { '/a.bin': bytes });
  server.faults.push({ afterBytes: MIB / 2, end: 'silence' });
  const source = new HttpSource(parseAddress(server.url), { mayAsk: () => true, silenceMs: 500 });
  const place = new RemotePlace(source, openShardCache(await cacheIn(t)));
  t.true(bytes.equals(await bytesOf(place.openFile('a.bin', contentOf(bytes)))));
  t.true(server.answers.length > 1);
});

test('without ranges the whole file comes, from the beginning after every cut', async (t) => {
  const bytes = randomBytes(9 * MIB);
  const server = await serveFiles(t, { '/a.bin': bytes }, { ranges: false });
  server.faults.push({ afterBytes: 8.5 * MIB, end: 'cut' });
  const place = openPlace(server.url, { shardCache: await cacheIn(t) });
  t.true(bytes.equals(await bytesOf(place.openFile('a.bin', contentOf(bytes)))));
  t.deepEqual(
    server.answers.map(({ status, from }) => [status, from]),
    [
      [200, 0],
      [200, 0],
    ],
  );
});

test('wrong bytes are fetched a second time, and refused then', async (t) => {
  const bytes = randomBytes(MIB);
  const server = await serveFiles(t, { '/a.bin': bytes, '/b.bin': bytes });
  server.faults.push({ wrong: true });
  const place = openPlace(server.url, { shardCache: await cacheIn(t) });
  t.true(bytes.equals(await bytesOf(place.openFile('a.bin', contentOf(bytes)))));
  t.is(server.answers.length, 2);
  const other = { bytes: MIB, sha256: contentOf(Buffer.from('another')).sha256 };
  const error = await t.throwsAsync<StillhouseError>(place.openFile('b.bin', other));
  t.like(error, { code: 'DATA_LOSS', field: `${server.url}/b.bin` });
  t.true(error?.message.includes(contentOf(bytes).sha256) && error.message.includes(other.sha256));
  t.is(server.answers.length, 4);
});

test('missing, short and long files, and those that may not be read, are told apart', async (t) => {
  const bytes = randomBytes(MIB);
  for (const ranges of [true, false]) {
    const server = await serveFiles(t, { '/a.bin': bytes }, { ranges });
    const place = openPlace(server.url, { shardCache: await cacheIn(t) });
    const { sha256 } = contentOf(bytes);
    const refusal = async (file: string, expected: number) => {
      const error = await t.throwsAsync<StillhouseError>(place.openFile(file, { bytes: expected, sha256 }));
      t.is(error?.field, `${server.url}/${file}`);
      return `${error?.code} ${error?.message}`;
    };
    t.regex(await refusal('b.bin', 5), /^DATA_LOSS .*b\.bin is not there \(answers 404 Not Found\); expected 5 bytes/);
    t.regex(await refusal('a.bin', MIB + 7), /^DATA_LOSS .*ends at offset 1048576/);
    if (!ranges) t.regex(await refusal('a.bin', MIB - 1), /^DATA_LOSS .*is longer than 1048575 bytes/);
    server.faults.push({ status: 403 });
    t.regex(await refusal('c.bin', 5), /^FAILED_PRECONDITION .*may not be read \(answers 403 Forbidden\)/);
  }
});

test('a manifest: not there, too long, behind answers that pass', async (t) => {
  const server = await serveFiles(t, { '/set/manifest.json': Buffer.from('{}') });
  const options = { shardCache: await cacheIn(t) };
  server.faults.push({ status: 500 }, { status: 429 });
  t.is(Buffer.from(await openPlace(`${server.url}/set`, options).readFile('manifest.json', 9)).toString(), '{}');
  const long = openPlace(`${server.url}/set`, options).readFile('manifest.json', 1);
  t.like(await t.throwsAsync(long), { code: 'DATA_LOSS' });
  const missing = openPlace(`${server.url}/no`, options).readFile('manifest.json', 9);
  t.like(await t.throwsAsync(missing), { code: 'FAILED_PRECONDITION', field: 'data.dataset' });
  const safely = openPlace(server.url.replace('http:', 'https:'), options).readFile('manifest.json', 9);
  const error = await t.throwsAsync<StillhouseError>(safely);
  t.like(error, { code: 'FAILED_PRECONDITION' });
  t.regex(error?.hint ?? '', /certificate/);
});

test('redirects are followed only to where the service may ask, and not for ever', async (t) => {
  const bytes = randomBytes(MIB);
  const other = await serveFiles(t, { '/a.bin': bytes, '/open/a.bin': bytes, '/openness/a.bin': bytes });
  const server = await serveFiles(t);
  const options: PlaceOptions = {
    shardCache: await cacheIn(t),
    mayAsk: addressRule(`${server.url}/data ${other.url}/open`),
  };
  const place = openPlace(`${server.url}/data`, options);
  for (const way of ['/a.bin', '/openness/a.bin', '/open/..%2fa.bin']) {
    server.redirects.set('/data/a.bin', `${other.url}${way}`);
    const error = await t.throwsAsync<StillhouseError>(place.openFile('a.bin', contentOf(bytes)), undefined, way);
    t.like(error, { code: 'FAILED_PRECONDITION' });
    t.regex(error?.hint ?? '', /STILLHOUSE_ALLOW_DATASET_URLS/);
  }
  t.is(other.answers.length, 0);
  server.redirects.set('/data/a.bin', '/data/a.bin');
  await t.throwsAsync(place.openFile('a.bin', contentOf(bytes)), { message: /more than 5 times/ });
  server.redirects.set('/data/a.bin', `${other.url}/open/a.bin`);
  t.true(bytes.equals(await bytesOf(place.openFile('a.bin', contentOf(bytes)))));
});

test('of a data set only the shards whose samples are asked for are fetched, each once', async (t) => {
  const root = await tempFolder(t);
  const samples = Array.from({ length: 10_300 }, (_, index) => ({
    split: index % 5 === 4 ? ('test' as const) : ('train' as const),
    label: index % 3,
    bytes: Uint8Array.of(index, index >> 8),
  }));
  const source = importSource(samples, { kind: 'raw', height: 1, width: 2, channels: 1 });
  const { shards } = await importDataset(source, path.join(root, 'near'), { name: 'near' });
  t.is(shards.length, 3);
  const server = await serveFiles(t);
  for (const name of await readdir(path.join(root, 'near'))) {
    server.files.set(`/${name}`, await readFile(path.join(root, 'near', name)));
  }
  const near = await openDataset(root, 'near');
  const far = await openDataset(root, server.url, { shardCache: await cacheIn(t) });
  t.teardown(() => Promise.all([near.close(), far.close()]));
  t.deepEqual(far.labels, near.labels);
  const before = server.answers.length;
  for (const ids of [[8200], [8200, 8239], [10_299, 8201]]) t.deepEqual(await far.load(ids), await near.load(ids));
  t.deepEqual(
    server.answers.slice(before).map((answer) => answer.path),
    [`/${shards[1]?.path}`, `/${shards[2]?.path}`],
  );
  t.false(server.answers.some((answer) => answer.path === `/${shards[0]?.path}`));
});

test('official files have their labels among the pixels: all are fetched, each once', async (t) => {
  const root = await tempFolder(t);
  const { folder, manifest } = await writeSmallDataset(root, 'trees');
  const server = await serveFiles(t);
  for (const name of await readdir(folder)) server.files.set(`/${name}`, await readFile(path.join(folder, name)));
  const near = await openDataset(root, 'trees');
  const far = await openDataset(root, server.url, { shardCache: await cacheIn(t) });
  t.teardown(() => Promise.all([near.close(), far.close()]));
  t.deepEqual(far.labels, near.labels);
  t.deepEqual(await far.load([15, 0, 9]), await near.load([15, 0, 9]));
  t.is(server.answers.length, 1 + manifest.files.length);
});

async function servedPictures(t: ExecutionContext) {
  const root = await tempFolder(t);
  const samples = Array.from({ length: 40 }, (_, index) => ({
    split: index < 30 ? ('train' as const) : ('test' as const),
    label: index % 3,
    bytes: new Uint8Array(192).fill(index),
  }));
  const source = importSource(samples, { kind: 'raw', height: 8, width: 8, channels: 3 });
  const { shards } = await importDataset(source, path.join(root, 'near'), { name: 'near' });
  const server = await serveFiles(t);
  for (const name of await readdir(path.join(root, 'near'))) {
    server.files.set(`/${name}`, await readFile(path.join(root, 'near', name)));
  }
  const shardCache = await cacheIn(t);
  const open = (threads: number) => openDataset(root, server.url, { shardCache, threads });
  return { server, shardCache, open, shards: shards as [(typeof shards)[number], (typeof shards)[number]] };
}

test('what will be asked for is fetched early, once, and given up when the data set is closed', async (t) => {
  const { server, shardCache, open, shards } = await servedPictures(t);
  const far = await open(0);
  const shard = () => server.answers.filter((answer) => answer.path === `/${shards[0].path}`);
  far.prefetch([0, 1]);
  far.prefetch([2]);
  while (!(await readdir(shardCache.folder)).includes(shards[0].sha256));
  t.is(shard().length, 1);
  await far.load([0, 1, 2]);
  t.is(shard().length, 1);
  server.faults.push({ afterBytes: 100, end: 'silence' });
  far.prefetch([39]);
  await server.silent;
  await far.close();
  far.prefetch([39]);
  t.is(server.answers.filter((answer) => answer.path === `/${shards[1].path}`).length, 1);
});

test('one that cannot be fetched early is asked for again when it is read from', async (t) => {
  const { server, open, shards } = await servedPictures(t);
  const far = await open(0);
  t.teardown(() => far.close());
  const name = `/${shards[0].path}`;
  const bytes = server.files.get(name) as Buffer;
  server.files.delete(name);
  far.prefetch([0]);
  while (!server.answers.some((answer) => answer.path === name)) await new Promise(setImmediate);
  await t.throwsAsync(far.load([0]), { message: /is not there/ });
  server.files.set(name, bytes);
  t.is((await far.load([0])).length, 192);
});

test('a shard that is taken out of the cache is read on from by all threads, and its address is named when it is damaged', async (t) => {
  const { server, shardCache, open, shards } = await servedPictures(t);
  const [shard] = shards;
  const cached = path.join(shardCache.folder, shard.sha256);
  const far = await open(2);
  t.teardown(() => far.close());
  const first = await far.load([0]);
  await link(cached, `${cached}.kept`);
  await rm(cached);
  for (const again of await Promise.all([far.load([0]), far.load([0])])) t.deepEqual(again, first);
  await truncate(`${cached}.kept`, 1000);
  const error = await t.throwsAsync<StillhouseError>(far.load([29]));
  const where = `${server.url}/${shard.path} ends at offset 1000, expected ${shard.bytes} bytes (30 records)`;
  t.like(error, { code: 'DATA_LOSS', message: where });
});
