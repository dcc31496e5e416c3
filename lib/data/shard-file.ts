/**
 * Shard files. Raw: records of one fixed size, one after the other. Encoded: eight bytes `SHSHARD1`, then the offsets of all
 * records in the file and its end, as little-endian uint32, then the records, each as long as the file it was. A record that
 * an import found damaged is all zeros in a raw shard and empty in an encoded one.
 */
import { invariant, StillhouseError } from '../base/errors.ts';
import type { SampleStorage } from './sample-source.ts';

/** Bytes that a shard is filled up to: large enough to be fetched at full speed, small enough to be shuffled by. */
export const SHARD_BYTES = 32 * 2 ** 20;
export const MAX_SHARD_RECORDS = 8192;
/** Of one record; what is larger is no picture for a classifier, and would be held in memory. */
export const MAX_RECORD_BYTES = 64 * 2 ** 20;

const MAGIC = new TextEncoder().encode('SHSHARD1');
const OFFSET_BYTES = 4;

type RawStorage = Extract<SampleStorage, { kind: 'raw' }>;

export function rawRecordBytes({ height, width, channels }: RawStorage): number {
  return height * width * channels;
}

/** Bytes before the first record of an encoded shard. */
export function encodedHeaderBytes(records: number): number {
  return MAGIC.length + OFFSET_BYTES * (records + 1);
}

/** What an encoded shard takes at least; 0 for others. */
export function encodedShardMinBytes(storage: SampleStorage, records: number): number {
  return storage.kind === 'encoded' ? encodedHeaderBytes(records) : 0;
}

/** The bytes before the records of an encoded shard. @param lengths of the records */
export function encodeShardHeader(lengths: readonly number[]): Uint8Array {
  const header = new Uint8Array(encodedHeaderBytes(lengths.length));
  header.set(MAGIC);
  const view = new DataView(header.buffer);
  let offset = header.length;
  for (const [record, length] of lengths.entries()) {
    view.setUint32(MAGIC.length + OFFSET_BYTES * record, offset, true);
    offset += length;
  }
  invariant(offset <= 0xffffffff, 'offsets in a shard have 32 bits');
  view.setUint32(header.length - OFFSET_BYTES, offset, true);
  return header;
}

/**
 * Where the records of an encoded shard begin, and where the last one ends: [records + 1], ascending, within the file.
 *
 * @param header the first `encodedHeaderBytes(records)` bytes of the file
 * @param where names the file in errors
 * @throws StillhouseError DATA_LOSS naming file and offset when it is no shard, or an entry points elsewhere
 */
export function decodeShardHeader(header: Uint8Array, records: number, bytes: number, where: string): Uint32Array {
  const damaged = (at: number, what: string) => {
    const message = `${where} is damaged at offset ${at}: ${what}`;
    return new StillhouseError('DATA_LOSS', message, { field: where, hint: 'set the data set up again' });
  };
  if (MAGIC.some((byte, at) => header[at] !== byte)) throw damaged(0, 'it does not begin as a shard does');
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  // Shared, since threads are handed it with every request.
  const offsets = new Uint32Array(new SharedArrayBuffer(Uint32Array.BYTES_PER_ELEMENT * (records + 1)));
  let previous = header.length;
  for (let entry = 0; entry <= records; entry++) {
    const at = MAGIC.length + OFFSET_BYTES * entry;
    const offset = view.getUint32(at, true);
    const isRight = entry === 0 ? offset === previous : offset >= previous && offset - previous <= MAX_RECORD_BYTES;
    if (!isRight || offset > bytes) throw damaged(at, `record ${entry} cannot begin at ${offset}, after ${previous}`);
    offsets[entry] = offset;
    previous = offset;
  }
  if (previous === bytes) return offsets;
  throw damaged(header.length - OFFSET_BYTES, `the records end at ${previous}, expected ${bytes}`);
}
