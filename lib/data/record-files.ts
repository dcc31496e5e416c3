/** Reads records by their position from files that are open; nothing that a file says is believed. */
import { fstatSync, readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { StillhouseError } from '../base/errors.ts';
import { CIFAR_RECORD_BYTES } from './cifar10.ts';
import type { RecordFile, RecordLayout, SampleFile } from './read-request.ts';
import { decodeShardHeader, encodedHeaderBytes, rawRecordBytes } from './shard-file.ts';

/** Where a record lies in its file. */
export function spanOf({ layout, offsets }: SampleFile, record: number): { offset: number; length: number } {
  const recordBytes = recordBytesOf(layout);
  if (recordBytes !== null) return { offset: record * recordBytes, length: recordBytes };
  const offset = offsets?.[record] as number;
  return { offset, length: (offsets?.[record + 1] as number) - offset };
}

/** Bytes of every record; null where they differ. */
export function recordBytesOf(layout: RecordLayout): number | null {
  if (layout.kind === 'encoded') return null;
  return layout.kind === 'cifar10' ? CIFAR_RECORD_BYTES : rawRecordBytes(layout);
}

/**
 * Fills `target` with the bytes of a file from `offset` on.
 * @throws StillhouseError DATA_LOSS naming file and offset when the file has shrunk or cannot be read
 */
export function readRecords(file: SampleFile, offset: number, target: Uint8Array): void {
  for (let done = 0; done < target.length; ) {
    const at = offset + done;
    let read: number;
    try {
      read = readSync(file.fd, target, done, target.length - done, at);
    } catch (cause) {
      throw unreadable(file, at, cause);
    }
    if (read === 0) throw endsEarly(file, Math.min(at, fstatSync(file.fd).size));
    done += read;
  }
}

/** The same for who may not block. */
export async function readFully(
  handle: FileHandle,
  file: RecordFile,
  offset: number,
  target: Uint8Array,
): Promise<void> {
  for (let done = 0; done < target.length; ) {
    const at = offset + done;
    const { bytesRead } = await handle.read(target, done, target.length - done, at).catch((cause: unknown) => {
      throw unreadable(file, at, cause);
    });
    if (bytesRead === 0) throw endsEarly(file, Math.min(at, (await handle.stat()).size));
    done += bytesRead;
  }
}

/**
 * Where the records of a file begin, see `SampleFile.offsets`.
 * @throws StillhouseError DATA_LOSS naming file and offset when the file is not what the data set says
 */
export async function readOffsets(
  handle: FileHandle,
  layout: RecordLayout,
  file: RecordFile,
): Promise<Uint32Array | null> {
  if (layout.kind !== 'encoded') return null;
  const header = new Uint8Array(encodedHeaderBytes(file.records));
  await readFully(handle, file, 0, header);
  return decodeShardHeader(header, file.records, file.bytes, file.location);
}

/** @param what is wrong, after the file's name */
export function damagedFile(location: string, what: string, cause?: unknown): StillhouseError {
  return new StillhouseError('DATA_LOSS', `${location} ${what}`, {
    field: location,
    hint: 'set the data set up again',
    ...(cause === undefined ? {} : { cause }),
  });
}

function endsEarly({ location, bytes, records }: RecordFile, offset: number): StillhouseError {
  return damagedFile(location, `ends at offset ${offset}, expected ${bytes} bytes (${records} records)`);
}

function unreadable({ location }: RecordFile, offset: number, cause: unknown): StillhouseError {
  return damagedFile(location, `cannot be read at offset ${offset}: ${(cause as Error).message}`, cause);
}
