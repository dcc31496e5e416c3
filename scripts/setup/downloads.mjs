/**
 * Large downloads, whole or in part, by the hash that pins their content: `<cache>/downloads/<name>`. They outlive an
 * interrupted run, which the staging folders do not; the next one goes on at their end.
 */
import { mkdir, readdir, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { hashFile, isMissing, statIfAny } from './files.mjs';

/** A download that nobody has gone on with for this long is of a version that nobody wants any more. */
const FORGOTTEN_MS = 30 * 24 * 3600 * 1000;

/** Where the download of that content is kept, without making anything. */
export function downloadPath(cache, name) {
  return join(cache, 'downloads', `${name}.part`);
}

/** The same, with its folder made. */
export async function openDownload(cache, name) {
  await mkdir(join(cache, 'downloads'), { recursive: true });
  return downloadPath(cache, name);
}

/** How much of it is there. */
export async function downloadedBytes(path) {
  return (await statIfAny(path))?.size ?? 0;
}

/** Whether all of it is there. */
export async function isWhole(path, sha256) {
  return (await downloadedBytes(path)) > 0 && (await hashFile(path)) === sha256;
}

/** Removes one that is used up or damaged. */
export async function discardDownload(cache, name) {
  await rm(downloadPath(cache, name), { force: true });
}

/** Removes what is empty or long forgotten. Call it with the lock held. */
export async function cleanDownloads(cache) {
  const folder = join(cache, 'downloads');
  try {
    for (const entry of await readdir(folder)) {
      const { size, mtimeMs } = await stat(join(folder, entry));
      if (size === 0 || Date.now() - mtimeMs > FORGOTTEN_MS) await rm(join(folder, entry), { force: true });
    }
    await rmdir(folder);
  } catch (error) {
    if (!isMissing(error) && error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  }
}
