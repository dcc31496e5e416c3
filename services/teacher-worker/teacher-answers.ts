/** A teacher's answers to samples of a job: looked up where they are stored or kept, computed where not. */
import { monotonicMs } from '../../lib/base/clock.ts';
import { type LabelsTable, rowOf } from '../../lib/checkpoint/labels.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import type { ViewsSpec } from '../../lib/data/views.ts';
import { viewRule } from '../../lib/distill/training-plan.ts';
import { AnswerCache } from './answer-cache.ts';

export interface TeacherAnswersOptions {
  readonly dataset: Dataset;
  /** The job's. */
  readonly seed: number;
  /** What the teacher sees of an image. */
  readonly views: ViewsSpec;
  /** Its number of outputs. */
  readonly classes: number;
  /** Its stored answers to images as they are; null where there are none, or it sees augmented images. */
  readonly labels: LabelsTable | null;
  /** [count, height, width, channels] of RGB 0..255 → [count, classes]. Calls are answered in order, one at a time. */
  readonly predict: (images: Float32Array, count: number) => Promise<Float32Array>;
}

/** One lane's micro-batch, as a student asks for it. */
export interface AskedBatch {
  readonly ids: readonly number[];
  /** The sample that each one is mixed with; null where the job mixes nothing. */
  readonly partners: readonly number[] | null;
  /** From 0. */
  readonly epoch: number;
}

export interface Answer {
  /** Row-major [ids, classes], before any softmax. */
  readonly logits: Float32Array;
  /** 0 where nothing was computed. */
  readonly computeMs: number;
  /** Of the samples, how many were answered by what had been computed for an earlier epoch. */
  readonly cached: number;
}

/** Batches whose images are in memory: one is computed, the others are on their way. */
const BATCHES_LOADED = 3;

export class TeacherAnswers {
  readonly #options: TeacherAnswersOptions;
  /** Null where no view comes again. */
  readonly #cache: AnswerCache | null;
  /** When the latest prediction ended. */
  #predictedMs = Number.NEGATIVE_INFINITY;
  #loaded = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(options: TeacherAnswersOptions) {
    this.#options = options;
    const { views, classes, dataset } = options;
    this.#cache = views.cycle === undefined ? null : new AnswerCache({ classes, samples: dataset.sampleCount });
  }

  /** Batches are computed in the order in which they come. @throws what `Dataset.load` throws; the signal's reason */
  async of(batch: AskedBatch, signal: AbortSignal): Promise<Answer> {
    const { labels, classes } = this.#options;
    if (labels === null) return this.#predict(batch, signal);
    const { ids } = batch;
    const rows = ids.map((id) => rowOf(labels, id));
    const missing = ids.filter((_, index) => rows[index] === -1);
    const partners = batch.partners?.filter((_, index) => rows[index] === -1) ?? null;
    const fresh = missing.length === 0 ? NOTHING : await this.#predict({ ...batch, ids: missing, partners }, signal);
    const logits = new Float32Array(ids.length * classes);
    let freshRow = 0;
    for (const [index, row] of rows.entries()) {
      const source = row === -1 ? fresh.logits : labels.logits;
      const at = (row === -1 ? freshRow++ : row) * classes;
      logits.set(source.subarray(at, at + classes), index * classes);
    }
    return { ...fresh, logits };
  }

  /**
   * The whole batch unless all of it is kept: at the program's one shape that costs the same, and there an image's logits have
   * the same bits whatever place it has and whatever else is in the batch.
   */
  #predict({ ids, partners, epoch }: AskedBatch, signal: AbortSignal): Promise<Answer> {
    const { dataset, seed, views, predict } = this.#options;
    const rule = viewRule({ seed, views }, epoch);
    const view = rule.number;
    return this.#inTurn(async () => {
      signal.throwIfAborted();
      const kept = this.#cache?.get({ view, ids, partners }) ?? null;
      if (kept !== null) return { logits: kept, computeMs: 0, cached: ids.length };
      const images = await dataset.load(ids, { rule, partners });
      const askedMs = monotonicMs();
      const logits = await predict(images, ids.length);
      const answeredMs = monotonicMs();
      // Until the prediction before it had ended, it waited: that time is counted there.
      const computeMs = answeredMs - Math.max(askedMs, this.#predictedMs);
      this.#predictedMs = answeredMs;
      this.#cache?.keep({ view, ids, partners }, logits);
      return { logits, computeMs, cached: 0 };
    });
  }

  /** Begins the work when fewer than `BATCHES_LOADED` others are underway, the first comer first. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#loaded === BATCHES_LOADED) await new Promise<void>((begin) => this.#waiting.push(begin));
    else this.#loaded += 1;
    try {
      return await work();
    } finally {
      // The place goes to the next one, or back.
      const next = this.#waiting.shift();
      if (next === undefined) this.#loaded -= 1;
      else next();
    }
  }
}

const NOTHING: Answer = { logits: new Float32Array(0), computeMs: 0, cached: 0 };
