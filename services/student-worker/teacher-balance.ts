/**
 * Decides which teacher answers which batch. Pure: events and the time go in, effects come out.
 *
 * A batch goes where it will be answered first, but is bound late: what a teacher could only take behind much other work
 * waits here. (Elastic Deep Learning's distillation readers bind late too: its students' senders draw batches from one queue,
 * and put back what a lost teacher had.) A student that has nothing to do moves a batch that waits at one teacher while another
 * is idle; one that is overdue is sent to a second teacher, and the first answer counts.
 */
import { StillhouseError } from '../../lib/base/errors.ts';
import type { BalanceOptions, Effect, Refusal } from './balance-events.ts';
import { BatchDispatch } from './batch-dispatch.ts';
import { OpenBatch, OpenBatches } from './open-batches.ts';
import { isFailing, isGivenUp, isGivenUpAfterCuts, isTransient, pauseMs } from './teacher-faults.ts';
import { type BatchKey, type ReportedLoad, stepAndLane, type TeacherLoad } from './teacher-load.ts';
import { type KnownTeacher, TeacherSet } from './teacher-set.ts';

/** A teacher that is full is asked again after this time, where it does not say when. */
const RETRY_MS = 100;

export class TeacherBalance {
  /** Live. */
  readonly counters = { batchesResent: 0, duplicateAnswers: 0 };
  readonly #teachers: TeacherSet;
  readonly #batches = new OpenBatches();
  readonly #dispatch: BatchDispatch;
  /** The one that is trained next; before the first is known, all are needed at once. */
  #step = Number.POSITIVE_INFINITY;
  readonly #effects: Effect[] = [];

  constructor(options: BalanceOptions) {
    this.#teachers = new TeacherSet(options);
    this.#dispatch = new BatchDispatch(this.#teachers, this.#batches, this.#effects, this.counters);
  }

  /** Teachers that can answer now, as far as they have not failed again and again. */
  get openTeachers(): number {
    return this.#teachers.open.filter(({ trust }) => !trust.isGone).length;
  }

  /** Whether a teacher has failed since its latest answer. */
  hasFailed(id: string): boolean {
    return this.#teachers.get(id)?.trust.hasFailed === true;
  }

  /** Batches without an answer, the one that is needed first at the front. */
  get waiting(): readonly BatchKey[] {
    return this.#batches.keys();
  }

  /** The teachers that there are from now on, all of them. Those that are gone answer what they have. */
  list(teachers: readonly string[], nowMs: number): readonly Effect[] {
    for (const id of teachers) {
      const known = this.#teachers.get(id);
      if (known === undefined) this.#connect(id);
      else if (!known.load.listed) {
        known.load.listed = true;
        if (known.load.state === 'draining') known.load.state = 'open';
      }
    }
    for (const { id, load } of this.#teachers.all) {
      if (teachers.includes(id)) continue;
      load.listed = false;
      if (load.state === 'open') load.state = 'draining';
    }
    return this.#settle(nowMs);
  }

  opened(id: string, credits: number, reported: ReportedLoad | null, nowMs: number): readonly Effect[] {
    const load = this.#teachers.get(id)?.load;
    if (load === undefined) return [];
    load.reset();
    load.state = 'open';
    load.credits = credits;
    this.#report(load, reported, nowMs);
    return this.#settle(nowMs);
  }

  add(key: BatchKey, samples: number, nowMs: number): readonly Effect[] {
    this.#batches.add(new OpenBatch(key, samples));
    return this.#settle(nowMs);
  }

  /** All steps before this one have been trained. */
  reached(step: number, nowMs: number): readonly Effect[] {
    this.#step = step;
    return this.#settle(nowMs);
  }

  /** An answer is wanted no more. */
  withdraw(key: BatchKey, nowMs: number): readonly Effect[] {
    const batch = this.#batches.get(key);
    if (batch !== undefined) {
      this.#batches.delete(batch);
      for (const holder of batch.holders) this.#cancel(holder, key);
    }
    return this.#settle(nowMs);
  }

