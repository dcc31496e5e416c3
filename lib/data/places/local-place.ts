/** A data set in a local folder. */
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { StillhouseError } from '../../base/errors.ts';
import { SharedWork } from '../../base/shared-work.ts';
import type { FileContent, OpenFile, Place } from './place.ts';
import { cannotOpen, damaged, handleSha256, openRegular, type RegularFile } from './regular-file.ts';

const SETUP_HINT =
  'put it there with `stillhouse dataset import` or `dataset fetch` (CIFAR-10: `npm run setup`), or set STILLHOUSE_DATA to the ' +
  'folder that holds your data sets';

/** Checks that have passed in this process. By file as it was: one that is changed is checked anew. */
const passed = new Set<string>();
const checks = new SharedWork<void>();

export class LocalPlace implements Place {
  readonly address: string;
  readonly idleBytes = Infinity;
  readonly #verifyContent: boolean;

  constructor(folder: string, verifyContent: boolean) {
    this.address = folder;
    this.#verifyContent = verifyContent;
  }

  async readFile(file: string, maxBytes: number): Promise<Uint8Array> {
    const location = path.join(this.address, file);
    try {
      const { handle, stats } = await openRegular(location);
      try {
        if (stats.size > maxBytes) {
          throw damaged(location, `is ${stats.size} bytes long, expected ${maxBytes} at most`);
        }
        return await readUpTo(handle, stats.size);
      } finally {
        await handle.close();
      }
    } catch (cause) {
      if (cause instanceof StillhouseError) throw cause;
      throw new StillhouseError(
        'FAILED_PRECONDITION',
        `the data set ${this.address} is not at hand: cannot read ${location}: ${(cause as Error).message}`,
        { field: 'data.dataset', hint: SETUP_HINT, cause },
      );
    }
  }

  async openFile(file: string, content: FileContent, signal?: AbortSignal): Promise<OpenFile> {
    signal?.throwIfAborted();
    const location = path.join(this.address, file);
    const opened = await openNamed(location);
    const { handle } = opened;
    /** That reads through this handle; others may wait for it too. */
    let check: Promise<void> | undefined;
    const begin = (stop: AbortSignal) => {
      check = checkDigest(handle, location, content.sha256, stop);
      return check;
    };
    try {
      checkSize(location, opened.stats.size, content.bytes);
      const key = `${identityOf(opened)} ${content.sha256}`;
      if (this.#verifyContent && !passed.has(key)) {
        await checks.join(key, begin, signal);
        passed.add(key);
      }
      return { handle, location, close: () => handle.close() };
    } catch (error) {
      const close = () => handle.close();
      if (check === undefined) await close();
      else check.then(close, close);
      throw error;
    }
  }
}

async function openNamed(location: string): Promise<RegularFile> {
  try {
    return await openRegular(location);
  } catch (cause) {
    throw cannotOpen(location, cause);
  }
}

function checkSize(location: string, size: number, expected: number): void {
  if (size < expected) throw damaged(location, `ends at offset ${size}, expected ${expected} bytes`);
  if (size > expected) throw damaged(location, `is ${size} bytes long, expected ${expected}`);
}

/** Changes with the content. */
function identityOf({ stats: { dev, ino, size, mtimeMs } }: RegularFile): string {
  return `${dev} ${ino} ${size} ${mtimeMs}`;
}

async function checkDigest(handle: FileHandle, location: string, expected: string, signal: AbortSignal): Promise<void> {
  const actual = await handleSha256(handle, location, signal);
  if (actual !== expected) throw damaged(location, `has SHA-256 ${actual}, expected ${expected}`);
}

/** What is appended meanwhile is left out, and what is cut off is missing. */
async function readUpTo(handle: FileHandle, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  for (let done = 0; done < size; ) {
    const { bytesRead } = await handle.read(bytes, done, size - done, done);
    if (bytesRead === 0) return bytes.subarray(0, done);
    done += bytesRead;
  }
  return bytes;
}
