/**
 * The files of samples that are open: from when they are first read from, or a while before, until there is no room for them any
 * more. Every lane of a training walks along shards of its own and comes back to each of them many times.
 */
import { openFileLimit } from '../base/machine.ts';
import type { DatasetFile } from './manifest.ts';
import type { OpenFile, Place } from './places/place.ts';
import type { RecordLayout, SampleFile } from './read-request.ts';
import { readOffsets } from './record-files.ts';

/** Of all data sets of a process: two windows of an epoch's order for each of 32 lanes. */
const MAX_OPEN = 1024;
/** Of what a process may have open: connections and libraries need some of it. */
const OPEN_SHARE = 0.5;
/** Files that are opened at a time before anybody reads from them. */
const AHEAD = 4;

interface Opened {
  readonly open: OpenFile;
  readonly file: SampleFile;
}

interface Held {
  readonly owner: HeldFiles;
  readonly number: number;
  readonly bytes: number;
  readonly opening: Promise<Opened>;
  users: number;
}

/** A file that is being read from. */
export interface FileLease {
  /** @throws what `Place.openFile` throws; DATA_LOSS when it is not what the data set says */
  readonly file: Promise<SampleFile>;
  /** Once, when it is not being read from any more. */
  release(): void;
}

/** What nobody reads from, of all data sets; the one used last at the end. */
const idle = new Set<Held>();
/** Files that are open or being opened, of all data sets. */
let openCount = 0;
let maxOpen: number | undefined;

export class HeldFiles {
  readonly #place: Place;
  readonly #layout: RecordLayout;
  readonly #signal: AbortSignal;
  /** By number of the file. */
  readonly #held = new Map<number, Held>();
  #idleBytes = 0;
  /** What is to be opened before anybody reads from it. */
  readonly #ahead = new Map<number, DatasetFile>();
  readonly #openingAhead = new Set<Promise<void>>();
  readonly #closing = new Set<Promise<void>>();

  /**
   * @param layout of every file
   * @param signal ends what is being fetched
   */
  constructor(place: Place, layout: RecordLayout, signal: AbortSignal) {
    this.#place = place;
    this.#layout = layout;
    this.#signal = signal;
  }

  /** Takes over a file that is open already, whose content has been checked. */
  adopt(number: number, content: DatasetFile, open: OpenFile): void {
    this.#release(this.#use(this.#hold(number, content, Promise.resolve(open))));
  }

  /** A file stays open at least until it is released. One that cannot be had is asked for anew the next time. */
  acquire(number: number, content: DatasetFile): FileLease {
    const known = this.#held.get(number);
    const open = () => this.#place.openFile(content.path, content, this.#signal);
    const held = this.#use(known ?? this.#hold(number, content, open()));
    return { file: held.opening.then(({ file }) => file), release: () => this.#release(held) };
  }

  /** Opens a file that is about to be read from, a few at a time. Whether it can be had is said when it is read from. */
  openAhead(number: number, content: DatasetFile): void {
    if (this.#held.has(number)) return;
    this.#ahead.set(number, content);
    this.#openNext();
  }

  /** Closes all files; after the last lease has been released. */
  async close(): Promise<void> {
    this.#ahead.clear();
    await Promise.all(this.#openingAhead);
    for (const held of [...this.#held.values()]) this.#close(held);
    await Promise.all(this.#closing);
  }

  #hold(number: number, content: DatasetFile, open: Promise<OpenFile>): Held {
    const opening = this.#opened(content, open);
    const held: Held = { owner: this, number, bytes: content.bytes, opening, users: 0 };
    this.#held.set(number, held);
    openCount++;
    opening.catch(() => this.#forget(held));
    return held;
  }

  async #opened({ records, bytes }: DatasetFile, opening: Promise<OpenFile>): Promise<Opened> {
    const open = await opening;
    const { handle, location } = open;
    try {
      const layout = this.#layout;
      const offsets = await readOffsets(handle, layout, { location, records, bytes });
      return { open, file: { location, records, bytes, layout, fd: handle.fd, offsets } };
    } catch (error) {
      await open.close();
      throw error;
    }
  }

  #use(held: Held): Held {
    if (idle.delete(held)) this.#idleBytes -= held.bytes;
    held.users++;
    return held;
  }

  #release(held: Held): void {
    held.users--;
    if (held.users > 0 || this.#held.get(held.number) !== held) return;
    idle.add(held);
    this.#idleBytes += held.bytes;
    this.#trim();
  }

  #trim(): void {
    maxOpen ??= Math.min(MAX_OPEN, Math.floor((openFileLimit() ?? MAX_OPEN) * OPEN_SHARE));
    for (const held of idle) {
      const isOverfull = this.#idleBytes > this.#place.idleBytes;
      if (openCount > maxOpen || (isOverfull && held.owner === this)) held.owner.#close(held);
      else if (!isOverfull) return;
    }
  }

  #close(held: Held): void {
    this.#forget(held);
    const closing = held.opening
      .then(({ open }) => open.close())
      .catch(() => {
        // What was only read from loses nothing.
      })
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  #forget(held: Held): void {
    if (idle.delete(held)) this.#idleBytes -= held.bytes;
    if (this.#held.get(held.number) !== held) return;
    this.#held.delete(held.number);
    openCount--;
  }

  #openNext(): void {
    for (const [number, content] of this.#ahead) {
      if (this.#openingAhead.size >= AHEAD) return;
      this.#ahead.delete(number);
      if (this.#held.has(number)) continue;
      const { file, release } = this.acquire(number, content);
      const ended = () => {
        release();
        this.#openingAhead.delete(opening);
        this.#openNext();
      };
      const opening: Promise<void> = file.then(ended, ended);
      this.#openingAhead.add(opening);
    }
  }
}
