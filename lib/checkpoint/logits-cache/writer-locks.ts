/**
 * Who writes a namespace, and who removes it. Either takes a file of its own first and looks for the other's then, so that
 * one of the two at least sees the other.
 */
import { readdir, rm, stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import { every, wallClockMs } from '../../base/clock.ts';
import { StillhouseError } from '../../base/errors.ts';
import { holderOf, isLeftBehind, type ProcessLock, takeProcessLock } from '../../base/process-lock.ts';
import { ifThere, isAbsence } from './if-there.ts';
import { LOCK_SUFFIX } from './segment-format.ts';

const REMOVAL_LOCK = 'removal.lock';
/** A writer on another machine that has not touched its file for so long is none. */
const UNTOUCHED_MS = 24 * 3_600_000;
const TOUCH_MS = 3_600_000;

/** That a process writes a segment, until it is released. */
export class WriterLock {
  readonly #lock: ProcessLock;
  readonly #stopTouching: () => void;

  /**
   * @returns undefined when the folder is not there, or is being removed
   * @throws what the folder's file system says, for one that cannot be written
   */
  static async take(folder: string, segment: string): Promise<WriterLock | undefined> {
    const file = path.join(folder, `${segment}${LOCK_SUFFIX}`);
    const lock = takeIfThere(file);
    if (lock === undefined) return undefined;
    // Its own file last: until then nobody has removed the folder, and who removes it from now on sees the file.
    if (!(await isBeingRemoved(folder)) && (await ifThere(stat(file))) !== undefined) return new WriterLock(file, lock);
    lock.release();
    return undefined;
  }

  private constructor(file: string, lock: ProcessLock) {
    this.#lock = lock;
    this.#stopTouching = every(TOUCH_MS, () => {
      const nowS = wallClockMs() / 1000;
      // Where it cannot be touched nothing can be written either, which is told.
      utimes(file, nowS, nowS).catch(() => undefined);
    });
  }

  release(): void {
    this.#stopTouching();
    this.#lock.release();
  }
}

/**
 * Runs `remove` while no process writes the folder or begins to; it may move the folder away.
 * @throws StillhouseError FAILED_PRECONDITION while a process writes there, or removes it
 */
export async function withoutWriters(folder: string, remove: () => Promise<void>): Promise<void> {
  const name = path.basename(folder);
  const file = path.join(folder, REMOVAL_LOCK);
  if (isLeftBehind(file, UNTOUCHED_MS)) await rm(file, { force: true });
  const removal = takeIfThere(file);
  if (removal === undefined) {
    const who = holderOf(file);
    const message = who === undefined ? `${name} has gone` : `${name} is being removed by ${who}`;
    throw new StillhouseError('FAILED_PRECONDITION', message, { field: name });
  }
  try {
    const [writer] = await writersOf(folder);
    if (writer !== undefined) {
      const message = `${name} is being written by ${writer}`;
      const hint = `end that process first, or remove ${folder}/*${LOCK_SUFFIX} if there is none`;
      throw new StillhouseError('FAILED_PRECONDITION', message, { field: name, hint });
    }
    await remove();
  } finally {
    removal.release();
  }
}

/** For people; each once. */
export async function writersOf(folder: string): Promise<string[]> {
  const alive = (await locksIn(folder)).filter((lock) => !isLeftBehind(lock, UNTOUCHED_MS));
  return [...new Set(alive.map((lock) => holderOf(lock) ?? 'a process that is just starting'))];
}

/** Forgets the writers that were killed. */
export async function removeLocksLeftBehind(folder: string): Promise<void> {
  for (const lock of await locksIn(folder)) {
    if (isLeftBehind(lock, UNTOUCHED_MS)) await rm(lock, { force: true });
  }
}

async function isBeingRemoved(folder: string): Promise<boolean> {
  const file = path.join(folder, REMOVAL_LOCK);
  return (await ifThere(stat(file))) !== undefined && !isLeftBehind(file, UNTOUCHED_MS);
}

async function locksIn(folder: string): Promise<string[]> {
  const names = (await ifThere(readdir(folder))) ?? [];
  return names.filter((name) => name.endsWith(LOCK_SUFFIX)).map((name) => path.join(folder, name));
}

/** Undefined when the folder is not there, or another process has the file. */
function takeIfThere(file: string): ProcessLock | undefined {
  try {
    return takeProcessLock(file);
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}
