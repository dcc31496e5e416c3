/** Stored logits: real files, real processes, every way in which a file can be cut or damaged. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { createLogger } from '../../../lib/base/log.ts';
import { LogitsCache, type LogitsCacheOptions, MemoryBudget } from '../../../lib/checkpoint/logits-cache/cache.ts';
import {
  listNamespaces,
  type Namespace,
  removeNamespace,
  storedBytes,
} from '../../../lib/checkpoint/logits-cache/namespaces.ts';
import { type CacheRecipe, namespaceOf } from '../../../lib/checkpoint/logits-cache/recipe.ts';
import { CACHE_SAMPLES, inventedRecipe, mixedRecipe, rowOfSample, rowsOfBatch } from '../../helpers/logits-recipe.ts';
import { between, forCases } from '../../helpers/property.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const RECIPE = inventedRecipe();
const WRITER = fileURLToPath(new URL('../../helpers/logits-writer-entry.ts', import.meta.url));

const HEADER_BYTES = 32;
/** View, sample, partner, three logits, checksum. */
const RECORD_BYTES = 12 + 12 + 4;

function open(
  t: ExecutionContext,
  folder: string,
  recipe: CacheRecipe = RECIPE,
  options: Partial<LogitsCacheOptions> = {},
): Promise<LogitsCache> {
  const opening = LogitsCache.open(folder, recipe, { writes: false, ...options });
  t.teardown(async () => (await opening).close());
  return opening;
}

async function segmentsOf(folder: string, recipe = RECIPE): Promise<string[]> {
  const place = path.join(folder, namespaceOf(recipe));
  return (await readdir(place)).filter((name) => name.endsWith('.rows')).map((name) => path.join(place, name));
}

/** Stores samples 0 .. `count` - 1 by a writer of its own. */
async function store(folder: string, count: number, first = 0): Promise<void> {
  const cache = await LogitsCache.open(folder, RECIPE, { writes: true });
  const batch = { view: 0, ids: Array.from({ length: count }, (_, index) => first + index), partners: null };
  cache.keep(batch, rowsOfBatch(RECIPE, batch));
  await cache.close();
}

/** The ids of those that are found, each with its own row. */
function found(t: ExecutionContext, cache: LogitsCache, ids: readonly number[]): number[] {
  const { rows, missing } = cache.lookup({ view: 0, ids, partners: null });
  const present = ids.filter((_, index) => !missing.includes(index));
  for (const id of present) {
    const at = 12 * ids.indexOf(id);
    if (!Buffer.from(rowOfSample(RECIPE, 0, id)).equals(rows.subarray(at, at + 12)))
      t.fail(`sample ${id}: another row`);
  }
  return present;
}

