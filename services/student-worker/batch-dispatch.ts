/** Sends batches to teachers, moves them and takes them back, as `TeacherBalance` sees fit. Pure: what is to be done is noted. */
import type { Effect } from './balance-events.ts';
import { nextMove } from './batch-moves.ts';
import type { OpenBatch, OpenBatches } from './open-batches.ts';
import type { BatchKey, TeacherLoad } from './teacher-load.ts';
import type { TeacherSet } from './teacher-set.ts';

/** Overdue is what takes so many times longer than expected, and at least so long. */
const OVERDUE_FACTOR = 4;
const OVERDUE_MS_MIN = 2_000;
/** As long as nobody has measured a teacher's speed: its first batch may have to be compiled for. */
const OVERDUE_MS_UNKNOWN = 10_000;

export class BatchDispatch {
  readonly #teachers: TeacherSet;
  readonly #batches: OpenBatches;
  readonly #effects: Effect[];
  readonly #counters: { batchesResent: number };

  /**
   * @param effects what is to be done is appended to it
   * @param counters are counted on
   */
  constructor(teachers: TeacherSet, batches: OpenBatches, effects: Effect[], counters: { batchesResent: number }) {
    this.#teachers = teachers;
    this.#batches = batches;
    this.#effects = effects;
    this.#counters = counters;
  }

  /**
   * Every batch, in order of need, goes to a teacher that has nothing to do; else it takes the place where it would be answered
   * first, and where the teacher cannot take it yet it stays here, and those after it count with it.
   */
  sendUnsent(nowMs: number): void {
    if (!this.#batches.hasUnsent()) return;
    const planned = new Map<string, number>();
    const { open, meanPerMs } = this.#teachers;
    for (const key of [...this.#batches.unsent()]) {
      if (planned.size === open.length) return;
      const batch = this.#batches.get(key) as OpenBatch;
      const best = this.#teachers.earliestIdle(batch, nowMs) ?? this.#teachers.earliest(batch, planned, nowMs);
      if (best === null) continue;
      const { id, load } = best;
      const before = planned.get(id);
      if (before === undefined && load.takes(batch.samples, meanPerMs, nowMs)) this.#send(batch, id, nowMs);
      else planned.set(id, (before ?? 0) + batch.samples);
    }
  }

  /** Gives idle teachers what waits at others: it is given up there, unless its turn has come by then. */
  useIdle(nowMs: number): void {
    for (;;) {
      const move = nextMove(this.#batches, this.#teachers, nowMs);
      if (move === null) return;
      const { batch, from, to } = move;
      if (from !== null) {
        this.cancel(from, batch.key);
        batch.holders.delete(from);
      }
      this.#send(batch, to, nowMs);
    }
  }

  resendOverdue(key: BatchKey, nowMs: number): void {
    const batch = this.#batches.get(key);
    if (batch === undefined || nowMs < batch.overdueMs || batch.holders.size === 0) return;
    for (const holder of batch.holders) {
      const load = this.#teachers.get(holder)?.load;
      const sent = load?.sent.get(key);
      if (sent !== undefined) load?.slowerThan(sent, nowMs);
    }
    const best = this.#teachers.spare(batch, nowMs);
    batch.allowanceMs *= 2;
    batch.overdueMs = nowMs + batch.allowanceMs;
    if (best !== null) this.#send(batch, best.id, nowMs);
  }

  /** Its answer may come all the same. */
  cancel(id: string, key: BatchKey): void {
    const sent = this.#teachers.get(id)?.load.sent.get(key);
    if (sent === undefined || sent.cancelled) return;
    sent.cancelled = true;
    this.#effects.push({ type: 'cancel', teacher: id, key });
  }

  #send(batch: OpenBatch, id: string, nowMs: number): void {
    const load = this.#teachers.get(id)?.load as TeacherLoad;
    const { expectedMs } = load.send(batch.key, batch.samples, this.#teachers.meanPerMs, nowMs);
    if (batch.wasSent) this.#counters.batchesResent += 1;
    const leastMs = load.knownPerMs > 0 ? OVERDUE_MS_MIN : OVERDUE_MS_UNKNOWN;
    const allowanceMs = Math.max(leastMs, OVERDUE_FACTOR * expectedMs, batch.allowanceMs);
    this.#batches.sent(batch, id, nowMs, allowanceMs);
    // Where it is sent again, the first teacher need not compute it any more when it wakes up.
    const deadlineMs = this.#teachers.all.length > 1 ? 2 * allowanceMs : 0;
    this.#effects.push({ type: 'send', teacher: id, key: batch.key, deadlineMs });
  }
}
