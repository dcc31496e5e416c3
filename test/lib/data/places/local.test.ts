import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFile, readFile, rename, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import type { StillhouseError } from '../../../../lib/base/errors.ts';
import { openPlace } from '../../../../lib/data/places/place.ts';
import { bytesOf } from '../../../helpers/open-files.ts';
import { writeSmallDataset } from '../../../helpers/small-dataset.ts';
import { tempFolder } from '../../../helpers/temp-folder.ts';

test('a file that is missing, short, long or damaged is named with what was expected', async (t) => {
  const { folder, manifest } = await writeSmallDataset(await tempFolder(t), 'trees');
  const file = manifest.files[0] as (typeof manifest.files)[number];
  const location = path.join(folder, file.path);
  const place = openPlace(folder);
  const refusal = async () => {
    const error = await t.throwsAsync<StillhouseError>(place.openFile(file.path, file));
    t.like(error, { code: 'DATA_LOSS', field: location });
    return error?.message ?? '';
  };
  const opened = await place.openFile(file.path, file);
  t.is(opened.location, location);
  await opened.close();
  await truncate(location, 100);
  t.is(await refusal(), `${location} ends at offset 100, expected ${file.bytes} bytes`);
  await appendFile(location, new Uint8Array(file.bytes - 100));
  t.regex(await refusal(), new RegExp(`has SHA-256 [0-9a-f]{64}, expected ${file.sha256}`));
  const unchecked = openPlace(folder, { verifyContent: false }).openFile(file.path, file);
  t.deepEqual(await bytesOf(unchecked), await readFile(location));
  await appendFile(location, 'x');
  t.is(await refusal(), `${location} is ${file.bytes + 1} bytes long, expected ${file.bytes}`);
  await rm(location);
  t.regex(await refusal(), /cannot open .*ENOENT/);
});

test('a file is checked anew when it has changed, and only then', async (t) => {
  const { folder, manifest } = await writeSmallDataset(await tempFolder(t), 'trees');
  const file = manifest.files[0] as (typeof manifest.files)[number];
  const location = path.join(folder, file.path);
  const place = openPlace(folder);
  await utimes(location, 1000, 1000);
  await bytesOf(place.openFile(file.path, file));
  await writeFile(location, new Uint8Array(file.bytes));
  // As if nothing had been written: nobody looks into the file.
  await utimes(location, 1000, 1000);
  t.deepEqual(await bytesOf(openPlace(folder).openFile(file.path, file)), Buffer.alloc(file.bytes));
  await utimes(location, 1001, 1001);
  await t.throwsAsync(place.openFile(file.path, file), { message: /SHA-256/ });
});

test('a manifest that is not there or too long', async (t) => {
  const { folder } = await writeSmallDataset(await tempFolder(t), 'trees');
  t.like(await t.throwsAsync(openPlace(folder).readFile('manifest.json', 10)), { code: 'DATA_LOSS' });
  const missing = openPlace(`${folder}-x`).readFile('manifest.json', 10);
  t.like(await t.throwsAsync(missing), { code: 'FAILED_PRECONDITION', field: 'data.dataset' });
});

test('what is no file is refused, and nobody waits for it', async (t) => {
  const folder = await tempFolder(t);
  const location = path.join(folder, 'manifest.json');
  const content = { bytes: 5, sha256: sha256Of(new Uint8Array(5)) };
  await promisify(execFile)('mkfifo', [location]);
  for (const device of ['', '/dev/zero']) {
    if (device !== '') {
      await rm(location);
      await symlink(device, location);
    }
    const place = openPlace(folder);
    const manifest = await t.throwsAsync<StillhouseError>(place.readFile('manifest.json', 100));
    t.is(manifest?.code, 'FAILED_PRECONDITION');
    t.regex(manifest?.message ?? '', /manifest\.json is not a file/);
    const shard = await t.throwsAsync<StillhouseError>(place.openFile('manifest.json', content));
    t.is(shard?.code, 'DATA_LOSS');
    t.regex(shard?.message ?? '', /manifest\.json is not a file/);
  }
});

test('a file that was opened stays what was checked, whatever takes its place', async (t) => {
  const folder = await tempFolder(t);
  const [old, other] = [Buffer.from('old content'), Buffer.from('new content')];
  const content = { bytes: old.length, sha256: sha256Of(old) };
  await writeFile(path.join(folder, 'a'), old);
  const opened = await openPlace(folder).openFile('a', content);
  await writeFile(path.join(folder, 'b'), other);
  await rename(path.join(folder, 'b'), path.join(folder, 'a'));
  await t.throwsAsync(openPlace(folder).openFile('a', content), { message: /\/a has SHA-256/ });
  t.deepEqual(await bytesOf(Promise.resolve(opened)), old);
});

test('one of two who wait for the same check can leave, whichever has begun it', async (t) => {
  const folder = await tempFolder(t);
  // Long enough that it is still being read when both wait for it.
  const content = { bytes: 2 ** 26, sha256: sha256Of(new Uint8Array(2 ** 26)) };
  for (const [leaver, name] of ['one', 'other'].entries()) {
    await writeFile(path.join(folder, name), '');
    await truncate(path.join(folder, name), content.bytes);
    const users = [new AbortController(), new AbortController()];
    const begun = users.map(({ signal }) => untilWaitedOn(signal));
    const waiting = users.map(({ signal }) => openPlace(folder).openFile(name, content, signal));
    const settled = Promise.allSettled(waiting);
    await Promise.all(begun);
    users[leaver]?.abort(new Error('left'));
    const ends = await settled;
    const [left, stayed] = [ends[leaver], ends[1 - leaver]];
    t.is(left?.status === 'rejected' && left.reason.message, 'left');
    t.is(stayed?.status === 'fulfilled' && stayed.value.location, path.join(folder, name));
    if (stayed?.status === 'fulfilled') await stayed.value.close();
  }
});

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Resolves once someone listens for the signal's end. */
function untilWaitedOn(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const listen = signal.addEventListener.bind(signal);
    signal.addEventListener = (...listener: Parameters<typeof listen>) => {
      listen(...listener);
      resolve();
    };
  });
}
