import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { untilAborted } from '../../../../lib/base/clock.ts';
import type { StillhouseError } from '../../../../lib/base/errors.ts';
import { HttpSource } from '../../../../lib/data/places/http-source.ts';
import { openPlace } from '../../../../lib/data/places/place.ts';
import { RemotePlace } from '../../../../lib/data/places/remote-place.ts';
import { ShardCache } from '../../../../lib/data/places/shard-cache.ts';
import { serveFiles } from '../../../helpers/file-server.ts';
import { bytesOf } from '../../../helpers/open-files.ts';
import { tempFolder } from '../../../helpers/temp-folder.ts';

const MIB = 1 << 20;

/** Files of so many bytes that differ. */
function shard(number: number, bytes = MIB) {
  const data = Buffer.alloc(bytes, number);
  return { data, content: { bytes, sha256: createHash('sha256').update(data).digest('hex') } };
}

async function wholeFiles(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => /^[0-9a-f]{64}$/.test(name)).sort();
}

async function writer(t: ExecutionContext, limitBytes: number) {
  const folder = await tempFolder(t);
  const cache = new ShardCache({ folder, limitBytes });
  const fetched: number[] = [];
  const closings: { readonly number: number; readonly close: () => Promise<void> }[] = [];
  const open = async (number: number) => {
    const { data, content } = shard(number);
    const { close } = await cache.open(content, async (partial) => {
      fetched.push(number);
      await writeFile(partial, data);
    });
    closings.push({ number, close });
  };
  const close = async (number: number) => {
    const index = closings.findIndex((closing) => closing.number === number);
    await closings.splice(index, 1)[0]?.close();
  };
  t.teardown(() => Promise.all(closings.map((closing) => closing.close())));
  return { folder, cache, fetched, open, close };
}

const ENTRY = fileURLToPath(new URL('fetch-entry.ts', import.meta.url));
const NODE_ARGUMENTS = [`--import=${import.meta.resolve('tsx')}`, ENTRY];

test('what was used least recently makes room, but nothing that is in use', async (t) => {
  const { folder, fetched, open, close } = await writer(t, 3 * MIB);
  const names = (...numbers: number[]) => numbers.map((number) => shard(number).content.sha256).sort();
  for (const number of [1, 2, 3]) {
    await open(number);
    await utimes(path.join(folder, shard(number).content.sha256), 1000 + number, 1000);
    if (number !== 2) await close(number);
  }
  // 1 is used again by now, and 2 is still in use.
  await open(1);
  await close(1);
  await open(4);
  t.deepEqual(await wholeFiles(folder), names(1, 2, 4));
  await close(2);
  await utimes(path.join(folder, shard(2).content.sha256), 2000, 1000);
  await open(5);
  t.deepEqual(await wholeFiles(folder), names(1, 4, 5));
  t.deepEqual(fetched, [1, 2, 3, 4, 5]);
  // All that is left is in use: what is needed comes in spite of the limit.
  await open(1);
  await open(6);
  t.deepEqual(await wholeFiles(folder), names(1, 4, 5, 6));
});

test('a file that was damaged in the cache is fetched again', async (t) => {
  const { folder, fetched, open } = await writer(t, 9 * MIB);
  const { data, content } = shard(1);
  for (const damaged of [Buffer.alloc(MIB, 9), data.subarray(1)]) {
    await writeFile(path.join(folder, content.sha256), damaged);
    const other = new ShardCache({ folder, limitBytes: 9 * MIB });
    const opening = other.open(content, async (partial) => await writeFile(partial, data));
    t.true(data.equals(await bytesOf(opening)));
  }
  await open(1);
  t.deepEqual(fetched, []);
});

test('a full disk names the folder and the setting', async (t) => {
  const { folder, cache } = await writer(t, MIB);
  const full = cache.open(shard(1).content, async () => await writeFile('/dev/full', 'x'));
  const error = await t.throwsAsync<StillhouseError>(full);
  t.like(error, { code: 'RESOURCE_EXHAUSTED', field: 'STILLHOUSE_SHARD_CACHE_GB' });
  t.true(error?.message.includes(folder));
  await writeFile(path.join(folder, 'file'), '');
  const nowhere = new ShardCache({ folder: path.join(folder, 'file', 'shards'), limitBytes: MIB });
  const refused = nowhere.open(shard(1).content, async () => t.fail('there is nowhere to write to'));
  t.like(await t.throwsAsync(refused), { code: 'FAILED_PRECONDITION', field: 'STILLHOUSE_CACHE' });
});

test('one of two who wait can leave; when both have, the fetch ends', async (t) => {
  const { cache } = await writer(t, 9 * MIB);
  const { data, content } = shard(1);
  const [one, two] = [new AbortController(), new AbortController()];
  let proceed = () => {};
  const gate = new Promise<void>((resolve) => {
    proceed = resolve;
  });
  const fill = async (partial: string) => {
    await gate;
    await writeFile(partial, data);
  };
  const left = cache.open(content, fill, one.signal);
  const stayed = cache.open(content, fill, two.signal);
  one.abort(new Error('left'));
  await t.throwsAsync(left, { message: 'left' });
  proceed();
  t.true(data.equals(await bytesOf(stayed)));

  const alone = new AbortController();
  let ended = false;
  let onBegin = () => {};
  const began = new Promise<void>((resolve) => {
    onBegin = resolve;
  });
  const endless = cache.open(
    shard(2).content,
    async (_partial, signal) => {
      onBegin();
      await untilAborted(signal);
      ended = true;
      throw signal.reason;
    },
    alone.signal,
  );
  await began;
  alone.abort(new Error('gone'));
  await t.throwsAsync(endless, { message: 'gone' });
  // The next one waits for the lock until the one before has ended.
  const next = cache.open(shard(2).content, async (partial) => await writeFile(partial, shard(2).data));
  t.true(shard(2).data.equals(await bytesOf(next)));
  t.true(ended);
});

