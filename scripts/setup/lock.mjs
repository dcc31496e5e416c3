/**
 * One set-up at a time per cache. The lock is a file that says who holds it; its holder touches it every second, so a
 * waiter can tell a dead holder even when it ran in another container or on another machine.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, readlink, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { isMissing } from './files.mjs';
import { sleep } from './process.mjs';

const BEAT_MS = 1000;
const POLL_MS = 300;
/** A holder whose file did not move for this long, on the waiter's own monotonic clock, is gone. */
const SILENCE_MS = 30_000;

/**
 * @param {string} cache
 * @param {{signal?: AbortSignal, onWait?: (holder: {pid: number, host: string}) => void}} [options] `onWait` is called
 *   once, when the lock turns out to be taken
 * @returns {Promise<() => Promise<void>>} releases it
 */
export async function acquireLock(cache, { signal, onWait } = {}) {
  await mkdir(cache, { recursive: true });
  const path = join(cache, 'setup.lock');
  const mine = { pid: process.pid, ...(await machine()), start: await processStart(process.pid), token: newToken() };
  let seen;
  let told = false;
  while (!(await tryTake(path, mine))) {
    const holder = await readHolder(path);
    if (holder === undefined) continue;
    if (seen?.token !== holder.token || seen.mtimeMs !== holder.mtimeMs)
      seen = { ...holder, sinceMs: performance.now() };
    const silent = performance.now() - seen.sinceMs > SILENCE_MS;
    if (silent || (await isDead(holder))) {
      await removeStale(path, holder);
      continue;
    }
    if (!told) onWait?.(holder);
    told = true;
    await sleep(POLL_MS, signal);
  }
  return keep(path, mine);
}

/** Touches the lock until it is released. */
function keep(path, mine) {
  const timer = setInterval(() => {
    const now = new Date();
    // Should someone have removed it, there is nothing to touch; the work itself is safe by staging and rename.
    utimes(path, now, now).catch(() => undefined);
  }, BEAT_MS);
  timer.unref();
  return async () => {
    clearInterval(timer);
    if ((await readHolder(path))?.token === mine.token) await rm(path, { force: true });
  };
}

/** Links a finished file to the lock's name: it exists with its content or not at all. */
async function tryTake(path, mine) {
  const temporary = `${path}.${mine.token}`;
  await writeFile(temporary, JSON.stringify(mine));
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    return false;
  } finally {
    await rm(temporary, { force: true });
  }
}

async function readHolder(path) {
  try {
    const [text, { mtimeMs }] = [await readFile(path, 'utf8'), await stat(path)];
    return { ...parseHolder(text), mtimeMs };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** A lock that can't be read is nobody's: only its silence can end it, or a person. */
function parseHolder(text) {
  try {
    const { pid, host, boot, pidNamespace, start, token } = JSON.parse(text);
    return { pid, host, boot, pidNamespace, start, token };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { pid: 0, host: '', start: undefined, token: text };
  }
}

/**
 * Where process numbers mean the same as here. The host's name alone does not say: containers share it, or share a cache
 * with the host, and have process numbers of their own.
 */
export async function machine() {
  const boot = await ifAny(readFile('/proc/sys/kernel/random/boot_id', 'utf8'));
  return { host: hostname(), boot: boot?.trim(), pidNamespace: await ifAny(readlink('/proc/self/ns/pid')) };
}

/** True only when that is certain: same machine, and no such process or a younger one with its number. */
export async function isDead({ pid, start, ...where }) {
  const here = await machine();
  if (Object.entries(here).some(([name, value]) => where[name] !== value)) return false;
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error.code === 'ESRCH';
  }
  const now = await processStart(pid);
  return start !== undefined && now !== undefined && start !== now;
}

/** When a process started, in the kernel's ticks; undefined where /proc does not say. */
async function processStart(pid) {
  const text = await ifAny(readFile(`/proc/${pid}/stat`, 'utf8'));
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19];
}

/** What /proc says, or undefined where it does not. */
async function ifAny(reading) {
  try {
    return await reading;
  } catch (error) {
    if (isMissing(error) || error.code === 'ESRCH' || error.code === 'EACCES') return undefined;
    throw error;
  }
}

/** Moves the lock away before looking once more whose it is: two waiters may both have found it stale. */
async function removeStale(path, holder) {
  const aside = `${path}.${newToken()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  const taken = await readHolder(aside);
  try {
    if (taken?.token !== holder.token) await link(aside, path);
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

function newToken() {
  return randomBytes(8).toString('hex');
}
