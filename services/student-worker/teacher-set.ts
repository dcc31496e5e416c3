/** The teachers that a student knows, and which of them would answer a batch first. Pure. */
import type { BalanceOptions } from './balance-events.ts';
import type { OpenBatch } from './open-batches.ts';
import { TeacherLoad } from './teacher-load.ts';
import { TeacherTrust } from './teacher-trust.ts';

export interface KnownTeacher {
  readonly id: string;
  readonly load: TeacherLoad;
  readonly trust: TeacherTrust;
  /** While it is broken: when it is tried again. */
  brokenUntilMs: number;
}

export class TeacherSet {
  readonly #options: BalanceOptions;
  readonly #byId = new Map<string, KnownTeacher>();

  constructor(options: BalanceOptions) {
    this.#options = options;
  }

  get all(): readonly KnownTeacher[] {
    return [...this.#byId.values()];
  }

  /** Those that take batches, in the order in which this student asks where they are equal. */
  get open(): readonly KnownTeacher[] {
    const open = this.all.filter(({ load }) => load.state === 'open');
    const { place, students } = this.#options;
    const first = Math.floor((place * open.length) / students);
    return [...open.slice(first), ...open.slice(0, first)];
  }

  /** Samples a millisecond of one, of those whose speed is known; 0 where none is. */
  get meanPerMs(): number {
    let sum = 0;
    let count = 0;
    for (const { load } of this.#byId.values()) {
      if (load.knownPerMs === 0) continue;
      sum += load.knownPerMs;
      count += 1;
    }
    return count === 0 ? 0 : sum / count;
  }

  get(id: string): KnownTeacher | undefined {
    return this.#byId.get(id);
  }

  add(id: string): void {
    this.#byId.set(id, { id, load: new TeacherLoad(), trust: new TeacherTrust(), brokenUntilMs: 0 });
  }

  delete(id: string): void {
    this.#byId.delete(id);
  }

  /** Those that have said that they have nothing to do, and can be sent something. */
  idle(nowMs: number): readonly KnownTeacher[] {
    const { meanPerMs } = this;
    return this.open.filter(({ load }) => load.isIdle && load.takes(1, meanPerMs, nowMs));
  }

  /** Of idle ones, where a batch would be answered first; null where it has failed at all of them. */
  earliestIdle(batch: OpenBatch, nowMs: number): KnownTeacher | null {
    const able = this.idle(nowMs).filter(({ id }) => !batch.failedAt.has(id));
    return this.#first(able, batch.samples, new Map(), nowMs);
  }

  /**
   * Where a batch would be answered first, whether it can be sent yet or not: rather where it has not failed.
   * @param planned samples that are to come before it, by teacher
   */
  earliest(batch: OpenBatch, planned: ReadonlyMap<string, number>, nowMs: number): KnownTeacher | null {
    // Where a cancelled copy is on its way back, a second one could not be told from it.
    const able = this.open.filter(({ load }) => !load.sent.has(batch.key));
    const fresh = able.filter(({ id }) => !batch.failedAt.has(id));
    return this.#first(fresh.length > 0 ? fresh : able, batch.samples, planned, nowMs);
  }

  /** Where a second copy of a batch would be answered first, of those that can take it now. */
  spare(batch: OpenBatch, nowMs: number): KnownTeacher | null {
    const { meanPerMs } = this;
    const able = this.open.filter(
      ({ id, load }) =>
        !load.sent.has(batch.key) && !batch.failedAt.has(id) && load.takes(batch.samples, meanPerMs, nowMs),
    );
    return this.#first(able, batch.samples, new Map(), nowMs);
  }

  #first(
    teachers: readonly KnownTeacher[],
    samples: number,
    planned: ReadonlyMap<string, number>,
    nowMs: number,
  ): KnownTeacher | null {
    const { meanPerMs } = this;
    let first: KnownTeacher | null = null;
    let firstMs = Number.POSITIVE_INFINITY;
    for (const teacher of teachers) {
      const finishMs = teacher.load.finishMs((planned.get(teacher.id) ?? 0) + samples, meanPerMs, nowMs);
      if (finishMs >= firstMs) continue;
      first = teacher;
      firstMs = finishMs;
    }
    return first;
  }
}
