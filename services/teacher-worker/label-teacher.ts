/** Asks a teacher for a batch of images, and names the image where that goes wrong. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { retryUnavailable } from '../../lib/base/retry.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { encodeRows, type LogitsFormat } from '../../lib/distill/logits/format.ts';
import type { TeacherModel } from '../../lib/wire/teachers/open-teacher.ts';
import { STORE_PATIENCE } from '../../lib/wire/trainer.ts';
import type { LabelBatch } from './label-batches.ts';

export class LabelTeacher {
  readonly #model: TeacherModel;
  readonly #dataset: Dataset;
  readonly #signal: AbortSignal;

  constructor(model: TeacherModel, dataset: Dataset, signal: AbortSignal) {
    this.#model = model;
    this.#dataset = dataset;
    this.#signal = signal;
  }

  /**
   * [ids, the teacher's classes]. A server that is away is waited for, for a while.
   * @throws what `Dataset.load` and `TeacherModel.predict` throw; the signal's reason
   */
  async answer(batch: LabelBatch): Promise<Float32Array> {
    try {
      return await retryUnavailable(() => this.#predict(batch), { ...STORE_PATIENCE, signal: this.#signal });
    } catch (thrown) {
      const error = StillhouseError.from(thrown);
      if (error.code !== 'DATA_LOSS') throw error;
      throw await this.#ofOneImage(error, batch);
    }
  }

  /** @throws as `encodeRows` does */
  encode({ ids }: LabelBatch, logits: Float32Array, format: LogitsFormat): Uint8Array {
    try {
      return encodeRows(logits, format);
    } catch (thrown) {
      const { columns } = format;
      for (const [row, id] of ids.entries()) {
        const alone = errorOf(() => encodeRows(logits.subarray(row * columns, (row + 1) * columns), format));
        if (alone !== null) throw of(`image ${id}`, alone);
      }
      throw thrown;
    }
  }

  async #predict({ pass, ids, partners }: LabelBatch): Promise<Float32Array> {
    const images = await this.#dataset.load(ids, { rule: pass.rule, partners });
    return await this.#model.predict(images, ids.length);
  }

  async #ofOneImage(error: StillhouseError, { pass, images, ids, partners }: LabelBatch): Promise<StillhouseError> {
    for (const [index, id] of ids.entries()) {
      const one = (from: Uint32Array) => from.subarray(index, index + 1);
      const alone = { pass, images: one(images), ids: one(ids), partners: partners === null ? null : one(partners) };
      const found = await this.#predict(alone).then(
        () => null,
        (thrown) => StillhouseError.from(thrown),
      );
      if (found !== null) return of(`image ${id}`, found);
    }
    return of(`one of the images ${ids.join(', ')}`, error);
  }
}

function errorOf(work: () => unknown): StillhouseError | null {
  try {
    work();
    return null;
  } catch (thrown) {
    return StillhouseError.from(thrown);
  }
}

function of(sample: string, { code, message, hint, cause }: StillhouseError): StillhouseError {
  return new StillhouseError(code, `${sample}: ${message}`, { ...(hint !== undefined && { hint }), cause });
}
