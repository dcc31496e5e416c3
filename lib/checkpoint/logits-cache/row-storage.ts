/** Where a cache stores its rows: in a segment of its own, while there is room; after trouble it is tried again now and then. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { monotonicMs } from '../../base/clock.ts';
import { describeError } from '../../base/errors.ts';
import { isAbsence } from './if-there.ts';
import { writeRecipe } from './namespaces.ts';
import { type CacheRecipe, namespaceOf } from './recipe.ts';
import { Room } from './room.ts';
import type { RecordKey, RecordLayout } from './segment-format.ts';
import { SegmentWriter } from './segment-writer.ts';
import { removeLocksLeftBehind } from './writer-locks.ts';

export interface RowStorageOptions {
  /** Of all namespaces. */
  readonly root: string;
  readonly recipe: CacheRecipe;
  readonly layout: RecordLayout;
  /** Of all namespaces together. */
  readonly bytesMax: number;
  readonly retryMs: number;
  /** Answers the number of a new segment of this process's own. */
  readonly adopt: (segment: string) => number;
  /** Records are in the segment's file, from `first`; the buffer is another one's afterwards. */
  readonly onWritten: (segment: number, first: number, count: number, buffer: Buffer) => void;
  /** Records will never be stored. */
  readonly onDropped: (count: number, buffer: Buffer) => void;
  /** Why nothing is stored at present; null when it is again. */
  readonly onProblem: (problem: string | null) => void;
}

const FOLDER_ATTEMPTS = 5;

export class RowStorage {
  readonly #options: RowStorageOptions;
  readonly #folder: string;
  readonly #room: Room;
  #writer: SegmentWriter | undefined;
  /** Of writers that others have followed. */
  #retired: Promise<void> = Promise.resolve();
  /** When it was seen that nothing can be stored; null while nobody knows better. */
  #stoppedMs: number | null = null;
  #problem: string | null = null;

  constructor(options: RowStorageOptions) {
    this.#options = options;
    this.#folder = path.join(options.root, namespaceOf(options.recipe));
    this.#room = new Room(options.root, options.bytesMax);
  }

  /** Where nothing can be stored, that is told before anything is to be. */
  async makeReady(): Promise<void> {
    try {
      await this.#makeFolder();
    } catch (error) {
      this.#stop(describeError(error));
    }
  }

  /** Takes rows from now on, where it is not known that they cannot be stored. */
  isReady(): boolean {
    if (this.#stoppedMs === null) return true;
    if (monotonicMs() - this.#stoppedMs < this.#options.retryMs) return false;
    this.#stoppedMs = null;
    return true;
  }

  /** Only while it is ready. */
  append(key: RecordKey, row: Uint8Array): void {
    this.#currentWriter().append(key, row);
  }

  /** Resolves when everything so far is in the file, or dropped. */
  async flush(): Promise<void> {
    await this.#writer?.flush();
  }

  /** Also on the disk. */
  async close(): Promise<void> {
    await this.#retired;
    await this.#writer?.close();
    this.#writer = undefined;
  }

  #currentWriter(): SegmentWriter {
    if (this.#writer?.isStopped === false) return this.#writer;
    const [before, closing] = [this.#retired, this.#writer?.close()];
    // Why it was stopped has been told.
    this.#retired = Promise.allSettled([before, closing]).then(() => undefined);
    this.#writer = this.#openWriter();
    return this.#writer;
  }

  #openWriter(): SegmentWriter {
    const { root, recipe, layout, bytesMax, adopt, onWritten, onDropped } = this.#options;
    const writer = new SegmentWriter({
      folder: this.#folder,
      makeFolder: () => this.#makeFolder(),
      layout,
      namespace: namespaceOf(recipe),
      mayStore: async (bytes) => {
        if (this.#stoppedMs !== null) return false;
        if (await this.#room.take(bytes)) return true;
        this.#stop(`${root} holds as much as it may, ${bytesMax} bytes`);
        return false;
      },
      onWritten: (first, count, buffer) => {
        onWritten(segment, first, count, buffer);
        this.#tell(null);
      },
      onDropped,
      onStop: (error) => this.#stop(describeError(error)),
    });
    const segment = adopt(writer.name);
    return writer;
  }

  async #makeFolder(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      await mkdir(this.#folder, { recursive: true });
      try {
        await removeLocksLeftBehind(this.#folder);
        await writeRecipe(this.#folder, this.#options.recipe);
        return;
      } catch (error) {
        // Somebody has removed it since.
        if (!isAbsence(error) || attempt === FOLDER_ATTEMPTS) throw error;
      }
    }
  }

  #stop(problem: string): void {
    this.#stoppedMs = monotonicMs();
    this.#tell(problem);
  }

  #tell(problem: string | null): void {
    if (this.#problem === problem) return;
    this.#problem = problem;
    this.#options.onProblem(problem);
  }
}
