/**
 * A lock between processes that share a folder. It saves doing a thing twice and nothing hangs on it for being right: a holder
 * that stood still for a while finds it taken over, so what two holders do at the same time must not hurt.
 */
import { type FileHandle, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { every, monotonicMs, sleep, wallClockMs } from '../../base/clock.ts';
import { uniqueId } from '../../base/random.ts';

export interface LockOptions {
  /** A lock that nobody has renewed for so long was left by a process that has died. */
  readonly staleMs: number;
  readonly signal: AbortSignal;
}

const POLL_MS = 50;
const RENEWALS_PER_STALE = 5;

/** Does the work while holding the lock file, whose folder is there. */
export async function withFileLock<T>(file: string, { staleMs, signal }: LockOptions, work: () => Promise<T>) {
  const token = await acquire(file, staleMs, signal);
  const stopRenewing = every(staleMs / RENEWALS_PER_STALE, () => {
    const nowS = wallClockMs() / 1000;
    // A lock that was taken over, or a disk that fails: the work itself will tell.
    utimes(file, nowS, nowS).catch(() => undefined);
  });
  try {
    return await work();
  } finally {
    stopRenewing();
    if ((await stateOf(file))?.token === token) await rm(file, { force: true });
  }
}

async function acquire(file: string, staleMs: number, signal: AbortSignal): Promise<string> {
  const token = uniqueId('lock');
  let seen = '';
  let sinceMs = monotonicMs();
  while (!(await create(file, token))) {
    signal.throwIfAborted();
    const state = await stateOf(file);
    if (state === undefined) continue;
    const now = `${state.token} ${state.renewedMs}`;
    // By this process's own clock: those of machines that share a folder differ.
    if (now !== seen) {
      seen = now;
      sinceMs = monotonicMs();
    } else if (monotonicMs() - sinceMs > staleMs) {
      await takeAway(file);
      continue;
    }
    await sleep(POLL_MS, signal);
  }
  return token;
}

/** Whether it was there to be had. */
async function create(file: string, token: string): Promise<boolean> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'wx');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  try {
    await handle.writeFile(token);
  } finally {
    await handle.close();
  }
  return true;
}

async function stateOf(file: string): Promise<{ token: string; renewedMs: number } | undefined> {
  try {
    const [token, { mtimeMs }] = await Promise.all([readFile(file, 'utf8'), stat(file)]);
    return { token, renewedMs: mtimeMs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** By renaming, so that of several who see a dead lock one succeeds. */
async function takeAway(file: string): Promise<void> {
  const away = `${file}.${uniqueId('stale')}`;
  try {
    await rename(file, away);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  await rm(away, { force: true });
}
