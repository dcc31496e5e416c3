/** What teachers of all other frameworks have in common: batches of the shape that they take, answers that are checked. */
import { StillhouseError } from '../../base/errors.ts';
import type { ForeignAnswer, ForeignBatch } from '../../distill/foreign-model.ts';
import { logitsOfProbabilities, requireFinite } from './answers.ts';
import type { ModelFit } from './signature.ts';
import type { OpenTeacherRequest, TeacherModel } from './teacher-model.ts';

/** What computes, here or elsewhere. */
export interface ForeignPredictor {
  predict(batch: ForeignBatch): Promise<ForeignAnswer>;
  close(): Promise<void>;
}

export interface ForeignTeacherOptions {
  readonly predictor: ForeignPredictor;
  readonly fit: ModelFit;
  readonly request: OpenTeacherRequest;
  /** Asked for once the model has answered. */
  readonly digest: () => string;
  /** Of a call; absent: any. */
  readonly rowsMax?: number;
}

export class ForeignTeacher implements TeacherModel {
  /** Empty until the model has answered. */
  digest = '';
  readonly classNames: readonly string[];
  readonly parameters = 0;
  readonly #predictor: ForeignPredictor;
  readonly #fit: ModelFit;
  readonly #request: OpenTeacherRequest;
  readonly #name: string;
  /** Ascending: rows of a call; empty: any. */
  readonly #sizes: readonly number[];
  readonly #rowsMax: number;

  private constructor({ predictor, fit, request, rowsMax = Number.POSITIVE_INFINITY }: ForeignTeacherOptions) {
    this.classNames = fit.classNames;
    this.#predictor = predictor;
    this.#fit = fit;
    this.#request = request;
    this.#name = `teacher ${request.teacher}`;
    // What exceeds the limit becomes the limit: sizes stay the same, whatever is asked for.
    this.#sizes = fit.batch === undefined ? request.batchSizes.map((size) => Math.min(size, rowsMax)) : [fit.batch];
    this.#rowsMax = rowsMax;
  }

  /**
   * Has the model answer once, by which what it does not say of itself comes out.
   * @throws DATA_LOSS for an answer of another shape; what the predictor throws
   */
  static async open(options: ForeignTeacherOptions): Promise<ForeignTeacher> {
    const teacher = new ForeignTeacher(options);
    const { height, width, channels } = options.request.dataset.image;
    await teacher.#ask(new Float32Array(height * width * channels), 1, teacher.#rowsFor(1));
    teacher.digest = options.digest();
    return teacher;
  }

  async predict(images: Float32Array, count: number): Promise<Float32Array> {
    const { classNames, kind } = this.#fit;
    const values = new Float32Array(count * classNames.length);
    const imageSize = images.length / count;
    for (let start = 0; start < count; ) {
      const rows = this.#rowsFor(count - start);
      const filled = Math.min(rows, count - start);
      const isWhole = filled === count;
      const part = isWhole ? images : images.slice(start * imageSize, (start + filled) * imageSize);
      const answer = await this.#ask(part, filled, rows);
      values.set(answer.subarray(0, filled * classNames.length), start * classNames.length);
      start += filled;
    }
    if (kind === 'probabilities') return logitsOfProbabilities(values, classNames, this.#name);
    requireFinite(values, classNames, this.#name);
    return values;
  }

  close(): Promise<void> {
    return this.#predictor.close();
  }

  /** Of a batch that holds these images, or the first of them. */
  #rowsFor(count: number): number {
    const sizes = this.#sizes;
    return sizes.find((size) => size >= count) ?? sizes.at(-1) ?? Math.min(count, this.#rowsMax);
  }

  async #ask(images: Float32Array, count: number, rows: number): Promise<Float32Array> {
    const { input, rowShape, output, classNames } = this.#fit;
    const { image } = this.#request.dataset;
    const { values, shape } = await this.#predictor.predict({ images, count, image, input, rowShape, output, rows });
    const [answered, classes, ...rest] = shape;
    if (answered === rows && classes === classNames.length && rest.every((length) => length === 1)) return values;
    const message = `${this.#name} answers ${rows} images with an output of shape [${shape.join(', ')}], expected [${rows}, ${classNames.length}]`;
    throw new StillhouseError('DATA_LOSS', message);
  }
}
