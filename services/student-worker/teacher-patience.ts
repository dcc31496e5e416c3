/** What a student does without a teacher, and for how long: `distill.withoutTeachers`. */
import { after, monotonicMs } from '../../lib/base/clock.ts';
import { describeError, StillhouseError } from '../../lib/base/errors.ts';
import type { TeacherLogits } from '../../lib/distill/logits/format.ts';
import type { LogitsRequest } from '../../lib/distill/step-inputs.ts';
import type { DistillSpec } from '../../lib/wire/job-spec.ts';
import type { TeacherPool } from './teacher-pool.ts';

export interface TeacherPatienceOptions {
  /** Its name, for messages. */
  readonly teacher: string;
  readonly policy: DistillSpec['withoutTeachers'];
  /** `limits.workerWaitSeconds`. */
  readonly waitSeconds: number;
  /** Whether stored answers may be there to go on with. */
  readonly mayGoOn: boolean;
  readonly pool: TeacherPool;
  /** What is stored of a batch: all of it, or how many of its samples. */
  readonly findStored: (request: LogitsRequest) => TeacherLogits | number;
}

/** A training that may go on without a teacher begins after so long without one. */
const BEGIN_MS = 3_000;
/** A teacher that is only being connected to again is not gone. */
const FAIL_MS = 3_000;
const LOOK_MS = 1_000;

interface Waiter {
  readonly sinceMs: number;
  readonly resolve: () => void;
  readonly reject: (error: StillhouseError) => void;
}

export class TeacherPatience {
  readonly #options: TeacherPatienceOptions;
  readonly #waiters = new Set<Waiter>();
  #hasBegun = false;
  #disarm: (() => void) | undefined;

  constructor(options: TeacherPatienceOptions) {
    this.#options = options;
  }

  /**
   * Resolves when there is a teacher, or none is needed to begin.
   * @throws FAILED_PRECONDITION when no teacher fits; UNAVAILABLE when none comes
   */
  async begin(): Promise<void> {
    const { mayGoOn } = this.#options;
    const disarm = mayGoOn ? after(BEGIN_MS, () => this.#release()) : undefined;
    try {
      await this.#teacher();
      this.#hasBegun = true;
    } finally {
      disarm?.();
    }
    this.look();
  }

  /** To be called when a teacher has come or gone, and when a batch begins to wait. */
  look(): void {
    this.#disarm?.();
    this.#disarm = undefined;
    const { pool } = this.#options;
    if (pool.hasTeacher) {
      this.#release();
      return;
    }
    if (!this.#hasBegun && pool.isHopeless) {
      this.#giveUp(this.#misfit());
      return;
    }
    this.#goOnWithStored();
    const nowMs = monotonicMs();
    const dueMs = this.#dueMs();
    if (nowMs >= dueMs) this.#giveUp(this.#absence(nowMs));
    else if (Number.isFinite(dueMs)) this.#disarm = after(Math.min(LOOK_MS, dueMs - nowMs), () => this.look());
  }

  close(): void {
    this.#disarm?.();
    for (const { reject } of this.#waiters) reject(new StillhouseError('CANCELLED', 'nobody waits any more'));
    this.#waiters.clear();
  }

  #teacher(): Promise<void> {
    if (this.#options.pool.hasTeacher) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.add({ sinceMs: monotonicMs(), resolve, reject });
      this.look();
    });
  }

  #release(): void {
    for (const { resolve } of this.#waiters) resolve();
    this.#waiters.clear();
  }

  #giveUp(error: StillhouseError): void {
    for (const { reject } of this.#waiters) reject(error);
    this.#waiters.clear();
    this.#options.pool.fail(error);
  }

  /** Others may have stored what waits here. */
  #goOnWithStored(): void {
    const { policy, pool, findStored } = this.#options;
    if (policy === 'wait') return;
    for (const { request } of pool.waiting) {
      const stored = findStored(request);
      if (typeof stored !== 'number') pool.answer(request, stored);
    }
  }

  /** When patience ends, if nothing happens; infinite while nobody waits. */
  #dueMs(): number {
    const { policy, waitSeconds, mayGoOn, pool } = this.#options;
    if (!this.#hasBegun && mayGoOn) return Number.POSITIVE_INFINITY;
    const lostMs = pool.lostMs ?? Number.POSITIVE_INFINITY;
    if (policy === 'fail' && this.#hasBegun) return lostMs + FAIL_MS;
    const waiting = [
      ...pool.waiting.map(({ askedMs }) => askedMs),
      ...[...this.#waiters].map(({ sinceMs }) => sinceMs),
    ];
    if (waiting.length === 0) return Number.POSITIVE_INFINITY;
    return Math.max(lostMs, Math.min(...waiting)) + waitSeconds * 1000;
  }

  #absence(nowMs: number): StillhouseError {
    const { teacher, policy, pool, findStored } = this.#options;
    const seconds = Math.round((nowMs - (pool.lostMs ?? nowMs)) / 1000);
    const [first] = pool.waiting;
    const parts = [
      `no worker serves teacher "${teacher}" since ${seconds} s, and distill.withoutTeachers is ${policy}`,
    ];
    if (first !== undefined) {
      const { step, lane, ids } = first.request;
      const stored = findStored(first.request);
      const count = typeof stored === 'number' ? stored : ids.length;
      parts.push(
        `of the batch that is needed next (step ${step + 1}, lane ${lane}) ${count} of ${ids.length} samples are cached`,
      );
    }
    return new StillhouseError('UNAVAILABLE', [...parts, ...this.#reasons()].join('; '), {
      field: 'distill.withoutTeachers',
      hint: 'start a teacher-worker; a longer limits.workerWaitSeconds waits longer for it',
    });
  }

  #misfit(): StillhouseError {
    return new StillhouseError('FAILED_PRECONDITION', this.#reasons().join('; '), { field: 'teachers' });
  }

  #reasons(): string[] {
    return this.#options.pool.troubles.map(describeError);
  }
}
