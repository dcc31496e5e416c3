/** What one student knows about one teacher: what it has sent there, and how soon more would be answered. Pure. */

/** A batch's place in the order in which batches are needed: the lower comes first. */
export type BatchKey = number;

/** More than any job has. */
const LANES_MAX = 4096;

export function batchKey(step: number, lane: number): BatchKey {
  return step * LANES_MAX + lane;
}

export function stepAndLane(key: BatchKey): { step: number; lane: number } {
  return { step: Math.floor(key / LANES_MAX), lane: key % LANES_MAX };
}

/** How busy a teacher says that it is; see `Load`. */
export interface ReportedLoad {
  readonly queuedSamples: number;
  /** 0 while unknown. */
  readonly samplesPerSecond: number;
  readonly draining: boolean;
}

/**
 * `open` takes batches; `draining` answers what it has, of its own will or since it is no longer listed; `broken` is left alone
 * for a while.
 */
export type TeacherState = 'connecting' | 'open' | 'draining' | 'broken';

/** A batch that a teacher has, as far as this student knows. */
export interface SentBatch {
  readonly samples: number;
  readonly sentMs: number;
  /** Samples that were before it when it was sent, and its own. */
  readonly queuedSamples: number;
  readonly expectedMs: number;
  /** Samples that were before it there, when it was last told. */
  ahead: { samples: number; atMs: number };
  /** Others are before it: the teacher has said so, or was busy when it was sent. */
  waits: boolean;
  /** Where it does not wait: since when it is computed, as far as is known. */
  begunMs: number;
  /** No answer is wanted any more; its credit has not come back. */
  cancelled: boolean;
}

/** Share of a new measurement in the running mean. */
const EWMA_SHARE = 0.25;
/** Work is bound to a teacher so far ahead, but a second batch always: it travels while the first is computed. */
const BOUND_AHEAD_MS = 50;
const BATCHES_ALWAYS = 2;
/** An idle teacher's measurement holds for so long, and for as long as it would take to compute so much. */
const MEASURED_HOLDS_MS = 1_000;
const MEASURED_HOLDS_SAMPLES = 64;
/** Where nobody has measured or said anything: what matters is that all are alike. */
const RATE_UNKNOWN_PER_MS = 0.1;

export class TeacherLoad {
  state: TeacherState = 'connecting';
  credits = 0;
  /** Whether it is among the teachers that there are. */
  listed = true;
  /** Nothing is sent before. */
  notBeforeMs = Number.NEGATIVE_INFINITY;
  /** How often in a row it has broken. */
  breaks = 0;
  readonly sent = new Map<BatchKey, SentBatch>();
  #reported = { queuedSamples: 0, atMs: 0, perMs: 0 };
  #sentSince = 0;
  #measuredPerMs = 0;
  #measuredMs = Number.NEGATIVE_INFINITY;
  #isWarm = false;
  /** There and back; infinite while unknown. */
  #travelMs = Number.POSITIVE_INFINITY;

