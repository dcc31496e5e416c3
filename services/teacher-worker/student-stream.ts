/** One student's stream: its batches, from their messages to what is answered. */
import { monotonicMs } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { LabelBatch__Output } from '../../lib/wire/generated/stillhouse/v1/LabelBatch.ts';
import type { Load } from '../../lib/wire/generated/stillhouse/v1/Load.ts';
import type { LogitsKey__Output } from '../../lib/wire/generated/stillhouse/v1/LogitsKey.ts';
import type { LogitsReply } from '../../lib/wire/generated/stillhouse/v1/LogitsReply.ts';
import { type AskedBatch, checkBatch, contentOf } from './asked-batch.ts';
import type { Asked, BatchComputer, WantedImages, Work } from './batch-computer.ts';
import type { QueuedBatch } from './batch-queue.ts';
import type { OpenedStream } from './open-checks.ts';
import type { RecordedReplies } from './recorded-replies.ts';
import { computedAnswer, type FoundRows, lookUp, storedAnswer } from './served-teacher.ts';

/** What all streams of a worker share. */
export interface StreamHost {
  readonly computer: BatchComputer;
  readonly replies: RecordedReplies;
  /** Of the worker, now. */
  readonly load: () => Load;
  /** Whether it takes no new batches. */
  readonly isDraining: () => boolean;
}

export interface StreamEnd {
  readonly write: (reply: LogitsReply) => void;
  /** Called when a batch of this stream has made the worker busy that was idle. */
  readonly onBusy: () => void;
  /** Called when the last outstanding batch has been answered or refused. */
  readonly onSettled: () => void;
}

interface Outstanding {
  readonly asked: AskedBatch;
  /** Null: never. */
  readonly expiresAtMs: number | null;
  /** Set as soon as the work is in the queue. */
  queued: QueuedBatch<Work> | undefined;
}

export class StudentStream {
  readonly opened: OpenedStream;
  readonly #host: StreamHost;
  readonly #end: StreamEnd;
  readonly #outstanding = new Map<string, Outstanding>();

  constructor(opened: OpenedStream, host: StreamHost, end: StreamEnd) {
    this.opened = opened;
    this.#host = host;
    this.#end = end;
  }

  /** Batches that are not answered yet. */
  get outstanding(): number {
    return this.#outstanding.size;
  }

