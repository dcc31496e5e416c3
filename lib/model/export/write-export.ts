/** Puts an exported model where it was asked for: all of it or nothing, and never over something else. */
import { link, lstat, mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { StillhouseError } from '../../base/errors.ts';
import { uniqueId } from '../../base/random.ts';
import { writeDurably } from '../../data/durable-file.ts';
import type { ExportedModel } from './export-model.ts';

/** @throws StillhouseError ALREADY_EXISTS when anything is at `location`; cheap, to be asked before the work is done */
export async function requireFree(location: string): Promise<void> {
  try {
    await lstat(location);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw new StillhouseError('FAILED_PRECONDITION', `cannot write ${location}: ${(cause as Error).message}`, {
      field: location,
      cause,
    });
  }
  throw alreadyExists(location);
}

/** @throws StillhouseError ALREADY_EXISTS when anything is at `location`; FAILED_PRECONDITION when it cannot be written */
export async function writeExport(location: string, exported: ExportedModel): Promise<void> {
  const target = path.resolve(location);
  await requireFree(target);
  const draft = `${target}.${uniqueId('draft')}`;
  try {
    await mkdir(path.dirname(target), { recursive: true });
    if (exported instanceof Uint8Array) {
      await writeDurably(draft, exported);
      // A link, unlike renaming, never replaces a file that has appeared meanwhile.
      await link(draft, target);
    } else {
      for (const [file, bytes] of exported) {
        await mkdir(path.dirname(path.join(draft, file)), { recursive: true });
        await writeDurably(path.join(draft, file), bytes);
      }
      await rename(draft, target);
    }
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'EEXIST' || code === 'ENOTEMPTY') throw alreadyExists(location);
    const message = `cannot write ${location}: ${(cause as Error).message}`;
    throw new StillhouseError('FAILED_PRECONDITION', message, { field: location, cause });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

function alreadyExists(location: string): StillhouseError {
  return new StillhouseError('ALREADY_EXISTS', `${location} exists already`, {
    field: location,
    hint: 'remove it or choose another place',
  });
}
