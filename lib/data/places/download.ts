/** Fetching one file whose content is known beforehand, piece by piece, on from where an earlier try has stopped. */
import { constants, type FileHandle, open, truncate } from 'node:fs/promises';
import { StillhouseError } from '../../base/errors.ts';
import { retryUnavailable } from '../../base/retry.ts';
import type { FileContent } from './place.ts';
import { fileSha256 } from './regular-file.ts';
import type { Answer, RemoteSource } from './remote-source.ts';

/** Bytes asked for at once: small enough that a slow line ends a request in good time. */
const PIECE_BYTES = 8 << 20;

const DAMAGE_HINT = 'upload the data set again, or name the right one';

/** For each piece. */
const PATIENCE = { patienceMs: 60_000, retryMs: 250, maxRetryMs: 8_000 } as const;

/**
 * Makes `partial`, which may hold the beginning already, hold the file. A file whose content is not what was expected is
 * fetched a second time.
 *
 * @throws StillhouseError DATA_LOSS when it is missing, too short, too long or damaged; what `RemoteSource.get` throws; the
 *   signal's reason; errors of the disk as they are
 */
export async function download(
  source: RemoteSource,
  file: string,
  content: FileContent,
  partial: string,
  signal: AbortSignal,
): Promise<void> {
  let actual = '';
  for (let tries = 0; tries < 2; tries++) {
    await fetchRest({ source, file, content, signal }, partial);
    actual = await fileSha256(partial, signal);
    if (actual === content.sha256) return;
    await truncate(partial);
  }
  throw damaged(source.nameOf(file), `has SHA-256 ${actual}, expected ${content.sha256}`);
}

interface Task {
  readonly source: RemoteSource;
  readonly file: string;
  readonly content: FileContent;
  readonly signal: AbortSignal;
}

interface Progress {
  readonly handle: FileHandle;
  /** Bytes of the file that are there. */
  at: number;
  /** What the server has said of them. */
  version: string | undefined;
}

async function fetchRest(task: Task, partial: string): Promise<void> {
  const handle = await open(partial, constants.O_RDWR | constants.O_CREAT);
  try {
    const { size } = await handle.stat();
    const progress: Progress = { handle, at: size, version: undefined };
    if (size > task.content.bytes) await beginAgain(progress);
    while (progress.at < task.content.bytes) {
      await retryUnavailable(() => fetchPiece(task, progress), { ...PATIENCE, signal: task.signal });
    }
    await handle.sync();
  } catch (cause) {
    if (!(cause instanceof StillhouseError) || cause.code !== 'NOT_FOUND') throw cause;
    throw new StillhouseError('DATA_LOSS', `${cause.message}; expected ${task.content.bytes} bytes`, {
      field: task.source.nameOf(task.file),
      hint: DAMAGE_HINT,
      cause,
    });
  } finally {
    await handle.close();
  }
}

/** What has been written counts, however the piece ends. */
async function fetchPiece({ source, file, content, signal }: Task, progress: Progress): Promise<void> {
  const begin = progress.at;
  const range = { from: begin, to: Math.min(content.bytes, begin + PIECE_BYTES) };
  let answer: Answer;
  try {
    answer = await source.get({ file, range, version: progress.version, signal });
  } catch (error) {
    if (!(error instanceof StillhouseError) || error.code !== 'ABORTED') throw error;
    await beginAgain(progress);
    return;
  }
  if (answer.from !== begin) await beginAgain(progress);
  progress.version = answer.version;
  for await (const chunk of answer.body) {
    if (progress.at + chunk.length > content.bytes) {
      throw damaged(source.nameOf(file), `is longer than ${content.bytes} bytes, as was expected`);
    }
    await writeAll(progress.handle, chunk, progress.at);
    progress.at += chunk.length;
  }
  // A server may answer with less than a range asked for, but not with nothing.
  const isEnough = answer.isWhole ? progress.at === content.bytes : progress.at > begin;
  if (isEnough) return;
  throw damaged(source.nameOf(file), `ends at offset ${progress.at}, expected ${content.bytes} bytes`);
}

async function beginAgain(progress: Progress): Promise<void> {
  await progress.handle.truncate(0);
  progress.at = 0;
  progress.version = undefined;
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

function damaged(name: string, what: string): StillhouseError {
  return new StillhouseError('DATA_LOSS', `${name} ${what}`, { field: name, hint: DAMAGE_HINT });
}
