/** Free disk space, checked before the big steps instead of failing half-way. */
import { mkdir, statfs } from 'node:fs/promises';
import { SetupError } from './errors.mjs';
import { tilde } from './paths.mjs';
import { formatBytes } from './progress.mjs';

/**
 * @param {string} folder made if need be
 * @param {number} needBytes
 * @param {string} what for the message
 * @throws {SetupError} when there is less
 */
export async function requireSpace(folder, needBytes, what) {
  await mkdir(folder, { recursive: true });
  const { bavail, bsize, blocks } = await statfs(folder);
  // Some network and FUSE file systems report no blocks at all: unknown is not empty.
  if (blocks > 0) checkSpace(bavail * bsize, needBytes, folder, what);
}

/** The decision of `requireSpace`. */
export function checkSpace(freeBytes, needBytes, folder, what) {
  if (freeBytes >= needBytes) return;
  throw new SetupError(
    `not enough disk space for ${what}: ${tilde(folder)} has ${formatBytes(freeBytes)} free, ${formatBytes(needBytes)} needed`,
    { hint: 'free some, or set STILLHOUSE_CACHE to a folder on a larger disk', isFinal: true },
  );
}