  /**
   * What is stored or recorded is answered before this returns, and what is malformed is refused.
   * @throws INVALID_ARGUMENT for a batch that no reply could name; RESOURCE_EXHAUSTED for one without a credit
   */
  receive(batch: LabelBatch__Output): void {
    const { limits, credits } = this.opened;
    if (this.#outstanding.size >= credits) {
      throw new StillhouseError('RESOURCE_EXHAUSTED', `more than ${credits} batches are outstanding on the stream`);
    }
    const key = this.#newKey(batch.key);
    try {
      if (this.#host.isDraining()) throw drained();
      this.#take(checkBatch(limits, key, batch), batch);
    } catch (thrown) {
      this.#refuse(key, StillhouseError.from(thrown));
    }
  }

  /** The answer to a batch is not wanted any more: unless it is being computed, it is given up. */
  cancel(key: LogitsKey__Output): void {
    const name = nameOf(key);
    const queued = this.#outstanding.get(name)?.queued;
    if (queued === undefined || !this.#host.computer.cancel(queued)) return;
    this.#outstanding.delete(name);
    this.#refuse(key, new StillhouseError('CANCELLED', 'the batch was cancelled'));
    if (this.#outstanding.size === 0) this.#end.onSettled();
  }

  /** Nobody reads answers any more: what waits is dropped, what is being computed is kept where it can be. */
  close(): void {
    for (const { queued } of this.#outstanding.values()) if (queued !== undefined) this.#host.computer.cancel(queued);
    this.#outstanding.clear();
  }

  /** @throws INVALID_ARGUMENT for none, and for one of which it would not be known which batch a reply is to */
  #newKey(key: LogitsKey__Output | null): LogitsKey__Output {
    const refused = (message: string) => new StillhouseError('INVALID_ARGUMENT', message, { field: 'batch.key' });
    if (key === null) throw refused('the batch has no key');
    if (!this.#outstanding.has(nameOf(key))) return key;
    throw refused(`a batch of the key ${nameOf(key)} is outstanding already`);
  }

  #take(asked: AskedBatch, batch: LabelBatch__Output): void {
    const { teacher, replies, path } = this.opened;
    const recorded = this.#host.replies.get(replies + nameOf(asked.key), () => contentOf(asked));
    if (recorded !== undefined) {
      teacher.counters.samplesRepeated += asked.samples;
      this.#send(asked, recorded, asked.samples);
      return;
    }
    const found = lookUp(teacher, asked);
    if (found === null || found.missing.length > 0) this.#compute(asked, found, batch);
    else this.#answerStored(asked, storedAnswer(found, asked, path));
  }

  #answerStored(asked: AskedBatch, values: Uint8Array): void {
    const { counters } = this.opened.teacher;
    counters.samplesServed += asked.samples;
    counters.samplesCached += asked.samples;
    this.#send(asked, values, asked.samples);
  }

  #compute(asked: AskedBatch, found: FoundRows | null, { neededInMs, deadlineMs }: LabelBatch__Output): void {
    const { teacher } = this.opened;
    const name = nameOf(asked.key);
    const expiresAtMs = deadlineMs === 0 ? null : monotonicMs() + deadlineMs;
    const outstanding: Outstanding = { asked, expiresAtMs, queued: undefined };
    // Where each batch is computed at one shape, leaving rows out saves nothing.
    const places = found === null || teacher.merging === null ? null : found.missing;
    this.#outstanding.set(name, outstanding);
    const wasIdle = this.#host.computer.queuedSamples === 0;
    const work: Work = {
      teacher,
      images: places === null ? asked : imagesAt(asked, places),
      onBegun: () => this.#end.write({ begun: { key: asked.key } }),
      settle: (logits) => this.#settle(name, outstanding, { found, places, logits }),
    };
    let offer: Asked;
    try {
      offer = this.#host.computer.ask(work, { neededInMs, deadlineMs });
    } catch (thrown) {
      this.#outstanding.delete(name);
      throw thrown;
    }
    if ('taken' in offer) {
      outstanding.queued = offer.taken;
      if (offer.waits) this.#end.write({ waiting: { key: asked.key, load: this.#host.load() } });
      else if (wasIdle) this.#end.onBusy();
      return;
    }
    this.#outstanding.delete(name);
    const message = 'the queue of the teacher-worker is full';
    this.#refuse(asked.key, new StillhouseError('RESOURCE_EXHAUSTED', message), offer.retryAfterMs);
  }

  async #settle(name: string, outstanding: Outstanding, computed: Computed): Promise<void> {
    const { asked, expiresAtMs } = outstanding;
    const { teacher, replies } = this.opened;
    const { logits } = computed;
    const answer = logits instanceof StillhouseError ? logits : await this.#answer(asked, { ...computed, logits });
    if (answer instanceof Uint8Array) {
      this.#host.replies.keep(replies + name, { content: contentOf(asked), values: answer });
    }
    if (this.#outstanding.get(name) !== outstanding) return;
    this.#outstanding.delete(name);
    if (answer instanceof StillhouseError) {
      this.#refuse(asked.key, answer);
    } else if (expiresAtMs !== null && monotonicMs() > expiresAtMs) {
      this.#refuse(asked.key, new StillhouseError('DEADLINE_EXCEEDED', 'the batch was computed after its deadline'));
    } else {
      const { found } = computed;
      const stored = found === null ? 0 : asked.samples - found.missing.length;
      teacher.counters.samplesServed += asked.samples;
      teacher.counters.samplesCached += stored;
      this.#send(asked, answer, stored);
    }
    if (this.#outstanding.size === 0) this.#end.onSettled();
  }

  async #answer(
    asked: AskedBatch,
    { found, places, logits }: Computed & { readonly logits: Float32Array },
  ): Promise<Uint8Array | StillhouseError> {
    const { teacher, path } = this.opened;
    try {
      return await computedAnswer(teacher, asked, { found, computed: places, logits, path });
    } catch (thrown) {
      return StillhouseError.from(thrown);
    }
  }

  /** @param stored of the samples, those that were not computed for it */
  #send({ key, samples }: AskedBatch, values: Uint8Array, stored: number): void {
    const { columns, teacher } = this.opened;
    teacher.counters.batchesServed += 1;
    teacher.counters.bytesSent += values.byteLength;
    const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
    const load = this.#host.load();
    this.#end.write({ logits: { key, values: bytes, samples, classes: columns, samplesStored: stored, load } });
  }

  #refuse(key: LogitsKey__Output, { code, message, hint }: StillhouseError, retryAfterMs?: number): void {
    const { teacher } = this.opened;
    teacher.counters.batchesRefused += 1;
    const text = `teacher ${teacher.name}: ${message}${hint === undefined ? '' : ` (${hint})`}`;
    const retry = retryAfterMs ?? (code === 'UNAVAILABLE' ? UNAVAILABLE_RETRY_MS : 0);
    this.#end.write({ refused: { key, code, message: text, retryAfterMs: retry } });
  }
}

/** What has become of a batch that was computed, or was to be. */
interface Computed {
  readonly found: FoundRows | null;
  /** Of the batch, those that were computed; null: all. */
  readonly places: readonly number[] | null;
  readonly logits: Float32Array | StillhouseError;
}

/** A server that the teacher is on may be back by then. */
const UNAVAILABLE_RETRY_MS = 1_000;

function imagesAt({ ids, partners, epoch }: AskedBatch, places: readonly number[]): WantedImages {
  const at = (list: readonly number[]) => places.map((place) => list[place] as number);
  return { samples: places.length, ids: at(ids), partners: partners && at(partners), epoch, pixels: null };
}

function drained(): StillhouseError {
  return new StillhouseError('UNAVAILABLE', 'the teacher-worker is drained: ask another one');
}

function nameOf({ view, step, lane }: LogitsKey__Output): string {
  return `${view}/${step}/${lane}`;
}
