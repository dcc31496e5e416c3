/** Computes batches in the order of their queue: images are loaded for the next ones while the engine has work. */
import { after, monotonicMs, nextPass } from '../../lib/base/clock.ts';
import { type ErrorCode, StillhouseError } from '../../lib/base/errors.ts';
import { BatchQueue, type QueuedBatch, type QueueLimits } from './batch-queue.ts';
import { type ServedTeacher, viewOf } from './served-teacher.ts';

/** Images that a teacher is to answer. */
export interface WantedImages {
  readonly samples: number;
  readonly ids: readonly number[];
  readonly partners: readonly number[] | null;
  readonly epoch: number;
  /** The images themselves, instead of what the ids name. */
  readonly pixels: Uint8Array | null;
}

export interface Work {
  readonly teacher: ServedTeacher;
  readonly images: WantedImages;
  /** Called when it is computed from now on; not called where nothing was before it. */
  readonly onBegun: () => void;
  /**
   * Called once unless the work is cancelled; where it fails, once more with the error.
   * @param logits [samples, the teacher's classes]
   */
  readonly settle: (logits: Float32Array | StillhouseError) => Promise<void>;
}

export interface Timing {
  /** See `OfferedBatch`. */
  readonly neededInMs: number;
  readonly deadlineMs: number;
}

/** What has become of work that is offered; `waits`: others are computed before it. */
export type Asked = { readonly taken: QueuedBatch<Work>; readonly waits: boolean } | { readonly retryAfterMs: number };

/** Units that have begun: of these one is computed, the images of others are loaded, or their answers are made. */
const UNITS_LOADED = 3;

export class BatchComputer {
  readonly #queue: BatchQueue<Work>;
  readonly #onIdle: () => void;
  readonly #running = new Set<Promise<void>>();
  /** Of the units that run, what is not computed yet: it can be taken back. */
  readonly #loaded = new Set<QueuedBatch<Work>>();
  /** Of those taken on, what others were before. */
  readonly #delayed = new Set<QueuedBatch<Work>>();
  #isComputing = false;
  /** Units whose images are there, in the order in which they are computed. */
  readonly #turns: (() => void)[] = [];
  #disarm: (() => void) | undefined;

  /** @param onIdle called whenever nothing is left to compute */
  constructor(limits: QueueLimits, onIdle: () => void) {
    this.#queue = new BatchQueue(limits);
    this.#onIdle = onIdle;
  }

  /** Samples that wait or are being computed. */
  get queuedSamples(): number {
    return this.#queue.samples;
  }

  /** While there is enough to do; 0 while unknown. */
  get samplesPerSecond(): number {
    return this.#queue.samplesPerSecond;
  }

  /** Takes the work on, or answers when to try again. */
  ask(work: Work, timing: Timing): Asked {
    const { teacher, images } = work;
    const { jobId, name, merging, dataset } = teacher;
    const bytes = BYTES_PER_ID * images.samples + (images.pixels?.byteLength ?? 0);
    const { samples } = images;
    const group = `${jobId}/${name}`;
    const offer = this.#queue.offer({ group, merging, samples, bytes, ...timing, work }, monotonicMs());
    if (!('taken' in offer)) return offer;
    const { taken } = offer;
    const wasFree = this.#running.size === 0;
    teacher.counters.samplesQueued += samples;
    this.#pump();
    if (images.pixels === null && this.#running.size >= UNITS_LOADED) {
      dataset.prefetch(images.ids);
      if (images.partners !== null) dataset.prefetch(images.partners);
    }
    // What only waits for others to be computed together with is not behind anything.
    const waits = this.#running.size > 0 && !(wasFree && this.#loaded.has(taken));
    if (waits) this.#delayed.add(taken);
    return { taken, waits };
  }

