/** A teacher's answers to samples of a job: looked up where they are stored, computed where not. */
import { monotonicMs } from '../../lib/base/clock.ts';
import { type LabelsTable, rowOf } from '../../lib/checkpoint/labels.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { applyViews } from '../../lib/data/views.ts';
import type { ViewsSpec } from '../../lib/wire/job-spec.ts';

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

export interface Answer {
  /** Row-major [ids, classes], before any softmax. */
  readonly logits: Float32Array;
  /** 0 where nothing was computed. */
  readonly computeMs: number;
}

export class TeacherAnswers {
  readonly #options: TeacherAnswersOptions;
  /** When the latest prediction ended. */
  #predictedMs = Number.NEGATIVE_INFINITY;

  constructor(options: TeacherAnswersOptions) {
    this.#options = options;
  }

  /** @param epoch of the view @throws what `Dataset.readImages` throws */
  async of(ids: readonly number[], epoch: number): Promise<Answer> {
    const { labels, classes } = this.#options;
    if (labels === null) return this.#predict(ids, epoch);
    const rows = ids.map((id) => rowOf(labels, id));
    const missing = ids.filter((_, index) => rows[index] === -1);
    const fresh = missing.length === 0 ? NOTHING : await this.#predict(missing, epoch);
    const logits = new Float32Array(ids.length * classes);
    let freshRow = 0;
    for (const [index, row] of rows.entries()) {
      const source = row === -1 ? fresh.logits : labels.logits;
      const at = (row === -1 ? freshRow++ : row) * classes;
      logits.set(source.subarray(at, at + classes), index * classes);
    }
    return { logits, computeMs: fresh.computeMs };
  }

  async #predict(ids: readonly number[], epoch: number): Promise<Answer> {
    const { dataset, seed, views, predict } = this.#options;
    const images = dataset.readImages(ids);
    applyViews(images, ids, dataset.image, { seed, epoch, ...views });
    const askedMs = monotonicMs();
    const logits = await predict(images, ids.length);
    const answeredMs = monotonicMs();
    // Until the prediction before it had ended, it waited: that time is counted there.
    const computeMs = answeredMs - Math.max(askedMs, this.#predictedMs);
    this.#predictedMs = answeredMs;
    return { logits, computeMs };
  }
}

const NOTHING: Answer = { logits: new Float32Array(0), computeMs: 0 };
