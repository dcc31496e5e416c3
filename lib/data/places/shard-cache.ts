/**
 * Files of remote data sets on this machine, named by their content: `<sha256>` is whole and was checked,
 * `<sha256>.<bytes>.<id>.partial` has the beginning of that many bytes. Processes share the folder: one fetches a file, the others
 * wait for it; who dies is taken over from; what one makes room with stays readable to those who have it open.
 */
import { copyFile, type FileHandle, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { wallClockMs } from '../../base/clock.ts';
import { invariant, StillhouseError } from '../../base/errors.ts';
import { uniqueId } from '../../base/random.ts';
import { SharedWork } from '../../base/shared-work.ts';
import { withFileLock } from './file-lock.ts';
import type { FileContent, OpenFile } from './place.ts';
import { cannotOpen, handleSha256, openRegular, type RegularFile } from './regular-file.ts';

export interface ShardCacheOptions {
  readonly folder: string;
  /** Of all files together; exceeded only by what is in use. */
  readonly limitBytes: number;
  /** After how long without a sign of life the fetching of another process is taken over. */
  readonly staleMs?: number;
}

/** Makes `partial`, which may hold the beginning already, hold the file with the content asked for. */
export type Fill = (partial: string, signal: AbortSignal) => Promise<void>;

/** An unfinished file that nobody has written to for so long is one that nobody wants. */
const ABANDONED_MS = 3_600_000;
const STALE_MS = 10_000;
const GB = 1e9;

const caches = new Map<string, ShardCache>();

/** One per folder in a process, which thereby knows what it uses itself. */
export function openShardCache(options: ShardCacheOptions): ShardCache {
  const known = caches.get(options.folder);
  if (known?.limitBytes === options.limitBytes) return known;
  const cache = new ShardCache(options);
  caches.set(options.folder, cache);
  return cache;
}

export class ShardCache {
  readonly limitBytes: number;
  readonly #folder: string;
  readonly #staleMs: number;
  /** How often this process has each file open, by SHA-256. */
  readonly #uses = new Map<string, number>();
  /** What this process has checked: which file, by the SHA-256 that it has. */
  readonly #checked = new Map<string, string>();
  readonly #fetches = new SharedWork<void>();

  constructor({ folder, limitBytes, staleMs }: ShardCacheOptions) {
    this.#folder = folder;
    this.limitBytes = limitBytes;
    this.#staleMs = staleMs ?? STALE_MS;
  }

  /**
   * Opens the file with this content, which is fetched by `fill` if need be.
   *
   * @throws StillhouseError RESOURCE_EXHAUSTED when the disk is full, or this process may not open so many files;
   *   FAILED_PRECONDITION when the folder cannot be written; what `fill` throws; the signal's reason
   */
  async open(content: FileContent, fill: Fill, signal?: AbortSignal): Promise<Pick<OpenFile, 'handle' | 'close'>> {
    invariant(/^[0-9a-f]{64}$/.test(content.sha256), 'content is named by 64 hex digits');
    const { sha256 } = content;
    this.#uses.set(sha256, (this.#uses.get(sha256) ?? 0) + 1);
    try {
      const handle = await this.#openChecked(content, fill, signal);
      const close = async () => {
        this.#release(sha256);
        await handle.close();
      };
      return { handle, close };
    } catch (error) {
      this.#release(sha256);
      throw this.#explain(error, content);
    }
  }

  async #openChecked(content: FileContent, fill: Fill, signal?: AbortSignal): Promise<FileHandle> {
    for (;;) {
      await this.#fetches.join(content.sha256, (stop) => this.#provide(content, fill, stop), signal);
      const found = await openIfAny(this.#path(content.sha256));
      if (found !== undefined && this.#checked.get(content.sha256) === identityOf(found)) return found.handle;
      // Another process has made room with it or fetched it anew in between.
      await found?.handle.close();
    }
  }

  #release(sha256: string): void {
    const left = (this.#uses.get(sha256) ?? 1) - 1;
    if (left > 0) this.#uses.set(sha256, left);
    else this.#uses.delete(sha256);
  }

  async #provide(content: FileContent, fill: Fill, signal: AbortSignal): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    if (await this.#has(content, signal)) return;
    const lock = `${this.#path(content.sha256)}.lock`;
    await withFileLock(lock, { staleMs: this.#staleMs, signal }, async () => {
      do {
        if (await this.#has(content, signal)) return;
        // Fails when this process stood still for so long that another has taken over.
      } while (!(await this.#fetch(content, fill, signal)));
    });
  }

  /** Whether it is there now. */
  async #fetch(content: FileContent, fill: Fill, signal: AbortSignal): Promise<boolean> {
    const partial = await this.#ownPartial(content);
    try {
      // Only now that others count what is about to be fetched.
      await this.#makeRoom();
      await fill(partial, signal);
    } catch (error) {
      // What nothing has come of takes no room.
      if ((await statIfAny(partial))?.size === 0) await rm(partial, { force: true });
      throw error;
    }
    const filled = await ifAny(stat(partial));
    if (filled === undefined || !(await renameIfAny(partial, this.#path(content.sha256)))) return false;
    this.#checked.set(content.sha256, identityOf({ stats: filled }));
    return true;
  }

  /** Whether the file is there as it should be; a damaged one is removed. */
  async #has({ sha256, bytes }: FileContent, signal: AbortSignal): Promise<boolean> {
    const found = await openIfAny(this.#path(sha256));
    if (found === undefined) return false;
    const { handle, stats } = found;
    try {
      const isKnown = this.#checked.get(sha256) === identityOf(found);
      if (stats.size === bytes && (isKnown || (await handleSha256(handle, this.#path(sha256), signal)) === sha256)) {
        // The time of the last use; that of the last change stays.
        await handle.utimes(wallClockMs() / 1000, stats.mtimeMs / 1000);
        this.#checked.set(sha256, identityOf(found));
        return true;
      }
    } finally {
      await handle.close();
    }
    this.#checked.delete(sha256);
    await rm(this.#path(sha256), { force: true });
    return false;
  }

  /** The beginning that another has left goes on under a name of this process's own: the other may still be writing. */
  async #ownPartial({ sha256, bytes }: FileContent): Promise<string> {
    const own = this.#path(`${sha256}.${bytes}.${uniqueId('fetch')}.partial`);
    const left = (await readdir(this.#folder)).filter((name) => name.startsWith(sha256) && name.endsWith('.partial'));
    const sizes = await Promise.all(left.map(async (name) => (await statIfAny(this.#path(name)))?.size ?? 0));
    const largest = left[sizes.indexOf(Math.max(...sizes))];
    await writeFile(own, '');
    if (largest !== undefined) await copyIfAny(this.#path(largest), own);
    for (const name of left) await rm(this.#path(name), { force: true });
    return own;
  }

  /** Removes what has not been used for longest, until all that is there or being fetched is within the limit. */
  async #makeRoom(): Promise<void> {
    const entries = await this.#entries();
    let total = entries.reduce((sum, { size }) => sum + size, 0);
    for (const entry of entries.sort((a, b) => a.usedMs - b.usedMs)) {
      if (total <= this.limitBytes) return;
      if (!entry.mayGo) continue;
      await rm(this.#path(entry.name), { force: true });
      total -= entry.size;
    }
  }

  async #entries() {
    const found = (await readdir(this.#folder)).map((name) => /^([0-9a-f]{64})(?:\.(\d+)\..*partial)?$/.exec(name));
    const entries = await Promise.all(
      found.map(async (match) => {
        if (match === null) return [];
        const [name, sha256, bytes] = match as unknown as [string, string, string | undefined];
        const stats = await statIfAny(this.#path(name));
        if (bytes === undefined) {
          if (stats === undefined) return [];
          return [{ name, size: stats.size, mayGo: !this.#uses.has(sha256), usedMs: stats.atimeMs }];
        }
        // What it will take. It may be whole by now, under another name.
        const usedMs = stats?.mtimeMs ?? wallClockMs();
        return [{ name, size: Number(bytes), mayGo: usedMs < wallClockMs() - ABANDONED_MS, usedMs }];
      }),
    );
    return entries.flat();
  }

  #path(name: string): string {
    return path.join(this.#folder, name);
  }

  #explain(error: unknown, content: FileContent): unknown {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      const limit = `${Math.round((this.limitBytes / GB) * 100) / 100} GB`;
      const message = `the disk is full: ${content.bytes} bytes do not fit into the shard cache ${this.#folder}, which may take ${limit}`;
      return new StillhouseError('RESOURCE_EXHAUSTED', message, {
        field: 'STILLHOUSE_SHARD_CACHE_GB',
        hint: 'free some space, lower STILLHOUSE_SHARD_CACHE_GB, or set STILLHOUSE_CACHE to a folder on another disk',
        cause: error,
      });
    }
    if (code === 'EACCES' || code === 'EROFS' || code === 'EPERM' || code === 'ENOTDIR') {
      const message = `the shard cache ${this.#folder} cannot be written: ${(error as Error).message}`;
      const hint = 'set STILLHOUSE_CACHE to a folder that this process may write';
      return new StillhouseError('FAILED_PRECONDITION', message, { field: 'STILLHOUSE_CACHE', hint, cause: error });
    }
    return code === 'EMFILE' || code === 'ENFILE' ? cannotOpen(this.#folder, error) : error;
  }
}

async function statIfAny(file: string) {
  return await ifAny(stat(file));
}

async function openIfAny(file: string): Promise<RegularFile | undefined> {
  return await ifAny(openRegular(file));
}

/** Of the file, whatever its name; the times change when it is used. */
function identityOf({ stats: { dev, ino } }: Pick<RegularFile, 'stats'>): string {
  return `${dev} ${ino}`;
}

async function copyIfAny(from: string, to: string): Promise<void> {
  await ifAny(copyFile(from, to));
}

/** Whether it was there. */
async function renameIfAny(from: string, to: string): Promise<boolean> {
  return (await ifAny(rename(from, to).then(() => true))) ?? false;
}

/** Undefined when the file is not there: other processes make and remove files here too. */
async function ifAny<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
