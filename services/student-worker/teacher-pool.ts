/** All workers that serve one teacher to a student: streams to each of them, and batches where `TeacherBalance` says. */
import { after, monotonicMs } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { Logger } from '../../lib/base/log.ts';
import type { TeacherLogits } from '../../lib/distill/logits/format.ts';
import type { LogitsRequest } from '../../lib/distill/step-inputs.ts';
import type { BalanceOptions, Effect } from './balance-events.ts';
import { LogitsStream, type LogitsStreamOptions, type OutgoingBatch, type StreamEvents } from './logits-stream.ts';
import { TeacherBalance } from './teacher-balance.ts';
import { type BatchKey, batchKey, stepAndLane } from './teacher-load.ts';

/** Where a worker that serves the teacher is. */
export interface PoolEndpoint {
  readonly workerId: string;
  readonly address: string;
}

export interface TeacherPoolOptions {
  /** What all its streams have in common. */
  readonly stream: Omit<LogitsStreamOptions, 'teacherWorkerId' | 'address'>;
  readonly balance: BalanceOptions;
  /** The images that a batch carries; null where it names samples. */
  readonly loadPixels: ((request: LogitsRequest) => Promise<Uint8Array>) | null;
  /** How soon a step needs its logits. */
  readonly neededInMs: (step: number) => number;
  /** Called whenever the first teacher has become available, the last one has gone, or none of them fits, and when a batch waits without. */
  readonly onAvailability: () => void;
  readonly logger: Logger;
  /** Told why a teacher does not answer, once for each reason. */
  readonly onTrouble: (reason: string) => void;
}

/** A batch that has no answer. */
export interface AskedBatch {
  readonly request: LogitsRequest;
  /** Since when it waits. */
  readonly askedMs: number;
}

interface WaitingBatch extends AskedBatch {
  readonly batch: OutgoingBatch;
  readonly resolve: (logits: TeacherLogits) => void;
  readonly reject: (error: StillhouseError) => void;
}

export class TeacherPool {
  /** Live. */
  bytesReceived = 0;
  readonly #options: TeacherPoolOptions;
  readonly #balance: TeacherBalance;
  /** The workers that there are. */
  #endpoints: ReadonlyMap<string, PoolEndpoint> = new Map();
  readonly #streams = new Map<string, LogitsStream>();
  readonly #waiting = new Map<BatchKey, WaitingBatch>();
  /** Why each worker does not answer, as far as it does not. */
  readonly #troubles = new Map<string, { readonly error: StillhouseError; readonly said: string }>();
  #lostMs: number | null = monotonicMs();
  #wasHopeless = false;
  #disarm: (() => void) | undefined;
  #failure: StillhouseError | undefined;

  constructor(options: TeacherPoolOptions) {
    this.#options = options;
    this.#balance = new TeacherBalance(options.balance);
  }

  get counters(): { readonly batchesResent: number; readonly duplicateAnswers: number } {
    return this.#balance.counters;
  }

  get hasTeacher(): boolean {
    return this.#lostMs === null;
  }

  /** Since when no teacher can be asked; null while one can. */
  get lostMs(): number | null {
    return this.#lostMs;
  }

