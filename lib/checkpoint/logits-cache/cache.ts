/**
 * Teachers' logits on disk, shared by all processes and jobs that see the folder. Each writer appends to a file of its own;
 * everyone reads all of them as they grow. What is damaged is as if it had never been stored.
 */
import path from 'node:path';
import { monotonicMs } from '../../base/clock.ts';
import { describeError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { type LogitsFormat, rowBytes } from '../../distill/logits/format.ts';
import type { CachedLogits, CacheStats, DamagedRecord, LogitsCacheOptions } from './cached-logits.ts';
import { noteUse } from './namespaces.ts';
import { PendingRows } from './pending-rows.ts';
import { type CacheRecipe, mixesImages, namespaceOf } from './recipe.ts';
import { RowIndex } from './row-index.ts';
import { MemoryBudget, RowMemory } from './row-memory.ts';
import { RowPlaces } from './row-places.ts';
import { RowStorage, type RowStorageOptions } from './row-storage.ts';
import { SegmentFiles } from './segment-files.ts';
import { NO_PARTNER, type RecordKey, RecordLayout, type ViewedBatch } from './segment-format.ts';

export type { CachedLogits, CacheStats, LogitsCacheOptions } from './cached-logits.ts';
export { MemoryBudget } from './row-memory.ts';
export type { ViewedBatch } from './segment-format.ts';

export const LOGITS_BYTES_MAX = 32 * 2 ** 30;
export const LOGITS_MEMORY_BYTES = 2 ** 29;
/** Of all caches of this process. */
const processMemory = new MemoryBudget(LOGITS_MEMORY_BYTES);
const RETRY_MS = 60_000;
/** How often a lookup that misses looks for what others have stored. */
const REFRESH_MS = 300;
const DAMAGE_LISTED_MAX = 1000;

/** How much memory the rows of all caches of this process may take; what they have already they keep. */
export function limitLogitsMemory(bytesMax: number): void {
  processMemory.bytesMax = bytesMax;
}

export class LogitsCache implements CachedLogits {
  readonly format: LogitsFormat;
  readonly stats: CacheStats = { hits: 0, misses: 0, rowsStored: 0, damaged: 0, problem: null, unreadable: null };
  /** The first of them, for people. */
  readonly damage: DamagedRecord[] = [];
  readonly #folder: string;
  readonly #logger: Logger | undefined;
  readonly #hasViews: boolean;
  readonly #mixes: boolean;
  readonly #layout: RecordLayout;
  readonly #index: RowIndex;
  readonly #memory: RowMemory;
  readonly #files: SegmentFiles;
  /** Of the rows that memory does not hold. */
  readonly #places = new RowPlaces();
  readonly #pending = new PendingRows();
  /** Null where nothing is to be stored. */
  readonly #storage: RowStorage | null;
  #refreshing: Promise<void> | undefined;
  #refreshedMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  /**
   * Opens the recipe's namespace, which may not be there yet. Where it cannot be written, it is only read, and `stats` says why.
   * @param folder of all namespaces
   */
  static async open(folder: string, recipe: CacheRecipe, options: LogitsCacheOptions): Promise<LogitsCache> {
    const cache = new LogitsCache(folder, recipe, options);
    await cache.#storage?.makeReady();
    try {
      if (options.isUse ?? true) await noteUse(cache.#folder);
      await cache.refresh();
    } catch (error) {
      cache.#noteUnreadable(error);
    }
    return cache;
  }

  private constructor(folder: string, recipe: CacheRecipe, options: LogitsCacheOptions) {
    const { writes, bytesMax = LOGITS_BYTES_MAX, memory = processMemory, retryMs = RETRY_MS, logger } = options;
    const namespace = namespaceOf(recipe);
    this.format = recipe.format;
    this.#folder = path.join(folder, namespace);
    this.#logger = logger;
    this.#hasViews = recipe.views !== null;
    this.#mixes = mixesImages(recipe);
    this.#layout = new RecordLayout(rowBytes(recipe.format));
    this.#index = new RowIndex(recipe.sampleCount, this.#mixes);
    this.#memory = new RowMemory(this.#layout.rowBytes, memory);
    this.#files = new SegmentFiles(this.#folder, this.#layout, namespace);
    this.#storage = writes ? this.#openStorage({ root: folder, recipe, bytesMax, retryMs }) : null;
  }

  lookup(batch: ViewedBatch): { rows: Uint8Array; missing: readonly number[] } {
    const { ids } = batch;
    const size = this.#layout.rowBytes;
    const rows = new Uint8Array(ids.length * size);
    const missing: number[] = [];
    for (let index = 0; index < ids.length; index++) {
      if (!this.#read(this.#keyAt(batch, index), rows, index * size)) missing.push(index);
    }
    this.stats.hits += ids.length - missing.length;
    this.stats.misses += missing.length;
    if (missing.length > 0) this.#refreshSoon();
    return { rows, missing };
  }

  missing(batch: ViewedBatch): number[] {
    const indices = Array.from({ length: batch.ids.length }, (_, index) => index);
    return indices.filter((index) => this.#isWanted(this.#keyAt(batch, index)));
  }

  keep(batch: ViewedBatch, rows: Uint8Array): void {
    const storage = this.#storage;
    if (storage === null || this.#isClosed || !storage.isReady()) return;
    const size = this.#layout.rowBytes;
    for (let index = 0; index < batch.ids.length; index++) {
      const key = this.#keyAt(batch, index);
      if (!this.#isWanted(key)) continue;
      const row = rows.subarray(index * size, (index + 1) * size);
      this.#pending.set(key, row);
      storage.append(key, row);
    }
  }

  async flush(): Promise<void> {
    await this.#storage?.flush();
  }

  async refresh(): Promise<void> {
    // One that is under way may have looked already where something has come since.
    await this.#settled();
    await this.#startRefresh();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#settled();
    await this.#storage?.close();
    this.#files.close();
    this.#memory.release();
  }

  /** Rows that are found. */
  get rows(): number {
    return this.#index.rowsFound;
  }

  /** By view, ascending: how many samples have a row. */
  samplesByView(): [view: number, samples: number][] {
    return this.#index.samplesByView();
  }

  /** Everything that is stored, by view and sample. */
  keys(): Iterable<RecordKey> {
    return this.#index.keys();
  }

  #openStorage(options: Pick<RowStorageOptions, 'root' | 'recipe' | 'bytesMax' | 'retryMs'>): RowStorage {
    return new RowStorage({
      ...options,
      layout: this.#layout,
      adopt: (segment) => this.#files.adopt(segment),
      onWritten: (segment, first, count, block) => this.#onWritten(segment, first, count, block),
      onDropped: (count, block) => this.#onDropped(count, block),
      onProblem: (problem) => this.#onProblem(problem),
    });
  }

  #onWritten(segment: number, first: number, count: number, block: Buffer): void {
    this.stats.rowsStored += count;
    for (let index = 0; index < count; index++) {
      const at = index * this.#layout.recordBytes;
      const key = this.#layout.keyOf(block, at);
      this.#pending.delete(key);
      if (this.#isNew(key)) this.#add(key, this.#layout.rowOf(block, at), segment, first + index);
    }
  }

  #onDropped(count: number, block: Buffer): void {
    for (let index = 0; index < count; index++) {
      this.#pending.delete(this.#layout.keyOf(block, index * this.#layout.recordBytes));
    }
  }

  #onProblem(problem: string | null): void {
    this.stats.problem = problem;
    if (problem === null) this.#logger?.info({ folder: this.#folder }, 'logits are stored again');
    else this.#logger?.warn({ folder: this.#folder }, `logits are not stored any more: ${problem}`);
  }

  /** Resolves when nobody is looking. */
  async #settled(): Promise<void> {
    while (this.#refreshing !== undefined) await this.#refreshing.catch(() => undefined);
  }

  #startRefresh(): Promise<void> {
    this.#refreshing = this.#refresh().finally(() => {
      this.#refreshedMs = monotonicMs();
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #refresh(): Promise<void> {
    await this.#files.refresh({
      onRecord: (segment, record, buffer, at) => {
        const key = this.#layout.keyOf(buffer, at);
        if (this.#isNew(key)) this.#add(key, this.#layout.rowOf(buffer, at), segment, record);
      },
      onDamage: (file, record) => this.#noteDamage({ file, record }),
    });
  }

  #refreshSoon(): void {
    if (this.#isClosed || this.#refreshing !== undefined || monotonicMs() - this.#refreshedMs < REFRESH_MS) return;
    this.#startRefresh().catch((error) => this.#noteUnreadable(error));
  }

  /** Whoever asks finds less, and goes on. */
  #noteUnreadable(error: unknown): void {
    const reason = describeError(error);
    if (this.stats.unreadable === reason) return;
    this.stats.unreadable = reason;
    this.#logger?.warn({ folder: this.#folder }, `stored logits cannot be read: ${reason}`);
  }

  #keyAt({ view, ids, partners }: ViewedBatch, index: number): RecordKey {
    return {
      view: this.#hasViews ? view : 0,
      id: ids[index] as number,
      partner: this.#mixes && partners !== null ? (partners[index] as number) : NO_PARTNER,
    };
  }

  /** Whether there can be a row, and none was kept yet. */
  #isWanted(key: RecordKey): boolean {
    return this.#isNew(key) && !this.#pending.has(key);
  }

  /** Whether there can be a row, and none is in a file that has been read. */
  #isNew(key: RecordKey): boolean {
    return this.#index.isPossible(key) && this.#index.find(key.view, key.id, key.partner) < 0;
  }

  #add(key: RecordKey, bytes: Uint8Array, segment: number, record: number): void {
    const row = this.#index.add(key);
    if (!this.#memory.put(row, bytes)) this.#places.add(row, { segment, record });
  }

  /** False when there is no such row. */
  #read(key: RecordKey, rows: Uint8Array, at: number): boolean {
    const row = this.#index.find(key.view, key.id, key.partner);
    if (row < 0) {
      const pending = this.#pending.get(key);
      if (pending !== undefined) rows.set(pending, at);
      return pending !== undefined;
    }
    if (this.#memory.holds(row)) {
      this.#memory.copyTo(row, rows, at);
      return true;
    }
    const { segment, record } = this.#places.of(row);
    const buffer = this.#files.readRecord(segment, record);
    if (buffer === null) {
      this.#index.forget(key);
      this.#noteDamage({ file: this.#files.fileOf(segment), record });
      return false;
    }
    rows.set(this.#layout.rowOf(buffer, 0), at);
    return true;
  }

  #noteDamage(damaged: DamagedRecord): void {
    this.stats.damaged += 1;
    if (this.damage.length < DAMAGE_LISTED_MAX) this.damage.push(damaged);
    if (this.stats.damaged > 1) return;
    const what = damaged.record === null ? 'is none of this cache' : `has a damaged record, number ${damaged.record}`;
    this.#logger?.warn({ file: damaged.file }, `stored logits: ${damaged.file} ${what}; it is left out`);
  }
}