test('whatever is stored, by whom and in which order, is found as it was stored', (t) =>
  forCases(t, 40, async (random) => {
    const folder = await tempFolder(t);
    const isMixed = random.nextInt(2) === 1;
    const recipe = isMixed ? mixedRecipe() : RECIPE;
    const stored = new Map<string, Uint8Array>();
    const view = () => (isMixed ? random.nextInt(3) : random.nextInt(2 ** 32 - 1));
    const draw = (): { view: number; ids: number[]; partners: number[] | null } => {
      const ids = Array.from({ length: between(random, 1, 20) }, () => random.nextInt(30));
      return { view: view(), ids, partners: isMixed ? ids.map(() => random.nextInt(3)) : null };
    };
    const keyOf = (batch: ReturnType<typeof draw>, index: number) =>
      `${isMixed ? batch.view : 0} ${batch.ids[index]} ${batch.partners?.[index]}`;
    const check = (cache: LogitsCache, batch: ReturnType<typeof draw>) => {
      const { rows, missing } = cache.lookup(batch);
      t.deepEqual(
        missing,
        batch.ids.flatMap((_, index) => (stored.has(keyOf(batch, index)) ? [] : [index])),
      );
      t.deepEqual(cache.missing(batch), missing);
      for (const index of batch.ids.keys()) {
        const row = stored.get(keyOf(batch, index)) ?? new Uint8Array(12);
        t.true(Buffer.from(row).equals(rows.subarray(12 * index, 12 * index + 12)));
      }
    };
    for (let writers = between(random, 1, 3); writers > 0; writers--) {
      // With 0 every row is read from its file, with 100 the first eight are in memory.
      const memory = new MemoryBudget([0, 100, 2 ** 21][random.nextInt(3)] as number);
      const cache = await LogitsCache.open(folder, recipe, { writes: true, memory });
      for (let batches = random.nextInt(8); batches > 0; batches--) {
        const batch = draw();
        const rows = Uint8Array.from({ length: 12 * batch.ids.length }, () => random.nextInt(256));
        // Of a sample that is stored already, the first row stays.
        for (const index of batch.ids.keys()) {
          const key = keyOf(batch, index);
          if (!stored.has(key)) stored.set(key, rows.slice(12 * index, 12 * index + 12));
        }
        cache.keep(batch, rows);
        await cache.flush();
        check(cache, batch);
        check(cache, draw());
      }
      await cache.close();
    }
    const reader = await LogitsCache.open(folder, recipe, {
      writes: false,
      memory: new MemoryBudget(random.nextInt(200)),
    });
    for (let batches = 0; batches < 5; batches++) check(reader, draw());
    t.is([...reader.keys()].length, stored.size);
    t.is(reader.stats.damaged, 0);
    await reader.close();
  }));

test('a segment that was cut off anywhere loses only what was cut', async (t) => {
  const folder = await tempFolder(t);
  const whole = 5;
  await store(folder, whole);
  const ids = [...Array(whole).keys()];
  const [file = ''] = await segmentsOf(folder);
  const bytes = await readFile(file);
  t.is(bytes.length, HEADER_BYTES + whole * RECORD_BYTES);
  for (let length = bytes.length; length >= 0; length--) {
    await truncate(file, length);
    const memory = new MemoryBudget(length % 2 === 0 ? 0 : 1000);
    const cache = await LogitsCache.open(folder, RECIPE, { writes: false, memory });
    const records = Math.max(0, Math.floor((length - HEADER_BYTES) / RECORD_BYTES));
    t.deepEqual(found(t, cache, ids), ids.slice(0, records), `${length} bytes`);
    t.is(cache.stats.damaged, 0);
    await cache.close();
  }
  // What was cut is stored again, beside it.
  await writeFile(file, bytes.subarray(0, bytes.length - 3));
  await store(folder, whole);
  t.deepEqual(found(t, await open(t, folder), ids), ids);
});

test('a byte that has changed costs its record, is reported, and the record is stored again', async (t) => {
  const folder = await tempFolder(t);
  const count = 3;
  await store(folder, count);
  const ids = [...Array(count).keys()];
  const [file = ''] = await segmentsOf(folder);
  const bytes = await readFile(file);
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] as number) ^ (1 << (at % 8));
    await writeFile(file, changed);
    const cache = await LogitsCache.open(folder, RECIPE, { writes: false });
    const record = at < HEADER_BYTES ? null : Math.floor((at - HEADER_BYTES) / RECORD_BYTES);
    t.deepEqual(found(t, cache, ids), record === null ? [] : ids.filter((id) => id !== record), `byte ${at}`);
    t.deepEqual(cache.damage, [{ file, record }]);
    t.is(cache.stats.damaged, 1);
    await cache.close();
  }
  // Damaged while it is open: a row that is read from its file is looked at again.
  await writeFile(file, bytes);
  const cache = await open(t, folder, RECIPE, { writes: true, memory: new MemoryBudget(0) });
  t.deepEqual(found(t, cache, ids), ids);
  const changed = Buffer.from(bytes);
  changed[HEADER_BYTES + RECORD_BYTES + 13] = (changed[HEADER_BYTES + RECORD_BYTES + 13] as number) ^ 1;
  await writeFile(file, changed);
  t.deepEqual(found(t, cache, ids), [0, 2]);
  t.deepEqual(cache.damage, [{ file, record: 1 }]);
  const again = { view: 0, ids: [1], partners: null };
  cache.keep(again, rowsOfBatch(RECIPE, again));
  await cache.flush();
  t.deepEqual(found(t, cache, ids), ids);
  t.deepEqual(found(t, await open(t, folder), ids), ids);
});