  /** Batches without an answer, the one that is needed first at the front. */
  get waiting(): readonly AskedBatch[] {
    if (this.#failure !== undefined) return [];
    return this.#balance.waiting.map((key) => this.#waiting.get(key) as WaitingBatch);
  }

  /** Why teachers do not answer; a line for each of those that do not. */
  get troubles(): readonly StillhouseError[] {
    return [...this.#troubles.values()].map(({ error }) => error);
  }

  /** Whether every worker has said that it cannot teach this student. */
  get isHopeless(): boolean {
    const { troubles } = this;
    if (troubles.length === 0 || troubles.length < this.#endpoints.size) return false;
    return troubles.every(({ code }) => code === 'FAILED_PRECONDITION' || code === 'INVALID_ARGUMENT');
  }

  /** The workers from now on, all of them. What those that are gone have is answered by them, or by others. */
  update(endpoints: readonly PoolEndpoint[]): void {
    if (this.#failure !== undefined) return;
    this.#endpoints = new Map(endpoints.map((endpoint) => [`${endpoint.workerId} ${endpoint.address}`, endpoint]));
    for (const id of [...this.#troubles.keys()]) if (!this.#endpoints.has(id)) this.#troubles.delete(id);
    this.#apply(this.#balance.list([...this.#endpoints.keys()], monotonicMs()));
  }

  /**
   * @throws what the teachers that were asked answered, when none of them can answer; what `fail` is called with; CANCELLED
   *   after `close`
   */
  async logits(request: LogitsRequest): Promise<TeacherLogits> {
    const pixels = (await this.#options.loadPixels?.(request)) ?? null;
    if (this.#failure !== undefined) throw this.#failure;
    const { step, lane, ids, partners, epoch } = request;
    const key = batchKey(step, lane);
    return new Promise((resolve, reject) => {
      const askedMs = monotonicMs();
      this.#waiting.set(key, { request, batch: { key, ids, partners, epoch, pixels }, askedMs, resolve, reject });
      this.#apply(this.#balance.add(key, ids.length, askedMs));
      if (!this.hasTeacher) this.#options.onAvailability();
    });
  }

  /** All steps before this one have been trained: whoever waits for its logits has nothing to do. */
  reached(step: number): void {
    this.#apply(this.#balance.reached(step, monotonicMs()));
  }

  /** Answers a batch from elsewhere; no teacher needs to any more. */
  answer({ step, lane }: LogitsRequest, logits: TeacherLogits): void {
    const key = batchKey(step, lane);
    this.#waiting.get(key)?.resolve(logits);
    this.#waiting.delete(key);
    this.#apply(this.#balance.withdraw(key, monotonicMs()));
  }

  /** Rejects what waits, and all that is asked for from now on. */
  fail(error: StillhouseError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#disarm?.();
    for (const stream of this.#streams.values()) stream.close();
    this.#streams.clear();
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  close(): void {
    this.fail(new StillhouseError('CANCELLED', 'the student asks its teachers no more'));
  }

  #apply(effects: readonly Effect[]): void {
    if (this.#failure !== undefined) return;
    for (const effect of effects) this.#act(effect);
    this.#noteAvailability();
    this.#arm();
  }

  #act(effect: Effect): void {
    switch (effect.type) {
      case 'open':
        this.#open(effect.teacher);
        return;
      case 'close':
        this.#streams.get(effect.teacher)?.close();
        this.#streams.delete(effect.teacher);
        return;
      case 'send': {
        const { batch } = this.#waiting.get(effect.key) as WaitingBatch;
        const neededInMs = this.#options.neededInMs(stepAndLane(effect.key).step);
        this.#streams.get(effect.teacher)?.send(batch, { neededInMs, deadlineMs: effect.deadlineMs });
        return;
      }
      case 'cancel':
        this.#streams.get(effect.teacher)?.cancel(effect.key);
        return;
      case 'fail':
        this.#waiting.get(effect.key)?.reject(effect.error);
        this.#waiting.delete(effect.key);
        return;
      case 'deliver':
        // The one who was told the answer has it.
        return;
    }
  }

  #open(id: string): void {
    const endpoint = this.#endpoints.get(id) as PoolEndpoint;
    const { workerId: teacherWorkerId, address } = endpoint;
    const stream = new LogitsStream({ ...this.#options.stream, teacherWorkerId, address }, this.#eventsOf(id));
    this.#streams.set(id, stream);
  }

  #eventsOf(id: string): StreamEvents {
    const balance = this.#balance;
    return {
      opened: (credits, load) => {
        if (!balance.hasFailed(id)) this.#troubles.delete(id);
        this.#apply(balance.opened(id, credits, load, monotonicMs()));
      },
      answered: (key, { logits, samplesStored, bytes }, load) => {
        this.bytesReceived += bytes;
        this.#troubles.delete(id);
        const waiting = this.#waiting.get(key);
        const computed = waiting !== undefined && samplesStored < waiting.batch.ids.length;
        const effects = balance.answered(id, key, computed, load, monotonicMs());
        if (effects.some((effect) => effect.type === 'deliver' && effect.key === key)) {
          this.#waiting.delete(key);
          waiting?.resolve(logits);
        }
        this.#apply(effects);
      },
      refused: (key, refusal, said) => {
        const { code, message } = refusal;
        const effects = balance.refused(id, key, refusal, monotonicMs());
        if (code !== 'CANCELLED') {
          this.#options.logger.debug({ code }, message);
          if (balance.hasFailed(id)) this.#note(id, new StillhouseError(code, message), said);
        }
        this.#apply(effects);
      },
      repeated: () => balance.repeated(),
      waits: (key, load) => this.#apply(balance.waits(id, key, load, monotonicMs())),
      begun: (key) => this.#apply(balance.begun(id, key, monotonicMs())),
      loaded: (load) => this.#apply(balance.loaded(id, load, monotonicMs())),
      ended: (error) => {
        this.#streams.delete(id);
        this.#note(id, error, error.message);
        this.#apply(balance.ended(id, error, monotonicMs()));
      },
    };
  }

  #note(id: string, error: StillhouseError, said: string): void {
    const before = this.#troubles.get(id)?.said;
    if (this.#endpoints.has(id)) this.#troubles.set(id, { error, said });
    // A worker that stays away is told of once, whatever batches it is tried with.
    if (before === said) return;
    this.#options.logger.warn({ code: error.code }, error.message);
    this.#options.onTrouble(error.message);
  }

  #noteAvailability(): void {
    const hasTeacher = this.#balance.openTeachers > 0;
    const { isHopeless } = this;
    if (hasTeacher === this.hasTeacher && isHopeless === this.#wasHopeless) return;
    this.#wasHopeless = isHopeless;
    if (hasTeacher !== this.hasTeacher) this.#lostMs = hasTeacher ? null : monotonicMs();
    this.#options.onAvailability();
  }

  #arm(): void {
    this.#disarm?.();
    this.#disarm = undefined;
    if (this.#failure !== undefined) return;
    const nowMs = monotonicMs();
    const dueMs = this.#balance.nextTickMs(nowMs);
    if (!Number.isFinite(dueMs)) return;
    const delayMs = Math.max(1, dueMs - nowMs);
    this.#disarm = after(delayMs, () => this.#apply(this.#balance.tick(monotonicMs())));
  }
}
