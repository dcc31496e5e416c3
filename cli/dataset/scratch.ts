/** Folders for what has to be unpacked while it is imported. */
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { isLeftBehind, takeProcessLock } from '../../lib/base/process-lock.ts';

const PREFIX = '.import-';
const LOCK_FILE = 'import.pid';

/**
 * Runs `body` with a folder that is gone afterwards; those of imports that were killed go too.
 * @param root the folder of data sets: beside them there is room
 */
export async function withScratch<T>(root: string, body: (scratch: string) => Promise<T>): Promise<T> {
  await mkdir(root, { recursive: true });
  for (const name of await readdir(root)) {
    const folder = path.join(root, name);
    if (name.startsWith(PREFIX) && isLeftBehind(path.join(folder, LOCK_FILE))) {
      await rm(folder, { recursive: true, force: true });
    }
  }
  const scratch = await mkdtemp(path.join(root, PREFIX));
  const lock = takeProcessLock(path.join(scratch, LOCK_FILE));
  try {
    return await body(scratch);
  } finally {
    lock?.release();
    await rm(scratch, { recursive: true, force: true });
  }
}