  report({ queuedSamples, samplesPerSecond }: ReportedLoad, nowMs: number): void {
    const perMs = Number.isFinite(samplesPerSecond) && samplesPerSecond > 0 ? samplesPerSecond / 1000 : 0;
    this.#reported = { queuedSamples, atMs: nowMs, perMs };
    this.#sentSince = 0;
    for (const [key, sent] of this.sent) {
      // It is on its way to a teacher that has nothing to do: if others are quicker, the teacher will say so.
      if (queuedSamples === 0 && sent.waits) this.begun(key, nowMs);
      // What comes in later does not get before it: there are never more than there were.
      const samples = Math.max(0, queuedSamples - this.#ownBehind(key) - sent.samples);
      if (samples < this.#aheadOf(sent, nowMs)) sent.ahead = { samples, atMs: nowMs };
    }
  }

  /** The teacher has said that others are before a batch. */
  waiting(key: BatchKey, reported: ReportedLoad, nowMs: number): void {
    this.report(reported, nowMs);
    const sent = this.sent.get(key);
    if (sent !== undefined) sent.waits = true;
  }

  /** The teacher has become busy with another student's batch: what it has of this one is behind it. */
  busy(): void {
    for (const sent of this.sent.values()) sent.waits = true;
  }

  /** A batch is computed from now on. */
  begun(key: BatchKey, nowMs: number): void {
    const sent = this.sent.get(key);
    if (sent === undefined) return;
    sent.waits = false;
    sent.begunMs = nowMs;
  }

  /** What it had is no longer there. */
  reset(): void {
    this.sent.clear();
    this.#isWarm = false;
    this.credits = 0;
    this.notBeforeMs = Number.NEGATIVE_INFINITY;
    this.#reported = { ...this.#reported, queuedSamples: 0 };
    this.#sentSince = 0;
  }

  send(key: BatchKey, samples: number, otherPerMs: number, nowMs: number): SentBatch {
    const before = this.queued(nowMs);
    const queuedSamples = before + samples;
    const expectedMs = queuedSamples / this.rate(otherPerMs, nowMs);
    const ahead = { samples: before, atMs: nowMs };
    const sent = {
      samples,
      sentMs: nowMs,
      queuedSamples,
      expectedMs,
      ahead,
      waits: !this.isIdle,
      begunMs: nowMs,
      cancelled: false,
    };
    this.sent.set(key, sent);
    this.#sentSince += samples;
    return sent;
  }

  /** The batch is over here; its credit is back. */
  take(key: BatchKey): SentBatch | undefined {
    const sent = this.sent.get(key);
    this.sent.delete(key);
    return sent;
  }

  /** Takes in how long an answer took that had to be computed: the first also took what is set up when it is first needed. */
  measure({ samples, queuedSamples, sentMs }: SentBatch, nowMs: number): void {
    this.#measuredMs = nowMs;
    if (!this.#isWarm) {
      this.#isWarm = true;
      return;
    }
    const perMs = queuedSamples / Math.max(nowMs - sentMs, MEASURED_MS_MIN);
    const { perMs: saidPerMs } = this.#reported;
    if (saidPerMs > 0) this.#travelMs = Math.min(this.#travelMs, Math.max(0, nowMs - sentMs - samples / saidPerMs));
    this.#measuredPerMs =
      this.#measuredPerMs === 0 ? perMs : this.#measuredPerMs + EWMA_SHARE * (perMs - this.#measuredPerMs);
  }

  /** It has had this for so long, and has not answered. */
  slowerThan({ queuedSamples, sentMs }: SentBatch, nowMs: number): void {
    const perMs = queuedSamples / (nowMs - sentMs);
    this.#measuredMs = nowMs;
    this.#measuredPerMs = this.#measuredPerMs === 0 ? perMs : Math.min(this.#measuredPerMs, perMs);
  }

  /** Samples a millisecond, 0 while unknown: measured from question to answer, or as the teacher says. */
  get knownPerMs(): number {
    return this.#measuredPerMs > 0 ? this.#measuredPerMs : this.#reported.perMs;
  }

  /**
   * What is reckoned with. One that has been idle for long is thought as quick as others again: nobody would find out otherwise.
   * @param otherPerMs of other teachers, for one that is new; 0 when they are new too
   */
  rate(otherPerMs: number, nowMs: number): number {
    const known = this.knownPerMs || otherPerMs || RATE_UNKNOWN_PER_MS;
    const oldMs = Math.max(MEASURED_HOLDS_MS, MEASURED_HOLDS_SAMPLES / known);
    if (this.sent.size > 0 || nowMs - this.#measuredMs < oldMs) return known;
    return Math.max(known, otherPerMs);
  }

  /** Samples that wait or are computed there now, of all students: as reported, and what has been sent and computed since. */
  queued(nowMs: number): number {
    const { queuedSamples, atMs, perMs } = this.#reported;
    const computed = (perMs || this.#measuredPerMs) * (nowMs - atMs);
    return Math.max(this.ownSamples(), queuedSamples + this.#sentSince - computed);
  }

  /** When a batch sent now would be answered, from now. */
  finishMs(samples: number, otherPerMs: number, nowMs: number): number {
    const held = Math.max(0, this.notBeforeMs - nowMs);
    return held + (this.queued(nowMs) + samples) / this.rate(otherPerMs, nowMs);
  }

  takes(samples: number, otherPerMs: number, nowMs: number): boolean {
    if (this.state !== 'open' || nowMs < this.notBeforeMs || this.sent.size >= this.credits) return false;
    if (this.sent.size < BATCHES_ALWAYS) return true;
    return (this.queued(nowMs) + samples) / this.rate(otherPerMs, nowMs) <= BOUND_AHEAD_MS;
  }

  /** Whether it has nothing to do, as far as it has said. */
  get isIdle(): boolean {
    return this.sent.size === 0 && this.#sentSince === 0 && this.#reported.queuedSamples === 0;
  }

  /** Whether the turn of a batch that waits may have come by the time that the teacher hears of it. */
  isNext(sent: SentBatch, otherPerMs: number, nowMs: number): boolean {
    const travelMs = Number.isFinite(this.#travelMs) ? this.#travelMs : 0;
    return this.#aheadOf(sent, nowMs) <= travelMs * this.rate(otherPerMs, nowMs);
  }

  /** When a batch that is computed will be answered, from now. */
  leftMs({ samples, begunMs }: SentBatch, otherPerMs: number, nowMs: number): number {
    return Math.max(0, samples / this.rate(otherPerMs, nowMs) - (nowMs - begunMs));
  }

  #aheadOf({ ahead: { samples, atMs } }: SentBatch, nowMs: number): number {
    return Math.max(0, samples - (this.#reported.perMs || this.#measuredPerMs) * (nowMs - atMs));
  }

  #ownBehind(key: BatchKey): number {
    let sum = 0;
    for (const [other, { samples, cancelled }] of this.sent) if (other > key && !cancelled) sum += samples;
    return sum;
  }

  /** Of the batches that it still has to answer. */
  ownSamples(): number {
    let sum = 0;
    for (const { samples, cancelled } of this.sent.values()) if (!cancelled) sum += samples;
    return sum;
  }
}

/** Below what clocks and event loops tell apart. */
const MEASURED_MS_MIN = 0.05;