interface Writer {
  readonly pid: number;
  /** How many rows it has said to have stored. */
  stored: number;
  /** Lets it store 50 rows more, so often. */
  store(times: number): void;
  /** Lets it end when it has stored them; or at once. */
  end(signal?: 'SIGKILL'): Promise<unknown>;
}

function startWriter(t: ExecutionContext, folder: string, first: number, step: number): Writer {
  const args = ['--import=tsx', WRITER, folder, String(first), String(step)];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  const ended = once(child, 'close');
  const writer: Writer = {
    pid: child.pid ?? 0,
    stored: 0,
    store: (times) => child.stdin.write('\n'.repeat(times)),
    end: (signal) => {
      if (signal === undefined) child.stdin.end();
      else child.kill(signal);
      return ended;
    },
  };
  createInterface({ input: child.stdout }).on('line', (line) => {
    writer.stored = Number(line);
  });
  return writer;
}

test('two processes write, one of them is killed, and a third reads all the while', async (t) => {
  const folder = await tempFolder(t);
  const all = Array.from({ length: CACHE_SAMPLES }, (_, id) => id);
  const reader = await open(t, folder);
  const even = startWriter(t, folder, 0, 2);
  const odd = startWriter(t, folder, 1, 2);
  even.store(100);
  odd.store(30);
  let seen = 0;
  while (odd.stored < 1500 || even.stored < 5000) {
    await reader.refresh();
    const now = found(t, reader, all).length;
    t.true(now >= seen);
    seen = now;
  }
  const [namespace] = (await listNamespaces(folder)) as [Namespace];
  t.is(namespace.writers.length, 2);
  t.regex(namespace.writers.join(), new RegExp(`process ${odd.pid}\\b`));
  const refusal = await t.throwsAsync(removeNamespace(namespace), { instanceOf: StillhouseError });
  t.is(refusal?.code, 'FAILED_PRECONDITION');
  odd.store(60);
  while (odd.stored === 1500) await reader.refresh();
  await odd.end('SIGKILL');
  await even.end();
  await reader.refresh();
  const left = found(t, reader, all);
  const odds = left.filter((id) => id % 2 === 1);
  t.is(left.length - odds.length, 5000);
  // All that it had said to have stored, and maybe what it was about to say.
  t.deepEqual(odds, all.filter((id) => id % 2 === 1).slice(0, odds.length));
  t.true(odds.length >= odd.stored && odds.length > 1500);
  t.is(reader.stats.damaged, 0);
  // The next writer stores what is missing and nothing twice.
  const next = startWriter(t, folder, 1, 2);
  next.store(100);
  await next.end();
  const fresh = await open(t, folder);
  t.deepEqual(found(t, fresh, all), all);
  const [{ bytes, writers, recipe }] = (await listNamespaces(folder)) as [Namespace];
  const recipeBytes = (await stat(path.join(namespace.folder, 'recipe.json'))).size;
  const least = recipeBytes + 3 * HEADER_BYTES + CACHE_SAMPLES * RECORD_BYTES;
  t.true(bytes >= least && bytes < least + RECORD_BYTES, `${bytes} bytes, at least ${least}`);
  t.deepEqual(writers, []);
  t.deepEqual(recipe, RECIPE);
  await removeNamespace(namespace);
  t.deepEqual(await readdir(folder), []);
  // Who has it open goes on, from what is in memory.
  t.deepEqual(found(t, fresh, all), all);
});

test('what others store is found soon, without asking for it', async (t) => {
  const folder = await tempFolder(t);
  const reader = await open(t, folder);
  t.deepEqual(found(t, reader, [1]), []);
  await store(folder, 3);
  while (found(t, reader, [0, 1, 2]).length < 3) await new Promise((resolve) => setTimeout(resolve, 20));
  t.deepEqual(reader.samplesByView(), [[0, 3]]);
  t.true(reader.stats.hits >= 3 && reader.stats.misses >= 1);
});

