/** A folder that comes into being as a whole: written beside its place, and moved there when all of it is on the disk. */
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { StillhouseError } from '../base/errors.ts';
import { holderOf, type ProcessLock, takeProcessLock } from '../base/process-lock.ts';
import { writeDurably } from './durable-file.ts';

export class StagedFolder {
  /** Where it is to be. */
  readonly target: string;
  readonly #staging: string;
  readonly #lock: ProcessLock;

  /**
   * @param replace whether it may take the place of a folder that is there already
   * What a process has left that was killed while it wrote there is cleaned up.
   * @throws StillhouseError ALREADY_EXISTS; FAILED_PRECONDITION when another process is writing it, or it cannot be written there
   */
  static async create(target: string, replace: boolean): Promise<StagedFolder> {
    const lock = await lockTarget(target);
    const staging = besides(target, 'partial');
    try {
      if (lock.wasLeftBehind) await cleanUp(target);
      if (!replace && (await exists(target))) {
        throw new StillhouseError('ALREADY_EXISTS', `${target} is there already`, {
          field: target,
          hint: 'choose another name, or say that it may be replaced',
        });
      }
      await makeFolder(staging);
    } catch (error) {
      lock.release();
      throw error;
    }
    return new StagedFolder(target, staging, lock);
  }

  private constructor(target: string, staging: string, lock: ProcessLock) {
    this.target = target;
    this.#staging = staging;
    this.#lock = lock;
  }

  /** @throws StillhouseError RESOURCE_EXHAUSTED when the disk is full; FAILED_PRECONDITION when it cannot be written */
  async write(file: string, bytes: Uint8Array): Promise<void> {
    const location = path.join(this.#staging, file);
    try {
      await writeDurably(location, bytes);
    } catch (cause) {
      throw writeError(location, cause);
    }
  }

  /** Puts it where it belongs. @throws as `write` does */
  async commit(): Promise<void> {
    const old = besides(this.target, 'old');
    try {
      await syncFolder(this.#staging);
      await rm(old, { recursive: true, force: true });
      const replaces = await exists(this.target);
      if (replaces) await rename(this.target, old);
      try {
        await rename(this.#staging, this.target);
      } catch (error) {
        if (replaces) await rename(old, this.target);
        throw error;
      }
      await syncFolder(path.dirname(this.target));
      await rm(old, { recursive: true, force: true });
    } catch (cause) {
      throw writeError(this.target, cause);
    }
  }

  /** Leaves nothing behind but what was committed, and lets others write there. */
  async discard(): Promise<void> {
    await rm(this.#staging, { recursive: true, force: true });
    this.#lock.release();
  }
}

/** A name beside the target that no data set can have. */
function besides(target: string, what: 'partial' | 'old' | 'pid'): string {
  return path.join(path.dirname(target), `.${path.basename(target)}.${what}`);
}

async function lockTarget(target: string): Promise<ProcessLock> {
  const file = besides(target, 'pid');
  let lock: ProcessLock | undefined;
  try {
    await mkdir(path.dirname(target), { recursive: true });
    lock = takeProcessLock(file);
  } catch (cause) {
    throw writeError(file, cause);
  }
  if (lock !== undefined) return lock;
  const holder = holderOf(file);
  const who = holder === undefined ? 'another process' : `another process (${holder})`;
  throw new StillhouseError('FAILED_PRECONDITION', `${target} is being written by ${who}`, {
    field: target,
    hint: `wait until it ends, or delete ${file} if that process writes no data set`,
  });
}

/** After a process that was killed: what it was about to replace comes back, what it had begun goes. */
async function cleanUp(target: string): Promise<void> {
  const old = besides(target, 'old');
  try {
    if ((await exists(old)) && !(await exists(target))) await rename(old, target);
    for (const left of [old, besides(target, 'partial')]) await rm(left, { recursive: true, force: true });
  } catch (cause) {
    throw writeError(target, cause);
  }
}

async function makeFolder(staging: string): Promise<void> {
  try {
    await mkdir(staging);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw writeError(staging, cause);
    throw new StillhouseError('ALREADY_EXISTS', `${staging} is there, and nobody is known to write it`, {
      field: staging,
      hint: 'remove that folder if it is nothing of yours',
      cause,
    });
  }
}

async function exists(location: string): Promise<boolean> {
  try {
    await stat(location);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw writeError(location, error);
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** No space, no quota left, or larger than files may be: the remedy is the same. */
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

function writeError(location: string, cause: unknown): StillhouseError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const text = `cannot write ${location}: ${message}`;
  if (!FULL.has(code ?? '')) return new StillhouseError('FAILED_PRECONDITION', text, { field: location, cause });
  return new StillhouseError('RESOURCE_EXHAUSTED', text, { field: location, hint: 'make room on that disk', cause });
}
