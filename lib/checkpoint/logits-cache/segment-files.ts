/** The segments of a namespace, those of other processes too, read as they grow. */
import { closeSync, openSync, readSync } from 'node:fs';
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { ifThere, isAbsence } from './if-there.ts';
import {
  encodeSegmentHeader,
  LOCK_SUFFIX,
  type RecordLayout,
  SEGMENT_HEADER_BYTES,
  SEGMENT_SUFFIX,
} from './segment-format.ts';

export interface SegmentVisitor {
  /** A record that is as it was written; the buffer is another one's afterwards. */
  readonly onRecord: (segment: number, record: number, buffer: Buffer, at: number) => void;
  /** Something that is not; `record` is null when it is the segment's header, and nothing of the segment can be read then. */
  readonly onDamage: (file: string, record: number | null) => void;
}

interface Segment {
  readonly file: string;
  /** Records that have been looked at. */
  scanned: number;
  /** Nothing more comes of it. */
  isDone: boolean;
  /** Its size when nobody seemed to write it, the last time that it was looked at; else null. */
  quietBytes: number | null;
  isHeaderChecked: boolean;
}

const CHUNK_BYTES = 2 ** 20;
/** Files that are held open to read single rows. */
const OPEN_MAX = 32;

export class SegmentFiles {
  readonly #folder: string;
  readonly #layout: RecordLayout;
  readonly #header: Buffer;
  readonly #segments: Segment[] = [];
  /** By name, their numbers. */
  readonly #numbers = new Map<string, number>();
  /** By number of the segment, the one used last at the end. */
  readonly #open = new Map<number, number>();

  constructor(folder: string, layout: RecordLayout, namespace: string) {
    this.#folder = folder;
    this.#layout = layout;
    this.#header = encodeSegmentHeader(layout, namespace);
  }

  /** A segment that this process writes, and therefore knows. Answers its number. */
  adopt(name: string): number {
    return this.#add(name, true);
  }

  /** Looks at everything that has come since the last time. A folder that is not there has nothing in it. */
  async refresh(visitor: SegmentVisitor): Promise<void> {
    const names = await namesIn(this.#folder);
    for (const name of names.filter((file) => file.endsWith(SEGMENT_SUFFIX))) {
      if (!this.#numbers.has(name)) this.#add(name, false);
    }
    const beingWritten = new Set(names.filter((file) => file.endsWith(LOCK_SUFFIX)));
    for (const [number, segment] of this.#segments.entries()) {
      if (segment.isDone) continue;
      const name = path.basename(segment.file);
      const bytes = await this.#scan(number, segment, visitor);
      if (beingWritten.has(`${name}${LOCK_SUFFIX}`)) segment.quietBytes = null;
      // Shared volumes show files late, and one before the other: once without a writer is not enough.
      else if (segment.quietBytes === bytes) segment.isDone = true;
      else segment.quietBytes = bytes;
    }
  }

  /** The record, as it lies in its file; null when it cannot be had any more. */
  readRecord(segment: number, record: number): Buffer | null {
    const { recordBytes } = this.#layout;
    const buffer = Buffer.allocUnsafe(recordBytes);
    try {
      const bytes = readSync(this.#descriptor(segment), buffer, 0, recordBytes, this.#layout.offsetOf(record));
      return bytes === recordBytes && this.#layout.isWhole(buffer, 0) ? buffer : null;
    } catch (error) {
      if (isAbsence(error)) return null;
      throw error;
    }
  }

  fileOf(segment: number): string {
    return (this.#segments[segment] as Segment).file;
  }

  close(): void {
    for (const descriptor of this.#open.values()) closeSync(descriptor);
    this.#open.clear();
  }

  #add(name: string, isDone: boolean): number {
    const number = this.#segments.length;
    this.#numbers.set(name, number);
    const file = path.join(this.#folder, name);
    this.#segments.push({ file, scanned: 0, isDone, quietBytes: null, isHeaderChecked: false });
    return number;
  }

  /** Answers how large the segment was. */
  async #scan(number: number, segment: Segment, visitor: SegmentVisitor): Promise<number> {
    const size = (await ifThere(stat(segment.file)))?.size ?? 0;
    const records = this.#layout.recordsIn(size);
    if (records <= segment.scanned && (segment.isHeaderChecked || size < SEGMENT_HEADER_BYTES)) return size;
    const handle = await ifThere(open(segment.file));
    if (handle === undefined) return size;
    try {
      if (!(await this.#checkHeader(handle, segment))) {
        segment.isDone = true;
        visitor.onDamage(segment.file, null);
        return size;
      }
      await this.#scanRecords(handle, { number, segment, records }, visitor);
      return size;
    } finally {
      await handle.close();
    }
  }

  async #checkHeader(handle: FileHandle, segment: Segment): Promise<boolean> {
    if (segment.isHeaderChecked) return true;
    const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
    await handle.read(header, 0, SEGMENT_HEADER_BYTES, 0);
    segment.isHeaderChecked = header.equals(this.#header);
    return segment.isHeaderChecked;
  }

  async #scanRecords(
    handle: FileHandle,
    { number, segment, records }: { number: number; segment: Segment; records: number },
    { onRecord, onDamage }: SegmentVisitor,
  ): Promise<void> {
    const { recordBytes } = this.#layout;
    const perChunk = Math.max(1, Math.floor(CHUNK_BYTES / recordBytes));
    const buffer = Buffer.allocUnsafe(Math.min(perChunk, records - segment.scanned) * recordBytes);
    while (segment.scanned < records) {
      const wanted = Math.min(perChunk, records - segment.scanned) * recordBytes;
      const { bytesRead } = await handle.read(buffer, 0, wanted, this.#layout.offsetOf(segment.scanned));
      const whole = Math.floor(bytesRead / recordBytes);
      // Cut off since it was measured, by whatever: nothing of it is relied on.
      if (whole === 0) return;
      for (let index = 0; index < whole; index++) {
        const at = index * recordBytes;
        if (this.#layout.isWhole(buffer, at)) onRecord(number, segment.scanned + index, buffer, at);
        else onDamage(segment.file, segment.scanned + index);
      }
      segment.scanned += whole;
    }
  }

  #descriptor(segment: number): number {
    const known = this.#open.get(segment);
    if (known !== undefined) {
      this.#open.delete(segment);
      this.#open.set(segment, known);
      return known;
    }
    const descriptor = openSync(this.fileOf(segment), 'r');
    this.#open.set(segment, descriptor);
    for (const [number, oldest] of this.#open) {
      if (this.#open.size <= OPEN_MAX) break;
      this.#open.delete(number);
      closeSync(oldest);
    }
    return descriptor;
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return (await ifThere(readdir(folder))) ?? [];
}