test('nothing is stored beyond the limit, which is said once', async (t) => {
  const folder = await tempFolder(t);
  await store(folder, 100);
  const said: string[] = [];
  const logger = { ...createLogger('test', 'silent'), warn: (_: object, message: string) => said.push(message) };
  const bytesMax = (await storedBytes(folder)) + 50 * RECORD_BYTES;
  const cache = await open(t, folder, RECIPE, { writes: true, bytesMax, logger });
  for (let first = 100; first < 200; first += 10) {
    const batch = { view: 0, ids: Array.from({ length: 10 }, (_, index) => first + index), partners: null };
    cache.keep(batch, rowsOfBatch(RECIPE, batch));
    await cache.flush();
  }
  t.is(said.length, 1);
  t.regex(said[0] ?? '', /not stored any more: .* holds as much as it may, \d+ bytes/);
  t.regex(cache.stats.problem ?? '', /holds as much as it may/);
  const total = await storedBytes(folder);
  t.true(total <= bytesMax && total > bytesMax - 11 * RECORD_BYTES, `${total} of ${bytesMax} bytes`);
  // What is there stays readable.
  t.is(found(t, cache, [...Array(100).keys()]).length, 100);
});

test('when there is room again, storing goes on', async (t) => {
  const folder = await tempFolder(t);
  const other = inventedRecipe({ shape: null });
  const filler = await LogitsCache.open(folder, other, { writes: true });
  const batch = { view: 0, ids: Array.from({ length: 100 }, (_, id) => id), partners: null };
  filler.keep(batch, rowsOfBatch(other, batch));
  await filler.close();
  const bytesMax = (await storedBytes(folder)) + 1500;
  const cache = await open(t, folder, RECIPE, { writes: true, bytesMax, retryMs: 0 });
  const patient = await open(t, folder, RECIPE, { writes: true, bytesMax });
  for (const each of [cache, patient]) {
    each.keep(batch, rowsOfBatch(RECIPE, batch));
    await each.flush();
    t.regex(each.stats.problem ?? '', /holds as much as it may/);
    // What could not be stored is asked for again.
    t.is(each.missing(batch).length, 100);
  }
  const namespaces = await listNamespaces(folder);
  await removeNamespace(namespaces.find(({ name }) => name === namespaceOf(other)) as Namespace);
  for (const each of [patient, cache]) {
    each.keep(batch, rowsOfBatch(RECIPE, batch));
    await each.flush();
  }
  // This one has not looked again yet.
  t.regex(patient.stats.problem ?? '', /holds as much as it may/);
  t.is(cache.stats.problem, null);
  t.deepEqual(found(t, await open(t, folder), batch.ids), batch.ids);
});

test('rows are found and known before they are in the file, with no room in memory too', async (t) => {
  const folder = await tempFolder(t);
  const cache = await open(t, folder, RECIPE, { writes: true, memory: new MemoryBudget(0) });
  const batch = { view: 0, ids: [1, 2, 3], partners: null };
  const rows = rowsOfBatch(RECIPE, batch);
  cache.keep(batch, rows);
  rows.fill(0);
  cache.keep(batch, rows);
  t.deepEqual(cache.missing(batch), []);
  t.deepEqual(found(t, cache, batch.ids), batch.ids);
  await cache.flush();
  t.is(cache.stats.rowsStored, 3);
  t.deepEqual(found(t, cache, batch.ids), batch.ids);
});

