/** The batches that have no answer, in the order in which they are needed. */
import { SortedList } from '../../lib/base/sorted-list.ts';
import type { BatchKey } from './teacher-load.ts';

export class OpenBatch {
  readonly key: BatchKey;
  readonly samples: number;
  /** Teachers that have it and whose answer is wanted. */
  readonly holders = new Set<string>();
  /** Teachers that failed while they had it. */
  readonly failedAt = new Set<string>();
  /** Those of them that failed at this batch. */
  readonly refusedBy = new Set<string>();
  /** By teachers that were asked for it and not able to answer it. */
  failures = 0;
  /** Streams that have failed while it was on them: whether it was the cause is not known. */
  cuts = 0;
  wasSent = false;
  /** What it is given from sending on, and when that is over. */
  allowanceMs = 0;
  overdueMs = Number.POSITIVE_INFINITY;

  constructor(key: BatchKey, samples: number) {
    this.key = key;
    this.samples = samples;
  }
}

export class OpenBatches {
  readonly #all = new Map<BatchKey, OpenBatch>();
  readonly #keys = new SortedList<BatchKey>(isBefore);
  /** Of those that no teacher has. */
  readonly #unsent = new SortedList<BatchKey>(isBefore);

  add(batch: OpenBatch): void {
    this.#all.set(batch.key, batch);
    this.#keys.add(batch.key);
    this.#unsent.add(batch.key);
  }

  get(key: BatchKey): OpenBatch | undefined {
    return this.#all.get(key);
  }

  delete(batch: OpenBatch): void {
    const { key } = batch;
    this.#all.delete(key);
    this.#keys.remove(key);
    this.#unsent.remove(key);
  }

  keys(): readonly BatchKey[] {
    return this.#keys.items;
  }

  unsent(): readonly BatchKey[] {
    return this.#unsent.items;
  }

  hasUnsent(): boolean {
    return this.#unsent.items.length > 0;
  }

  sent(batch: OpenBatch, teacher: string, nowMs: number, allowanceMs: number): void {
    batch.holders.add(teacher);
    batch.wasSent = true;
    batch.allowanceMs = allowanceMs;
    batch.overdueMs = nowMs + allowanceMs;
    this.#unsent.remove(batch.key);
  }

  /** It is to be sent again if no teacher has it any more. */
  release(batch: OpenBatch): void {
    const { key, holders } = batch;
    if (holders.size === 0 && this.#all.has(key)) this.#unsent.add(key);
  }

  /** Infinite where no teacher has any. */
  firstOverdueMs(): number {
    let firstMs = Number.POSITIVE_INFINITY;
    for (const { holders, overdueMs } of this.#all.values())
      if (holders.size > 0) firstMs = Math.min(firstMs, overdueMs);
    return firstMs;
  }
}

function isBefore(key: BatchKey, other: BatchKey): boolean {
  return key < other;
}
