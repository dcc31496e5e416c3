import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { createFolderStore, createMemoryStore, type ObjectStore } from '../../../lib/checkpoint/store.ts';
import { forCases } from '../../helpers/property.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const stores: [string, (t: ExecutionContext) => Promise<ObjectStore>][] = [
  ['memory', async () => createMemoryStore()],
  ['folder', async (t) => createFolderStore(path.join(await tempFolder(t), 'objects'))],
];

for (const [name, create] of stores) {
  test(`${name}: what is put is found under its digest`, async (t) => {
    const store = await create(t);
    await forCases(t, 30, async (random) => {
      const bytes = Uint8Array.from({ length: random.nextInt(2000) }, () => random.nextInt(256));
      const before = bytes.slice();
      const digest = await store.put(bytes);
      t.is(digest, sha256(bytes));
      t.is(await store.put(bytes), digest);
      bytes.fill(1);
      t.true(await store.has(digest));
      t.deepEqual(new Uint8Array(await store.get(digest)), before);
      // What was handed out is the caller's.
      (await store.get(digest)).fill(2);
      t.deepEqual(new Uint8Array(await store.get(digest)), before);
    });
  });

  test(`${name}: what is not there is not found`, async (t) => {
    const store = await create(t);
    t.false(await store.has(sha256('nothing')));
    const error = await t.throwsAsync(store.get(sha256('nothing')), { instanceOf: StillhouseError });
    t.is(error?.code, 'NOT_FOUND');
  });

  test(`${name}: what is no digest is refused`, async (t) => {
    const store = await create(t);
    const hex = 'a'.repeat(64);
    for (const digest of ['', hex, `md5:${hex}`, `sha256:${hex}a`, 'sha256:../../../etc/passwd', `sha256:${hex}\n`]) {
      for (const ask of [store.get(digest), store.has(digest)]) {
        const error = await t.throwsAsync(ask as Promise<unknown>, { instanceOf: StillhouseError });
        t.is(error?.code, 'INVALID_ARGUMENT', JSON.stringify(digest));
      }
    }
  });

  test(`${name}: the same object put many times at once is one object`, async (t) => {
    const store = await create(t);
    const bytes = new Uint8Array(100_000).fill(7);
    const digests = await Promise.all(Array.from({ length: 8 }, () => store.put(bytes)));
    t.deepEqual(new Set(digests), new Set([sha256(bytes)]));
    t.deepEqual(new Uint8Array(await store.get(sha256(bytes))), bytes);
  });
}

test('folder: two stores on one folder share it, and no drafts are left', async (t) => {
  const folder = await tempFolder(t);
  const digest = await createFolderStore(folder).put(Uint8Array.of(1, 2, 3));
  t.deepEqual(new Uint8Array(await createFolderStore(folder).get(digest)), Uint8Array.of(1, 2, 3));
  t.deepEqual(await readdir(folder), [digest.slice('sha256:'.length)]);
});

test('folder: a damaged object is refused', async (t) => {
  const folder = await tempFolder(t);
  const store = createFolderStore(folder);
  const digest = await store.put(Uint8Array.of(1, 2, 3));
  await writeFile(path.join(folder, digest.slice('sha256:'.length)), Uint8Array.of(1, 2, 4));
  const error = await t.throwsAsync(store.get(digest), { instanceOf: StillhouseError });
  t.is(error?.code, 'DATA_LOSS');
});
