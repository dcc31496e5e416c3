/**
 * Files of stored rows: a header of 32 bytes, then records of one size, nothing between them:
 * view, sample id, partner (32 bits each), the row's bytes, CRC-32C of all that. Little-endian.
 */
import { crc32c } from '@node-rs/crc32';

/** Samples under one view, each with the sample that it is mixed with where images are mixed. */
export interface ViewedBatch {
  /** See `viewNumber`. */
  readonly view: number;
  readonly ids: ArrayLike<number>;
  readonly partners: ArrayLike<number> | null;
}

/** What a stored row answers. */
export interface RecordKey {
  readonly view: number;
  readonly id: number;
  /** `NO_PARTNER` where nothing is mixed. */
  readonly partner: number;
}

/** No data set has so many samples. */
export const NO_PARTNER = 0xffff_ffff;

export const SEGMENT_HEADER_BYTES = 32;
export const SEGMENT_SUFFIX = '.rows';
/** Beside a segment while a process writes it. */
export const LOCK_SUFFIX = '.pid';

const MAGIC = 'SHLOGITS';
const VERSION = 1;
const KEY_BYTES = 12;
const CHECKSUM_BYTES = 4;
const NAMESPACE_AT = 16;
const CHECKSUM_AT = SEGMENT_HEADER_BYTES - CHECKSUM_BYTES;

/** The records of one namespace: how they are cut, and read and written in a buffer. */
export class RecordLayout {
  readonly rowBytes: number;
  readonly recordBytes: number;

  constructor(rowBytes: number) {
    this.rowBytes = rowBytes;
    this.recordBytes = KEY_BYTES + rowBytes + CHECKSUM_BYTES;
  }

  /** Where a record of a segment begins. */
  offsetOf(record: number): number {
    return SEGMENT_HEADER_BYTES + record * this.recordBytes;
  }

  /** Whole records in a segment of so many bytes; a torn one at its end is none. */
  recordsIn(segmentBytes: number): number {
    return Math.max(0, Math.floor((segmentBytes - SEGMENT_HEADER_BYTES) / this.recordBytes));
  }

  write(buffer: Buffer, at: number, { view, id, partner }: RecordKey, row: Uint8Array): void {
    buffer.writeUInt32LE(view, at);
    buffer.writeUInt32LE(id, at + 4);
    buffer.writeUInt32LE(partner, at + 8);
    buffer.set(row, at + KEY_BYTES);
    buffer.writeUInt32LE(crc32c(buffer.subarray(at, this.#checksumAt(at))), this.#checksumAt(at));
  }

  /** Whether the record is as it was written. */
  isWhole(buffer: Buffer, at: number): boolean {
    const end = this.#checksumAt(at);
    return crc32c(buffer.subarray(at, end)) === buffer.readUInt32LE(end);
  }

  keyOf(buffer: Buffer, at: number): RecordKey {
    return { view: buffer.readUInt32LE(at), id: buffer.readUInt32LE(at + 4), partner: buffer.readUInt32LE(at + 8) };
  }

  rowOf(buffer: Buffer, at: number): Buffer {
    return buffer.subarray(at + KEY_BYTES, this.#checksumAt(at));
  }

  #checksumAt(at: number): number {
    return at + KEY_BYTES + this.rowBytes;
  }
}

/** @param namespace in hex */
export function encodeSegmentHeader({ recordBytes }: RecordLayout, namespace: string): Buffer {
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
  header.write(MAGIC, 'latin1');
  header.writeUInt32LE(VERSION, 8);
  header.writeUInt32LE(recordBytes, 12);
  header.write(namespace, NAMESPACE_AT, 'hex');
  header.writeUInt32LE(crc32c(header.subarray(0, CHECKSUM_AT)), CHECKSUM_AT);
  return header;
}
