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

/**
 * @param classes of the model; an output beyond them is a dustbin, which is no answer
 * @param labelOf class number within the model, by sample id
 */
export async function evaluate(
  program: TrainableModel,
  dataset: Dataset,
  ids: Uint32Array,
  classes: number,
  labelOf: (id: number) => number,
  signal: AbortSignal,
): Promise<Evaluation> {
  const outputs = program.spec.model.classes;
  const speed = new Stopwatch();
  let correct = 0;
  for await (const { ids: batch, images } of loadBatches(dataset, ids, IMAGES_PER_CALL, signal)) {
    const logits = await speed.time(batch.length, () => program.predict(images, batch.length));
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
