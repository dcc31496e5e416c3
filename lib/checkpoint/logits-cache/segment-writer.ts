/** Appends records to a segment of this process's own, in blocks; what a crash leaves of the last block is whole records. */
import { type FileHandle, open } from 'node:fs/promises';
import path from 'node:path';
import { after, sleep } from '../../base/clock.ts';
import { StillhouseError } from '../../base/errors.ts';
import { uniqueId } from '../../base/random.ts';
import { encodeSegmentHeader, type RecordKey, type RecordLayout, SEGMENT_SUFFIX } from './segment-format.ts';
import { WriterLock } from './writer-locks.ts';

export interface SegmentWriterOptions {
  readonly folder: string;
  /** Makes the folder, which may have been removed since it was made. */
  readonly makeFolder: () => Promise<void>;
  readonly layout: RecordLayout;
  readonly namespace: string;
  /** Whether so many bytes more may be stored. */
  readonly mayStore: (bytes: number) => Promise<boolean>;
  /** Records are in the file, from `first`; the buffer is another one's afterwards. */
  readonly onWritten: (first: number, count: number, buffer: Buffer) => void;
  /** Records will never be in the file: there is no room, or writing has failed. */
  readonly onDropped: (count: number, buffer: Buffer) => void;
  /** Writing has failed, and nothing more is written. Told once. */
  readonly onStop: (error: unknown) => void;
}

const BLOCK_BYTES = 2 ** 18;
/** How long a record waits for others to be written with it. */
const BLOCK_MS = 200;
const LOCK_ATTEMPTS = 50;
const LOCK_PAUSE_MS = 100;

export class SegmentWriter {
  readonly name = `${uniqueId('part')}${SEGMENT_SUFFIX}`;
  readonly #options: SegmentWriterOptions;
  readonly #recordsPerBlock: number;
  #block: Buffer;
  /** In the block. */
  #pending = 0;
  /** In the file. */
  #written = 0;
  #writing: Promise<void> = Promise.resolve();
  #stopTimer: (() => void) | undefined;
  #handle: FileHandle | undefined;
  #lock: WriterLock | undefined;
  #isStopped = false;

  constructor(options: SegmentWriterOptions) {
    this.#options = options;
    const { recordBytes } = options.layout;
    this.#recordsPerBlock = Math.max(1, Math.floor(BLOCK_BYTES / recordBytes));
    this.#block = this.#newBlock();
  }

  /** Whether nothing is written any more. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Only while it is not stopped. */
  append(key: RecordKey, row: Uint8Array): void {
    const { layout } = this.#options;
    layout.write(this.#block, this.#pending * layout.recordBytes, key, row);
    this.#pending += 1;
    if (this.#pending === this.#recordsPerBlock) this.#handOver();
    else this.#stopTimer ??= after(BLOCK_MS, () => this.#handOver());
  }

  /** Resolves when everything so far is in the file, or nothing is written any more. */
  async flush(): Promise<void> {
    this.#handOver();
    await this.#writing;
  }

  /** Also on the disk; nothing may be appended afterwards. */
  async close(): Promise<void> {
    await this.flush();
    this.#isStopped = true;
    try {
      await this.#handle?.datasync();
    } finally {
      await this.#handle?.close();
      this.#lock?.release();
      this.#handle = undefined;
    }
  }

  #handOver(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    if (this.#pending === 0) return;
    const [block, count] = [this.#block, this.#pending];
    this.#block = this.#newBlock();
    this.#pending = 0;
    this.#writing = this.#writing.then(() => this.#write(block, count));
  }

  async #write(block: Buffer, count: number): Promise<void> {
    const { layout, mayStore, onWritten, onDropped, onStop } = this.#options;
    const bytes = count * layout.recordBytes;
    try {
      if (!this.#isStopped && (await mayStore(bytes))) {
        const first = this.#written;
        await writeAll(await this.#open(), block.subarray(0, bytes), layout.offsetOf(first));
        this.#written += count;
        onWritten(first, count, block);
        return;
      }
    } catch (error) {
      // What has come of the block may be read already: another one is never written over it.
      this.#isStopped = true;
      onStop(error);
    }
    onDropped(count, block);
  }

  async #open(): Promise<FileHandle> {
    if (this.#handle !== undefined) return this.#handle;
    const { folder, layout, namespace } = this.#options;
    this.#lock = await this.#takeLock();
    this.#handle = await open(path.join(folder, this.name), 'wx');
    await writeAll(this.#handle, encodeSegmentHeader(layout, namespace), 0);
    return this.#handle;
  }

  /** In a folder that stays: one that is being removed at this moment is made anew. */
  async #takeLock(): Promise<WriterLock> {
    const { folder, makeFolder } = this.#options;
    for (let attempt = 1; attempt <= LOCK_ATTEMPTS; attempt++) {
      await makeFolder();
      const lock = await WriterLock.take(folder, this.name);
      if (lock !== undefined) return lock;
      await sleep(LOCK_PAUSE_MS);
    }
    throw new StillhouseError('UNAVAILABLE', `${folder} is being removed`);
  }

  #newBlock(): Buffer {
    return Buffer.allocUnsafe(this.#recordsPerBlock * this.#options.layout.recordBytes);
  }
}

async function writeAll(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
