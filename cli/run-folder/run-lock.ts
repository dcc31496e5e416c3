/** One run at a time in a folder: a file with the process that writes there. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { StillhouseError } from '../../lib/base/errors.ts';
import { isAlive } from '../process-alive.ts';
import { shownPath } from '../text.ts';

export const LOCK_FILE = 'run.pid';

/** The files that this process has written: in containers a killed run may have had the same process id. */
const held = new Set<string>();

/**
 * Takes the folder for this process; what a run has left that was killed is taken over. The returned function gives it back.
 * @throws FAILED_PRECONDITION when a process that is alive has it
 */
export function lockRunFolder(folder: string): () => void {
  const path = resolve(folder, LOCK_FILE);
  if (!create(path)) {
    const holder = holderOf(path);
    if (!isLeftBehind(holder, path)) throw busy(folder, holder);
    rmSync(path, { force: true });
    if (!create(path)) throw busy(folder, holderOf(path));
  }
  held.add(path);
  return () => {
    held.delete(path);
    rmSync(path, { force: true });
  };
}

/** A file without a process in it is being written at this moment. */
function isLeftBehind(holder: number | undefined, path: string): boolean {
  if (holder === process.pid) return !held.has(path);
  return holder !== undefined && !isAlive(holder);
}

/** False when the file is there already. */
function create(path: string): boolean {
  try {
    writeFileSync(path, `${process.pid}\n`, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** The process in the file; undefined when there is none, or no number in it. */
function holderOf(path: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(path, 'utf8'), 10);
    return pid > 0 ? pid : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function busy(folder: string, holder: number | undefined): StillhouseError {
  const shown = shownPath(folder);
  const who = holder === undefined ? '' : ` (process ${holder})`;
  return new StillhouseError('FAILED_PRECONDITION', `another run is writing to ${shown}${who}`, {
    field: '--out',
    hint: `wait until it ends, choose another folder with --out, or delete ${join(shown, LOCK_FILE)} if that process is no run`,
  });
}