test('the caches of a process share its memory, and leave it when they are closed', async (t) => {
  const folder = await tempFolder(t);
  await store(folder, 20);
  const memory = new MemoryBudget(15 * 12);
  const ids = [...Array(20).keys()];
  const [segment = ''] = await segmentsOf(folder);
  const bytes = await readFile(segment);
  /** Without the file there are those that are in memory. */
  const inMemory = async (cache: LogitsCache) => {
    await writeFile(segment, '');
    const answered = found(t, cache, ids).length;
    await writeFile(segment, bytes);
    return answered;
  };
  const first = await LogitsCache.open(folder, RECIPE, { writes: false, memory });
  const second = await LogitsCache.open(folder, RECIPE, { writes: false, memory });
  t.is(await inMemory(first), 15);
  t.is(await inMemory(second), 0);
  await first.close();
  const third = await open(t, folder, RECIPE, { writes: false, memory });
  t.is(await inMemory(third), 15);
  await second.close();
});

test('who has it open stores on when it was removed before the first row, and nobody removes it afterwards', async (t) => {
  const folder = await tempFolder(t);
  const cache = await open(t, folder, RECIPE, { writes: true });
  const [before] = (await listNamespaces(folder)) as [Namespace];
  await removeNamespace(before);
  t.deepEqual(await readdir(folder), []);
  const batch = { view: 0, ids: [1, 2, 3], partners: null };
  cache.keep(batch, rowsOfBatch(RECIPE, batch));
  await cache.flush();
  t.is(cache.stats.problem, null);
  t.deepEqual(found(t, await open(t, folder), [1, 2, 3]), [1, 2, 3]);
  const [after] = (await listNamespaces(folder)) as [Namespace];
  t.deepEqual(after.recipe, RECIPE);
  await t.throwsAsync(removeNamespace(after), { code: 'FAILED_PRECONDITION' });
});

test('writing and removing at once: what is said to be stored is there, or was removed in one piece before', async (t) => {
  const folder = await tempFolder(t);
  let removals = 0;
  for (let round = 0; round < 32; round++) {
    const cache = await LogitsCache.open(folder, RECIPE, { writes: true });
    const batch = { view: 0, ids: [round], partners: null };
    const storing = (async () => {
      cache.keep(batch, rowsOfBatch(RECIPE, batch));
      await cache.flush();
    })();
    const removing = (async () => {
      for (let looks = round % 16; looks > 0; looks--) await stat(folder);
      const [namespace] = await listNamespaces(folder);
      await removeNamespace(namespace as Namespace);
    })();
    const [stored, removed] = await Promise.allSettled([storing, removing]);
    t.is(stored.status, 'fulfilled');
    if (removed.status === 'fulfilled') removals += 1;
    else t.is(StillhouseError.from(removed.reason).code, 'FAILED_PRECONDITION');
    t.is(cache.stats.problem, null);
    const reader = await LogitsCache.open(folder, RECIPE, { writes: false });
    t.deepEqual(found(t, reader, [round]), [round], `round ${round}`);
    await reader.close();
    await cache.close();
  }
  t.log(`${removals} of 32 removals came first`);
});

test('a segment is followed until it is twice found without a writer, and no longer', async (t) => {
  const folder = await tempFolder(t);
  await store(folder, 3);
  const [segment = ''] = await segmentsOf(folder);
  const whole = await readFile(segment);
  // As a shared volume may show it: without its writer, and not all of it yet.
  await writeFile(segment, whole.subarray(0, HEADER_BYTES + RECORD_BYTES));
  const reader = await open(t, folder);
  t.deepEqual(found(t, reader, [0, 1, 2]), [0]);
  await writeFile(segment, whole.subarray(0, HEADER_BYTES + 2 * RECORD_BYTES));
  await reader.refresh();
  t.deepEqual(found(t, reader, [0, 1, 2]), [0, 1]);
  await reader.refresh();
  await writeFile(segment, whole);
  await reader.refresh();
  t.deepEqual(found(t, reader, [0, 1, 2]), [0, 1]);
});

