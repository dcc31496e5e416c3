/**
 * Which batches a teacher-worker computes next: those whose students starve first. A pure core: whoever uses it tells it the
 * time, on one monotonic clock.
 *
 * Batches are taken in the order of when they are needed, `arrival + min(neededInMs, NEED_MAX_MS)`. What has waited for
 * `NEED_MAX_MS` stands before everything that comes in later, so nothing starves, whatever others say they need.
 */
import { SortedList } from '../../lib/base/sorted-list.ts';
import { ServingRate } from './serving-rate.ts';

export interface QueueLimits {
  /** Samples that wait or are being computed. */
  readonly samples: number;
  /** Of the messages that they came in. */
  readonly bytes: number;
}

/** How long batches wait for others to be computed together with. */
export interface Merging {
  /** What is computed at once, at most. */
  readonly samples: number;
  readonly delayMs: number;
}

export interface OfferedBatch<Work> {
  /** Names what may be computed together: one model, images of one shape. */
  readonly group: string;
  /** Null: each batch is computed by itself. The same for all batches of a group. */
  readonly merging: Merging | null;
  readonly samples: number;
  readonly bytes: number;
  /** Milliseconds until somebody waits for it. */
  readonly neededInMs: number;
  /** Milliseconds after which nobody wants it any more; 0: never. */
  readonly deadlineMs: number;
  readonly work: Work;
}

export interface QueuedBatch<Work> extends OfferedBatch<Work> {
  /** In the order of arrival. */
  readonly sequence: number;
  readonly arrivedAtMs: number;
  readonly neededAtMs: number;
  /** Infinite without a deadline. */
  readonly expiresAtMs: number;
}

export type Offer<Work> = { readonly taken: QueuedBatch<Work> } | { readonly retryAfterMs: number };

export interface Turn<Work> {
  /** Left the queue because nobody wants them any more. */
  readonly expired: readonly QueuedBatch<Work>[];
  /** To be computed now, together; empty when there is nothing to do yet. `finished` must follow. */
  readonly unit: readonly QueuedBatch<Work>[];
  /** When to ask again if nothing else happens; null when nothing waits for a time. */
  readonly wakeAtMs: number | null;
}

/** More slack than this counts as this. */
export const NEED_MAX_MS = 10_000;

const RETRY_UNKNOWN_MS = 200;
const RETRY_MIN_MS = 10;
const RETRY_MAX_MS = 5_000;

interface Group<Work> {
  readonly merging: Merging | null;
  readonly byNeed: SortedList<QueuedBatch<Work>>;
  /** In the order of arrival. */
  readonly byArrival: Set<QueuedBatch<Work>>;
  samples: number;
}

export class BatchQueue<Work> {
  readonly #limits: QueueLimits;
  readonly #groups = new Map<string, Group<Work>>();
  readonly #byExpiry = new SortedList<QueuedBatch<Work>>(expiresBefore);
  readonly #rate = new ServingRate();
  readonly #underway = new Set<QueuedBatch<Work>>();
  #sequence = 0;
  #samples = 0;
  #bytes = 0;
  #nowMs = Number.NEGATIVE_INFINITY;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  /** Samples that wait or are being computed. */
  get samples(): number {
    return this.#samples;
  }

  /** Samples a second while there is something to do; 0 while unknown. */
  get samplesPerSecond(): number {
    return this.#rate.samplesPerSecond;
  }

