/** Accuracy and speed of a model on samples of a data set. */
import { monotonicMs } from '../base/clock.ts';
import { indexOfMax } from '../base/vectors.ts';
import type { Dataset } from '../data/dataset.ts';
import { loadBatches } from '../data/load-batches.ts';
import type { TrainableModel } from './trainable-model.ts';

export interface Evaluation {
  readonly correct: number;
  readonly evaluated: number;
  /** Predictions alone, without reading images; 0 where none was made. */
  readonly imagesPerSecond: number;
}

const IMAGES_PER_CALL = 256;

/** A model, and samples as it takes them. */
export interface Evaluated {
  /** Logits of an image: its classes, and a dustbin where it has one. */
  readonly outputs: number;
  /** See `Dataset.load`. */
  readonly load: Dataset['load'];
  /** Logits, [count, outputs]. What was loaded is handed over. */
  readonly predict: TrainableModel['predict'];
}

/** What is asked of it. */
export interface Questions {
  readonly ids: Uint32Array;
  /** Of the model; an output beyond them is a dustbin, which is no answer. */
  readonly classes: number;
  /** Class number within the model, by sample id. */
  readonly labelOf: (id: number) => number;
}

/** A model that takes a data set's images. */
export function onImages(model: Pick<TrainableModel, 'spec' | 'predict'>, dataset: Dataset): Evaluated {
  return {
    outputs: model.spec.model.classes,
    load: (ids) => dataset.load(ids),
    predict: (images, count) => model.predict(images, count),
  };
}

export async function evaluate(
  model: Evaluated,
  { ids, classes, labelOf }: Questions,
  signal: AbortSignal,
): Promise<Evaluation> {
  const { outputs } = model;
  const speed = new Stopwatch();
  let correct = 0;
  for await (const { ids: batch, images } of loadBatches(model, ids, IMAGES_PER_CALL, signal)) {
    const logits = await speed.time(batch.length, () => model.predict(images, batch.length));
    for (const [row, id] of batch.entries()) {
      if (indexOfMax(logits.subarray(row * outputs, row * outputs + classes)) === labelOf(id)) correct += 1;
    }
  }
  return { correct, evaluated: ids.length, imagesPerSecond: speed.imagesPerSecond };
}

/** Images per second over all calls but the first, which warms up; over that one where it is the only one. */
class Stopwatch {
  #first: number | undefined;
  #images = 0;
  #milliseconds = 0;

  async time<T>(images: number, work: () => Promise<T>): Promise<T> {
    const startedMs = monotonicMs();
    const result = await work();
    const tookMs = monotonicMs() - startedMs;
    if (this.#first === undefined) this.#first = (1000 * images) / tookMs;
    else {
      this.#images += images;
      this.#milliseconds += tookMs;
    }
    return result;
  }

  get imagesPerSecond(): number {
    return this.#images === 0 ? (this.#first ?? 0) : (1000 * this.#images) / this.#milliseconds;
  }
}