  /** @param computed whether the teacher had to compute any of it */
  answered(
    id: string,
    key: BatchKey,
    computed: boolean,
    reported: ReportedLoad | null,
    nowMs: number,
  ): readonly Effect[] {
    const teacher = this.#teachers.get(id);
    const sent = teacher?.load.take(key);
    if (teacher !== undefined) {
      const { load, trust } = teacher;
      load.breaks = 0;
      trust.answered();
      if (sent !== undefined && computed) load.measure(sent, nowMs);
      this.#report(load, reported, nowMs);
    }
    const batch = this.#batches.get(key);
    if (batch === undefined) this.counters.duplicateAnswers += 1;
    else {
      this.#batches.delete(batch);
      this.#effects.push({ type: 'deliver', key });
      for (const holder of batch.holders) if (holder !== id) this.#cancel(holder, key);
    }
    return this.#settle(nowMs);
  }

  /** A teacher has answered twice. */
  repeated(): void {
    this.counters.duplicateAnswers += 1;
  }

  refused(id: string, key: BatchKey, refusal: Refusal, nowMs: number): readonly Effect[] {
    const teacher = this.#teachers.get(id);
    const sent = teacher?.load.take(key);
    const { code, message, retryAfterMs } = refusal;
    if (teacher !== undefined && code === 'RESOURCE_EXHAUSTED') {
      teacher.load.notBeforeMs = nowMs + (retryAfterMs > 0 ? retryAfterMs : RETRY_MS);
    }
    const batch = this.#batches.get(key);
    if (batch?.holders.delete(id) && sent !== undefined) {
      if (!isTransient(code)) this.#countFailure(batch, id, new StillhouseError(code, message));
      this.#batches.release(batch);
    }
    if (teacher !== undefined && isFailing(teacher, code, nowMs)) this.#break(teacher, refusal, nowMs);
    return this.#settle(nowMs);
  }

  loaded(id: string, reported: ReportedLoad, nowMs: number): readonly Effect[] {
    const load = this.#teachers.get(id)?.load;
    if (load !== undefined) {
      this.#report(load, reported, nowMs);
      if (reported.queuedSamples > 0 && !reported.draining) load.busy();
    }
    return this.#settle(nowMs);
  }

  /** A teacher has others to compute before a batch. */
  waits(id: string, key: BatchKey, reported: ReportedLoad, nowMs: number): readonly Effect[] {
    this.#teachers.get(id)?.load.waiting(key, reported, nowMs);
    return this.#settle(nowMs);
  }

  /** The turn of a batch that had to wait has come. */
  begun(id: string, key: BatchKey, nowMs: number): readonly Effect[] {
    this.#teachers.get(id)?.load.begun(key, nowMs);
    return this.#settle(nowMs);
  }

  /** The stream to a teacher has ended, or did not come about. */
  ended(id: string, error: StillhouseError, nowMs: number): readonly Effect[] {
    const teacher = this.#teachers.get(id);
    if (teacher === undefined) return [];
    if (teacher.load.sent.size > 0) teacher.trust.failed();
    this.#lose(id, isTransient(error.code) ? null : error);
    if (!teacher.load.listed) this.#teachers.delete(id);
    else leaveAlone(teacher, { code: error.code, retryAfterMs: 0 }, nowMs);
    return this.#settle(nowMs);
  }

  tick(nowMs: number): readonly Effect[] {
    for (const { id, load, brokenUntilMs } of this.#teachers.all) {
      if (load.state !== 'broken' || nowMs < brokenUntilMs) continue;
      load.state = 'connecting';
      this.#effects.push({ type: 'open', teacher: id });
    }
    for (const key of this.#batches.keys()) this.#dispatch.resendOverdue(key, nowMs);
    return this.#settle(nowMs);
  }

  /** When `tick` is due at the latest; infinite: never. */
  nextTickMs(nowMs: number): number {
    let dueMs = this.#batches.firstOverdueMs();
    const holds = this.#batches.hasUnsent();
    for (const { load, brokenUntilMs } of this.#teachers.all) {
      if (load.state === 'broken') dueMs = Math.min(dueMs, brokenUntilMs);
      else if (holds && load.state === 'open' && load.notBeforeMs > nowMs) dueMs = Math.min(dueMs, load.notBeforeMs);
    }
    return dueMs;
  }

  #connect(id: string): void {
    this.#teachers.add(id);
    this.#effects.push({ type: 'open', teacher: id });
  }

