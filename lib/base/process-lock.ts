/**
 * One process at a time: a file that says which process has something. A process that was killed leaves it behind, which shows:
 * nobody has that id any more, or somebody who started at another time.
 */
import { closeSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { wallClockMs } from './clock.ts';
import { isAlive, startOf } from './process-alive.ts';

export interface ProcessLock {
  /** Whether a process that is gone had it before: what it left can be cleaned up. */
  readonly wasLeftBehind: boolean;
  release(): void;
}

/** The files that this process has written: in containers one that was killed may have had the same process id. */
const held = new Set<string>();

/**
 * Takes the file, whose folder is there, for this process.
 * @returns undefined when a process that is alive has it, as far as can be told: of other machines nothing is known
 */
export function takeProcessLock(file: string): ProcessLock | undefined {
  const path = resolve(file);
  const isFree = create(path);
  if (!isFree) {
    if (!isLeftBehind(path)) return undefined;
    rmSync(path, { force: true });
    if (!create(path)) return undefined;
  }
  held.add(path);
  return {
    wasLeftBehind: !isFree,
    release: () => {
      held.delete(path);
      rmSync(path, { force: true });
    },
  };
}

/**
 * Whether the file is there and its process is not. A file without a process in it is being written at this moment.
 * @param untouchedMs after which a process on another machine is taken for gone, where processes touch their files; default never
 */
export function isLeftBehind(file: string, untouchedMs = Number.POSITIVE_INFINITY): boolean {
  const holder = readHolder(file);
  if (holder === undefined) return false;
  if (holder.host !== undefined && holder.host !== hostname()) return untouchedFor(file) > untouchedMs;
  if (holder.pid === process.pid) return !held.has(resolve(file));
  if (!isAlive(holder.pid)) return true;
  const start = startOf(holder.pid);
  return start !== undefined && holder.start !== undefined && holder.start !== start;
}

/** The process in the file, for people; undefined when there is none. */
export function holderOf(file: string): string | undefined {
  const holder = readHolder(file);
  if (holder === undefined) return undefined;
  const elsewhere = holder.host === undefined || holder.host === hostname() ? '' : ` on ${holder.host}`;
  return `process ${holder.pid}${elsewhere}`;
}

/** In milliseconds; 0 for a file that is not there any more. */
function untouchedFor(file: string): number {
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats === undefined ? 0 : wallClockMs() - stats.mtimeMs;
}

interface Holder {
  readonly pid: number;
  /** Both are missing in files that were written by hand. */
  readonly start: string | undefined;
  readonly host: string | undefined;
}

/** False when the file is there already. */
function create(path: string): boolean {
  let file: number;
  try {
    file = openSync(path, 'wx');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  try {
    writeSync(file, `${process.pid} ${startOf(process.pid) ?? '-'} ${hostname()}\n`);
    return true;
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
}

function readHolder(path: string): Holder | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const [, pid, start, host] = /^(\d+)(?: (\S+) (\S+))?/.exec(text) ?? [];
  if (pid === undefined || Number(pid) === 0) return undefined;
  return { pid: Number(pid), start: start === '-' ? undefined : start, host };
}