test('a writer on another machine counts while it touches its file', async (t) => {
  const folder = await tempFolder(t);
  await store(folder, 3);
  const [namespace] = (await listNamespaces(folder)) as [Namespace];
  const lock = path.join(namespace.folder, 'part-elsewhere.rows.pid');
  await writeFile(lock, `${process.pid} - elsewhere\n`);
  const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000);
  await utimes(lock, hoursAgo(23), hoursAgo(23));
  const error = await t.throwsAsync(removeNamespace(namespace), { instanceOf: StillhouseError });
  t.regex(error?.message ?? '', /is being written by process \d+ on elsewhere/);
  await utimes(lock, hoursAgo(25), hoursAgo(25));
  t.deepEqual((await listNamespaces(folder))[0]?.writers, []);
  await store(folder, 1, 3);
  t.false((await readdir(namespace.folder)).includes(path.basename(lock)));
  await writeFile(lock, `${process.pid} - elsewhere\n`);
  await utimes(lock, hoursAgo(25), hoursAgo(25));
  await removeNamespace(namespace);
  t.deepEqual(await readdir(folder), []);
});

test('a folder that cannot be written is read', async (t) => {
  const folder = await tempFolder(t);
  await store(folder, 3);
  const place = path.join(await tempFolder(t), 'file');
  await writeFile(place, 'no folder');
  const nowhere = await open(t, place, RECIPE, { writes: true });
  t.regex(nowhere.stats.problem ?? '', /ENOTDIR|EEXIST/);
  const batch = { view: 0, ids: [1], partners: null };
  nowhere.keep(batch, rowsOfBatch(RECIPE, batch));
  await nowhere.flush();
  t.deepEqual(found(t, nowhere, [1]), []);
});

test('what decides on the bits has a namespace of its own; what does not shares one', async (t) => {
  const folder = await tempFolder(t);
  const mixed = mixedRecipe();
  const { views } = mixed;
  if (views === null) throw new Error('the recipe has views');
  const different = [
    RECIPE,
    mixed,
    inventedRecipe({ teacherDigest: sha256('another') }),
    inventedRecipe({ datasetDigest: sha256('another') }),
    inventedRecipe({ classNames: ['beech', 'ash', 'cedar'] }),
    inventedRecipe({ shape: 32 }),
    inventedRecipe({ shape: null }),
    inventedRecipe({ format: { encoding: 'int8', columns: 3, temperatures: [] } }),
    inventedRecipe({ format: { encoding: { topK: 2 }, columns: 3, temperatures: [1] } }),
    inventedRecipe({ format: { encoding: { topK: 2 }, columns: 3, temperatures: [4] } }),
    { ...mixed, views: { ...views, seed: 8 } },
    { ...mixed, views: { ...views, protocol: 99 } },
    { ...mixed, views: { ...views, rule: { ...views.rule, flip: false } } },
  ];
  t.is(new Set(different.map(namespaceOf)).size, different.length);
  const origin = { teacher: 'other', modelDigest: sha256('other'), dataset: 'other', job: '{"name":"other"}' };
  t.is(namespaceOf(inventedRecipe({ origin })), namespaceOf(RECIPE));
  await mkdir(path.join(folder, 'something-else'));
  for (const recipe of different) await (await open(t, folder, recipe, { writes: true })).close();
  const listed = await listNamespaces(folder);
  t.deepEqual(
    listed.map(({ name }) => name),
    different.map(namespaceOf).sort(),
  );
  for (const { name, recipe, problem } of listed) {
    t.is(problem, '');
    t.is(recipe === null ? '' : namespaceOf(recipe), name);
  }
});

test('a recipe that is damaged is said, and written anew by who stores there', async (t) => {
  const folder = await tempFolder(t);
  await store(folder, 2);
  const file = path.join(folder, namespaceOf(RECIPE), 'recipe.json');
  for (const [text, problem] of [
    ['{', /is not JSON/],
    [JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), sampleCount: 5 }), /is the recipe of/],
  ] as const) {
    await writeFile(file, text);
    const [namespace] = await listNamespaces(folder);
    t.is(namespace?.recipe, null);
    t.regex(namespace?.problem ?? '', problem);
  }
  await store(folder, 3);
  t.deepEqual((await listNamespaces(folder))[0]?.recipe, RECIPE);
  t.is(found(t, await open(t, folder), [0, 1, 2]).length, 3);
});