test('of several processes one fetches and all have the file', async (t) => {
  const { data, content } = shard(7, 4 * MIB);
  const server = await serveFiles(t, { '/a.bin': data });
  const folder = path.join(await tempFolder(t), 'shards');
  const run = promisify(execFile);
  const given = [server.url, 'a.bin', String(content.bytes), content.sha256, folder];
  const options = { encoding: 'buffer', maxBuffer: 2 * data.length } as const;
  const said = await Promise.all([1, 2, 3].map(() => run(process.execPath, [...NODE_ARGUMENTS, ...given], options)));
  for (const { stdout } of said) t.true(data.equals(stdout));
  t.is(server.answers.length, 1);
  t.deepEqual(await readdir(folder), [content.sha256]);
});

test('a process that was killed half-way is taken over from, at the byte where it stopped', async (t) => {
  const { data, content } = shard(8, 4 * MIB);
  const server = await serveFiles(t, { '/a.bin': data });
  const folder = path.join(await tempFolder(t), 'shards');
  server.faults.push({ afterBytes: 3 * MIB, end: 'silence' });
  const child = spawn(
    process.execPath,
    [...NODE_ARGUMENTS, server.url, 'a.bin', String(content.bytes), content.sha256, folder],
    { stdio: 'ignore' },
  );
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await server.silent;
  // What was sent has not all been written yet; some of it must have been.
  const written = async () => {
    const partial = (await readdir(folder)).find((name) => name.endsWith('.partial'));
    return partial === undefined ? 0 : (await readFile(path.join(folder, partial))).length;
  };
  while ((await written()) === 0);
  child.kill('SIGKILL');
  await ended;
  const bytes = await written();
  t.true((await readdir(folder)).some((name) => name.endsWith('.lock')));
  const source = new HttpSource(new URL(server.url), { mayAsk: () => true, silenceMs: 30_000 });
  const cache = new ShardCache({ folder, limitBytes: 64 * MIB, staleMs: 300 });
  t.true(data.equals(await bytesOf(new RemotePlace(source, cache).openFile('a.bin', content))));
  t.like(server.answers[1], { status: 206, from: bytes });
  t.deepEqual(await readdir(folder), [content.sha256]);
});

test('places in one process share a cache, and what is released is asked for again when it is gone', async (t) => {
  const { data, content } = shard(9);
  const server = await serveFiles(t, { '/one/a.bin': data, '/two/b.bin': data });
  const folder = await tempFolder(t);
  await mkdir(folder, { recursive: true });
  const shardCache = { folder, limitBytes: MIB };
  const one = openPlace(`${server.url}/one`, { shardCache });
  const two = openPlace(`${server.url}/two`, { shardCache });
  const [first, second] = [await one.openFile('a.bin', content), await two.openFile('b.bin', content)];
  t.is(server.answers.length, 1);
  t.deepEqual([first.location, second.location], [`${server.url}/one/a.bin`, `${server.url}/two/b.bin`]);
  await first.close();
  const other = shard(10);
  server.files.set('/one/c.bin', other.data);
  const third = await one.openFile('c.bin', other.content);
  t.is((await wholeFiles(folder)).length, 2);
  await second.close();
  await third.close();
  server.files.set('/one/d.bin', shard(11).data);
  await bytesOf(one.openFile('d.bin', shard(11).content));
  t.deepEqual(await wholeFiles(folder), [shard(11).content.sha256]);
  t.true(data.equals(await bytesOf(two.openFile('b.bin', content))));
  t.is(server.answers.length, 4);
});

test('what another process makes room with stays readable here, and is fetched again when it is opened again', async (t) => {
  const { folder, cache, fetched, open, close } = await writer(t, MIB);
  const { data, content } = shard(1);
  await open(1);
  const opened = cache.open(content, async () => t.fail('it is there'));
  await opened;
  // As another process has it: what this one uses is not known there.
  const other = new ShardCache({ folder, limitBytes: MIB });
  await bytesOf(other.open(shard(2).content, async (partial) => await writeFile(partial, shard(2).data)));
  t.deepEqual(await wholeFiles(folder), [shard(2).content.sha256]);
  t.true(data.equals(await bytesOf(opened)));
  await close(1);
  await open(1);
  t.deepEqual(fetched, [1, 1]);
});

test('what is fetched at the same time makes room for all of it', async (t) => {
  const { folder, open, close } = await writer(t, 3 * MIB);
  for (const number of [1, 2, 3]) {
    await open(number);
    await close(number);
  }
  const caches = [1, 2].map(() => new ShardCache({ folder, limitBytes: 3 * MIB }));
  let begun = 0;
  let onAll = () => {};
  const all = new Promise<void>((resolve) => {
    onAll = resolve;
  });
  const most: number[] = [];
  const fetchThree = [4, 5, 6].map(async (number) => {
    const { data, content } = shard(number);
    // Two of one process, one of another.
    const cache = caches[number % 2] as ShardCache;
    await bytesOf(
      cache.open(content, async (partial) => {
        if (++begun === 3) onAll();
        await all;
        most.push((await wholeFiles(folder)).length);
        await writeFile(partial, data);
      }),
    );
  });
  await Promise.all(fetchThree);
  // What was there has made room before anything has come.
  t.is(most[0], 0);
  t.is((await wholeFiles(folder)).length, 3);
});