  /** Lets teachers that are no longer listed go when they have nothing more to answer. */
  #retire(): void {
    for (const { id, load } of this.#teachers.all) {
      if (load.listed || (load.state === 'draining' && load.ownSamples() > 0)) continue;
      this.#teachers.delete(id);
      if (load.state !== 'broken') this.#effects.push({ type: 'close', teacher: id });
    }
  }

  #report(load: TeacherLoad, reported: ReportedLoad | null, nowMs: number): void {
    if (reported === null) return;
    load.report(reported, nowMs);
    if (reported.draining && load.state === 'open') load.state = 'draining';
  }

  /** What a teacher had goes back. */
  #lose(id: string, fault: StillhouseError | null): void {
    const load = this.#teachers.get(id)?.load;
    const sent = [...(load?.sent.keys() ?? [])];
    load?.reset();
    for (const key of sent) {
      const batch = this.#batches.get(key);
      if (!batch?.holders.delete(id)) continue;
      if (fault !== null) this.#countCut(batch, id, fault);
      this.#batches.release(batch);
    }
  }

  #break(teacher: KnownTeacher, refusal: Refusal, nowMs: number): void {
    if (teacher.load.state === 'broken') return;
    teacher.trust.failed();
    this.#lose(teacher.id, null);
    leaveAlone(teacher, refusal, nowMs);
    this.#effects.push({ type: 'close', teacher: teacher.id });
  }

  #countFailure(batch: OpenBatch, id: string, error: StillhouseError): void {
    batch.failures += 1;
    batch.failedAt.add(id);
    batch.refusedBy.add(id);
    const listed = this.#teachers.all.filter(({ load }) => load.listed).map((teacher) => teacher.id);
    if (isGivenUp(batch, listed, error.code)) this.#giveUp(batch, error);
  }

  /** @param error about the stream that it was on */
  #countCut(batch: OpenBatch, id: string, error: StillhouseError): void {
    batch.cuts += 1;
    batch.failedAt.add(id);
    if (!isGivenUpAfterCuts(batch)) return;
    const { step, lane } = stepAndLane(batch.key);
    const what = `a batch of step ${step + 1}, lane ${lane}, was on ${batch.cuts} streams that failed, at last`;
    this.#giveUp(batch, new StillhouseError(error.code, `${what}: ${error.message}`, { cause: error }));
  }

  #giveUp(batch: OpenBatch, error: StillhouseError): void {
    this.#batches.delete(batch);
    for (const holder of batch.holders) this.#cancel(holder, batch.key);
    this.#effects.push({ type: 'fail', key: batch.key, error });
  }

  #cancel(id: string, key: BatchKey): void {
    this.#dispatch.cancel(id, key);
  }

  #settle(nowMs: number): readonly Effect[] {
    this.#dispatch.sendUnsent(nowMs);
    const [first] = this.#batches.keys();
    // What is needed later only would be in the way of other students.
    if (first !== undefined && stepAndLane(first).step <= this.#step) this.#dispatch.useIdle(nowMs);
    this.#retire();
    return this.#effects.splice(0);
  }
}

function leaveAlone(
  teacher: KnownTeacher,
  { code, retryAfterMs }: Pick<Refusal, 'code' | 'retryAfterMs'>,
  nowMs: number,
): void {
  teacher.load.state = 'broken';
  teacher.brokenUntilMs = nowMs + pauseMs(code, teacher.load.breaks, retryAfterMs);
  teacher.load.breaks += 1;
}
