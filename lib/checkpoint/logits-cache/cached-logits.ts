/** Stored logits as teachers and students use them. */
import type { Logger } from '../../base/log.ts';
import type { LogitsFormat } from '../../distill/logits/format.ts';
import type { MemoryBudget } from './row-memory.ts';
import type { ViewedBatch } from './segment-format.ts';

export interface LogitsCacheOptions {
  /** Whether `keep` stores. */
  readonly writes: boolean;
  /** Of all namespaces together; default 32 GiB. */
  readonly bytesMax?: number;
  /** For rows; those that it has no room for are read when they are asked for. Default: what all caches of the process share. */
  readonly memory?: MemoryBudget;
  /** How often it is seen whether there is room again, or whatever it was that ended storing; default a minute. */
  readonly retryMs?: number;
  readonly logger?: Logger;
  /** Whether this counts as a use of the namespace; default true. */
  readonly isUse?: boolean;
}

export interface CacheStats {
  /** Samples that were asked for and found, or not. */
  hits: number;
  misses: number;
  /** Rows that this process has stored. */
  rowsStored: number;
  /** Records that are not as they were written. */
  damaged: number;
  /** Why nothing is stored at present; null while it is. */
  problem: string | null;
  /** Why files could not be read the last time that this failed; null while all could. */
  unreadable: string | null;
}

export interface DamagedRecord {
  readonly file: string;
  /** Null: the file's header, and so all of it. */
  readonly record: number | null;
}

/** The stored logits of one recipe. */
export interface CachedLogits {
  readonly format: LogitsFormat;
  /** Rows of the recipe's format, as many as ids; those of `missing`, indices into the ids, are zeros. */
  lookup(batch: ViewedBatch): { rows: Uint8Array; missing: readonly number[] };
  /** Indices into the ids of those that are not stored. Counts as no question. */
  missing(batch: ViewedBatch): number[];
  /**
   * Stores what is not stored yet; it is found from now on, unless it cannot be stored.
   * @param rows as `lookup` answers them, all of the batch
   */
  keep(batch: ViewedBatch, rows: Uint8Array): void;
  /** Resolves when what was kept is in the file, or it was seen that it cannot be. */
  flush(): Promise<void>;
  /** Looks now for what others have stored, which `lookup` does by itself a few times a second. */
  refresh(): Promise<void>;
  close(): Promise<void>;
  readonly stats: Readonly<CacheStats>;
}