  /** A batch that is larger than the limits is taken when there is nothing else. */
  offer(batch: OfferedBatch<Work>, atMs: number): Offer<Work> {
    const nowMs = this.#advance(atMs);
    const { samples, bytes } = this.#limits;
    const excess = this.#samples + batch.samples - samples;
    const isFull = excess > 0 || this.#bytes + batch.bytes > bytes;
    if (this.#samples > 0 && isFull) return { retryAfterMs: this.#retryAfter(Math.max(excess, batch.samples)) };
    const queued: QueuedBatch<Work> = {
      ...batch,
      sequence: this.#sequence++,
      arrivedAtMs: nowMs,
      neededAtMs: nowMs + Math.min(batch.neededInMs, NEED_MAX_MS),
      expiresAtMs: batch.deadlineMs === 0 ? Number.POSITIVE_INFINITY : nowMs + batch.deadlineMs,
    };
    const group = this.#groupOf(batch);
    group.byNeed.add(queued);
    group.byArrival.add(queued);
    group.samples += batch.samples;
    if (batch.deadlineMs > 0) this.#byExpiry.add(queued);
    this.#samples += batch.samples;
    this.#bytes += batch.bytes;
    return { taken: queued };
  }

  /** Whether the batch was still waiting; it is forgotten then. */
  cancel(batch: QueuedBatch<Work>): boolean {
    const isWaiting = this.#remove(batch);
    if (isWaiting) this.#release(batch);
    return isWaiting;
  }

  /** A batch of a unit is taken out of it again: `finished` still follows for the unit. */
  takeBack(batch: QueuedBatch<Work>): void {
    if (this.#underway.delete(batch)) this.#release(batch);
  }

  /** The next batches to compute, where some are due. @param mayBegin false: only those that expire leave the queue */
  take(atMs: number, mayBegin: boolean): Turn<Work> {
    const nowMs = this.#advance(atMs);
    const expired = this.#expire(nowMs);
    const { group, readyAtMs } = mayBegin ? this.#nextGroup(nowMs) : NO_GROUP;
    const unit = group === null ? [] : this.#unitOf(group);
    if (unit.length > 0) this.#rate.began(nowMs);
    for (const batch of unit) this.#underway.add(batch);
    const wakeAtMs = Math.min(readyAtMs, this.#byExpiry.items[0]?.expiresAtMs ?? Number.POSITIVE_INFINITY);
    return { expired, unit, wakeAtMs: Number.isFinite(wakeAtMs) ? wakeAtMs : null };
  }

  /** The unit is computed, or has failed: only what is computed counts for the rate. */
  finished(unit: readonly QueuedBatch<Work>[], computedSamples: number, atMs: number): void {
    const nowMs = this.#advance(atMs);
    for (const batch of unit) {
      if (this.#underway.delete(batch)) this.#release(batch);
    }
    this.#rate.ended(computedSamples, nowMs);
  }

  #advance(atMs: number): number {
    this.#nowMs = Math.max(this.#nowMs, atMs);
    return this.#nowMs;
  }

  #retryAfter(samples: number): number {
    const { samplesPerSecond } = this.#rate;
    if (samplesPerSecond === 0) return RETRY_UNKNOWN_MS;
    const freeInMs = Math.round((samples / samplesPerSecond) * 1000);
    return Math.min(RETRY_MAX_MS, Math.max(RETRY_MIN_MS, freeInMs));
  }

  #groupOf({ group: name, merging }: OfferedBatch<Work>): Group<Work> {
    const known = this.#groups.get(name);
    if (known !== undefined) return known;
    const byNeed = new SortedList<QueuedBatch<Work>>(isNeededBefore);
    const group = { merging, byNeed, byArrival: new Set<QueuedBatch<Work>>(), samples: 0 };
    this.#groups.set(name, group);
    return group;
  }

  /** Of those that need not wait for others, the one with the batch that is needed first; and when another one is ready. */
  #nextGroup(nowMs: number): { readonly group: Group<Work> | null; readonly readyAtMs: number } {
    let group: Group<Work> | null = null;
    let readyAtMs = Number.POSITIVE_INFINITY;
    for (const candidate of this.#groups.values()) {
      const candidateMs = readyAt(candidate);
      if (candidateMs > nowMs) readyAtMs = Math.min(readyAtMs, candidateMs);
      else if (group === null || isBefore(candidate, group)) group = candidate;
    }
    return { group, readyAtMs };
  }

  #expire(nowMs: number): QueuedBatch<Work>[] {
    const expired: QueuedBatch<Work>[] = [];
    for (;;) {
      const [first] = this.#byExpiry.items;
      if (first === undefined || first.expiresAtMs > nowMs) return expired;
      this.cancel(first);
      expired.push(first);
    }
  }

  /** Those that are needed first, as many as fit. */
  #unitOf({ byNeed, merging }: Group<Work>): QueuedBatch<Work>[] {
    const unit: QueuedBatch<Work>[] = [];
    let samples = 0;
    for (;;) {
      const [first] = byNeed.items;
      if (first === undefined || (unit.length > 0 && samples + first.samples > (merging?.samples ?? 0))) return unit;
      this.#remove(first);
      unit.push(first);
      samples += first.samples;
    }
  }

  #remove(batch: QueuedBatch<Work>): boolean {
    const group = this.#groups.get(batch.group);
    if (group === undefined || !group.byArrival.delete(batch)) return false;
    group.byNeed.remove(batch);
    group.samples -= batch.samples;
    if (batch.deadlineMs > 0) this.#byExpiry.remove(batch);
    if (group.byArrival.size === 0) this.#groups.delete(batch.group);
    return true;
  }

  #release({ samples, bytes }: QueuedBatch<Work>): void {
    this.#samples -= samples;
    this.#bytes -= bytes;
  }
}

const NO_GROUP = { group: null, readyAtMs: Number.POSITIVE_INFINITY };

/** Groups that have nothing are not kept. */
function readyAt<Work>({ merging, samples, byArrival }: Group<Work>): number {
  if (merging === null || samples >= merging.samples) return Number.NEGATIVE_INFINITY;
  const [oldest] = byArrival as Iterable<QueuedBatch<Work>> as [QueuedBatch<Work>];
  return oldest.arrivedAtMs + merging.delayMs;
}

function isBefore<Work>(group: Group<Work>, other: Group<Work>): boolean {
  return isNeededBefore(group.byNeed.items[0] as QueuedBatch<Work>, other.byNeed.items[0] as QueuedBatch<Work>);
}

/** Of those that are needed at once, the one that came first. */
function isNeededBefore(one: QueuedBatch<unknown>, other: QueuedBatch<unknown>): boolean {
  return one.neededAtMs < other.neededAtMs || (one.neededAtMs === other.neededAtMs && one.sequence < other.sequence);
}

function expiresBefore(one: QueuedBatch<unknown>, other: QueuedBatch<unknown>): boolean {
  return (
    one.expiresAtMs < other.expiresAtMs || (one.expiresAtMs === other.expiresAtMs && one.sequence < other.sequence)
  );
}