  /** Whether the work was not being computed yet: it is not settled then. */
  cancel(batch: QueuedBatch<Work>): boolean {
    if (this.#loaded.delete(batch)) this.#queue.takeBack(batch);
    else if (!this.#queue.cancel(batch)) return false;
    this.#delayed.delete(batch);
    batch.work.teacher.counters.samplesQueued -= batch.samples;
    if (this.#queue.samples === 0) this.#onIdle();
    return true;
  }

  /** Resolves when what has begun has been settled. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  #pump(): void {
    this.#disarm?.();
    this.#disarm = undefined;
    for (;;) {
      const nowMs = monotonicMs();
      const { expired, unit, wakeAtMs } = this.#queue.take(nowMs, this.#running.size < UNITS_LOADED);
      for (const batch of expired) {
        this.#delayed.delete(batch);
        void this.#settle(batch, tooLate());
      }
      if (expired.length > 0 && this.#queue.samples === 0) this.#onIdle();
      if (unit.length === 0) {
        if (wakeAtMs !== null) this.#disarm = after(Math.max(0, wakeAtMs - nowMs), () => this.#pump());
        return;
      }
      this.#begin(unit);
    }
  }

  #begin(unit: readonly QueuedBatch<Work>[]): void {
    const running = this.#run(unit).finally(() => {
      this.#running.delete(running);
      this.#pump();
      if (this.#queue.samples === 0) this.#onIdle();
    });
    this.#running.add(running);
  }

  async #run(unit: readonly QueuedBatch<Work>[]): Promise<void> {
    for (const batch of unit) this.#loaded.add(batch);
    const images = await Promise.all(unit.map(({ work }) => load(work)));
    await this.#turn();
    const present = [...unit.entries()].filter(([, batch]) => this.#loaded.delete(batch));
    const wanted = present.map(([, batch]) => batch);
    for (const batch of wanted) if (this.#delayed.delete(batch)) batch.work.onBegun();
    const outcomes = await this.#compute(
      wanted.map(({ work }) => work),
      present.map(([index]) => images[index] as Outcome),
    );
    this.#passTurn();
    const computed = wanted.filter((_, index) => outcomes[index] instanceof Float32Array);
    const samples = computed.reduce((sum, batch) => sum + batch.samples, 0);
    this.#queue.finished(unit, samples, monotonicMs());
    // The engine gets the next unit before it is left alone while answers are made of this one.
    await nextPass();
    for (const [index, batch] of wanted.entries()) await this.#settle(batch, outcomes[index] as Outcome);
  }

  /** One unit is computed at a time, so that what is behind it can be taken back. */
  async #turn(): Promise<void> {
    if (this.#isComputing) await new Promise<void>((resolve) => this.#turns.push(resolve));
    this.#isComputing = true;
  }

  #passTurn(): void {
    const next = this.#turns.shift();
    if (next === undefined) this.#isComputing = false;
    else next();
  }

  async #settle({ work, samples }: QueuedBatch<Work>, outcome: Outcome): Promise<void> {
    work.teacher.counters.samplesQueued -= samples;
    try {
      await work.settle(outcome);
    } catch (thrown) {
      await work.settle(StillhouseError.from(thrown));
    }
  }

  /** One outcome for each; works are of one teacher. */
  async #compute(works: readonly Work[], loaded: readonly Outcome[]): Promise<Outcome[]> {
    const images = loaded.filter((each) => each instanceof Float32Array);
    const teacher = works[0]?.teacher;
    if (teacher === undefined || images.length === 0) return [...loaded];
    const present = works.filter((_, index) => loaded[index] instanceof Float32Array);
    const predicted = await this.#predict(teacher, present, images);
    return loaded.map((each) => (each instanceof Float32Array ? (predicted.shift() as Outcome) : each));
  }

  async #predict(teacher: ServedTeacher, works: readonly Work[], images: readonly Float32Array[]): Promise<Outcome[]> {
    const samples = works.reduce((sum, work) => sum + work.images.samples, 0);
    const { counters, classNames } = teacher;
    const askedMs = monotonicMs();
    try {
      const logits = await teacher.predict(joined(images), samples);
      counters.samplesComputed += samples;
      let row = 0;
      return works.map((work) => {
        const first = row;
        row += work.images.samples;
        return logits.subarray(first * classNames.length, row * classNames.length);
      });
    } catch (thrown) {
      const error = forStudents(StillhouseError.from(thrown));
      if (works.length === 1 || error.code === 'UNAVAILABLE') return works.map((work) => named(error, work));
      // An image that the teacher cannot answer shall not take others with it, which only were computed at once.
      const alone: Outcome[] = [];
      for (const work of works) alone.push(...(await this.#compute([work], [await load(work)])));
      return alone;
    } finally {
      counters.computeMs += monotonicMs() - askedMs;
    }
  }
}

type Outcome = Float32Array | StillhouseError;

/** Of an id and its partner in a message. */
const BYTES_PER_ID = 16;

async function load({ teacher, images }: Work): Promise<Outcome> {
  const { ids, partners, epoch, pixels } = images;
  if (pixels !== null) return new Float32Array(pixels);
  try {
    return await teacher.dataset.load(ids, { rule: viewOf(teacher, epoch), partners });
  } catch (thrown) {
    return StillhouseError.from(thrown);
  }
}

function joined(images: readonly Float32Array[]): Float32Array {
  const [first] = images as [Float32Array];
  if (images.length === 1) return first;
  const all = new Float32Array(images.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const each of images) {
    all.set(each, at);
    at += each.length;
  }
  return all;
}

/** What a model's server says of itself, which of a batch would mean something else. */
const SERVER_CODES: readonly ErrorCode[] = ['DEADLINE_EXCEEDED', 'CANCELLED', 'RESOURCE_EXHAUSTED', 'ABORTED'];

function forStudents(error: StillhouseError): StillhouseError {
  return SERVER_CODES.includes(error.code) ? retold(error, 'UNAVAILABLE', error.message) : error;
}

/** Rows of a batch mean something to people only with its samples. */
function named(error: StillhouseError, { images: { ids } }: Work): StillhouseError {
  return ids.length === 0
    ? error
    : retold(error, error.code, `${error.message}, in a batch of the samples ${ids.join(', ')}`);
}

function retold({ field, hint, cause }: StillhouseError, code: ErrorCode, message: string): StillhouseError {
  const details = { ...(field === undefined ? {} : { field }), ...(hint === undefined ? {} : { hint }), cause };
  return new StillhouseError(code, message, details);
}

function tooLate(): StillhouseError {
  return new StillhouseError('DEADLINE_EXCEEDED', 'the batch was not computed by its deadline');
}
