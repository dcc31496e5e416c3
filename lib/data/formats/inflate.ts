/** Deflated data unpacked in a stream, never more of it than was announced. */
import { createReadStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createInflate, type Gunzip, type Inflate } from 'node:zlib';
import { StillhouseError } from '../../base/errors.ts';
import { uniqueId } from '../../base/random.ts';
import { SourceFile } from './source-file.ts';
import { damagedSource, refusedSource } from './source-options.ts';

/** Deflate makes at most 1032 bytes of one (zlib's "Maximally Compressing"), and a little more for its trees. */
const EXPANSION_MAX = 1032;
const EXPANSION_SLACK_BYTES = 4096;

/** Where packed data lies. */
export interface PackedRange {
  readonly location: string;
  /** `gzip`: a whole file. `zlib`: a part of one. */
  readonly packing: 'gzip' | 'zlib';
  readonly offset: number;
  readonly length: number;
}

/** Whether packed data of this length can unpack to that much: what announces more is not worth beginning. */
export function canUnpackTo(packedBytes: number, bytes: number): boolean {
  return bytes <= packedBytes * EXPANSION_MAX + EXPANSION_SLACK_BYTES;
}

/**
 * The first `length` bytes of the unpacked data, fewer where it ends before.
 * @throws StillhouseError DATA_LOSS when it cannot be unpacked that far.
 */
export async function inflateHead(range: PackedRange, length: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let got = 0;
  for await (const chunk of unpacked(range)) {
    chunks.push(chunk);
    got += chunk.length;
    if (got >= length) break;
  }
  return Buffer.concat(chunks).subarray(0, length);
}

/**
 * Unpacks to a file in `scratch`, of which no name is left: it is gone when the answer is closed, or the process ends.
 *
 * @param bytes what the data announces to be.
 * @throws StillhouseError DATA_LOSS when it is less or more than that, cut off or damaged; RESOURCE_EXHAUSTED when the disk is full.
 */
export async function inflateToFile(range: PackedRange, bytes: number, scratch: string): Promise<SourceFile> {
  const target = path.join(scratch, uniqueId('unpacked'));
  try {
    await writeUnpacked(range, bytes, target);
    return await SourceFile.open(target, range.location);
  } finally {
    await rm(target, { force: true });
  }
}

async function writeUnpacked(range: PackedRange, bytes: number, target: string): Promise<void> {
  const file = await open(target, 'wx').catch((cause) => {
    throw writeError(target, cause);
  });
  try {
    let done = 0;
    for await (const chunk of unpacked(range)) {
      done += chunk.length;
      if (done > bytes) throw damagedSource(range.location, `unpacks to more than the ${bytes} bytes it announces`);
      await file.writeFile(chunk).catch((cause) => {
        throw writeError(target, cause);
      });
    }
    if (done < bytes) throw damagedSource(range.location, `unpacks to ${done} bytes, but announces ${bytes}`);
  } finally {
    await file.close();
  }
}

async function* unpacked({ location, packing, offset, length }: PackedRange): AsyncGenerator<Uint8Array> {
  if (length === 0) throw damagedSource(location, `is empty at offset ${offset}, expected packed data`);
  const packed = createReadStream(location, { start: offset, end: offset + length - 1 });
  const unpacker: Gunzip | Inflate = packing === 'gzip' ? createGunzip() : createInflate();
  // Errors of either stream end the iteration; without a listener the first one would end the process.
  const done = pipeline(packed, unpacker);
  done.catch((error) => unpacker.destroy(error));
  try {
    yield* unpacker;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw damagedSource(location, `cannot be unpacked near offset ${offset + unpacker.bytesWritten}: ${reason}`, cause);
  } finally {
    packed.destroy();
    unpacker.destroy();
  }
  const left = length - unpacker.bytesWritten;
  if (left > 0) {
    throw damagedSource(
      location,
      `has ${left} bytes after the packed data that ends at offset ${offset + length - left}`,
    );
  }
}

function writeError(target: string, cause: NodeJS.ErrnoException): StillhouseError {
  if (cause.code !== 'ENOSPC' && cause.code !== 'EDQUOT') {
    return refusedSource(target, `cannot be written: ${cause.message}`, 'name another scratch folder', cause);
  }
  return new StillhouseError('RESOURCE_EXHAUSTED', `the disk is full: ${target} cannot be written: ${cause.message}`, {
    field: target,
    hint: 'make room, or name another scratch folder',
    cause,
  });
}
