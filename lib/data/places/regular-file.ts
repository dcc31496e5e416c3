/** Files that hold content: neither waits nor endless reads, as pipes and devices would have them. */
import { createHash } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { StillhouseError } from '../../base/errors.ts';

/** Bytes per read while a file is hashed: the thread is busy with one piece for a few milliseconds at most. */
const HASH_PIECE_BYTES = 1 << 20;
const DAMAGE_HINT = 'set the data set up again';

export interface RegularFile {
  readonly handle: FileHandle;
  /** Of what has been opened. */
  readonly stats: Stats;
}

/** @throws errors of the system as they are; an Error when it is a folder, a pipe or a device */
export async function openRegular(location: string): Promise<RegularFile> {
  // A pipe without a writer would wait for ever.
  const handle = await open(location, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new Error(`${location} is not a file`);
    return { handle, stats };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * SHA-256 of a file's content as hex digits, read piece by piece.
 * @param location names it in errors
 * @throws StillhouseError DATA_LOSS when it cannot be read; the signal's reason
 */
export async function handleSha256(handle: FileHandle, location: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const piece = new Uint8Array(HASH_PIECE_BYTES);
  for (let offset = 0; ; ) {
    signal?.throwIfAborted();
    const bytes = await readPiece(handle, location, piece, offset);
    if (bytes.length === 0) return hash.digest('hex');
    hash.update(bytes);
    offset += bytes.length;
  }
}

/** The same of the file that has that name now. */
export async function fileSha256(location: string, signal?: AbortSignal): Promise<string> {
  let file: RegularFile;
  try {
    file = await openRegular(location);
  } catch (cause) {
    throw cannotOpen(location, cause);
  }
  try {
    return await handleSha256(file.handle, location, signal);
  } finally {
    await file.handle.close();
  }
}

export function cannotOpen(location: string, cause: unknown): StillhouseError {
  const message = `cannot open ${location}: ${(cause as Error).message}`;
  if (!['EMFILE', 'ENFILE'].includes((cause as NodeJS.ErrnoException).code ?? '')) {
    return new StillhouseError('DATA_LOSS', message, { field: location, hint: DAMAGE_HINT, cause });
  }
  const hint = 'raise the limit of open files for this process (ulimit -n)';
  return new StillhouseError('RESOURCE_EXHAUSTED', message, { field: location, hint, cause });
}

export function damaged(location: string, what: string): StillhouseError {
  return new StillhouseError('DATA_LOSS', `${location} ${what}`, { field: location, hint: DAMAGE_HINT });
}

async function readPiece(handle: FileHandle, location: string, piece: Uint8Array, offset: number): Promise<Uint8Array> {
  try {
    const { bytesRead } = await handle.read(piece, 0, piece.length, offset);
    return piece.subarray(0, bytesRead);
  } catch (cause) {
    const message = `cannot read ${location} at offset ${offset}: ${(cause as Error).message}`;
    throw new StillhouseError('DATA_LOSS', message, { field: location, hint: DAMAGE_HINT, cause });
  }
}
