/** Accuracy of a model on samples of a data set. */
import { indexOfMax } from '../base/vectors.ts';
import type { Dataset } from '../data/dataset.ts';
import type { TrainableModel } from './trainable-model.ts';

export interface Evaluation {
  readonly correct: number;
  readonly evaluated: number;
}

const IMAGES_PER_CALL = 256;

/** @param labelOf class number within the model, by sample id */
export async function evaluate(
  program: TrainableModel,
  dataset: Dataset,
  ids: Uint32Array,
  labelOf: (id: number) => number,
  signal: AbortSignal,
): Promise<Evaluation> {
  const { classes } = program.spec.model;
  let correct = 0;
  for (let start = 0; start < ids.length; start += IMAGES_PER_CALL) {
    signal.throwIfAborted();
    const batch = ids.subarray(start, start + IMAGES_PER_CALL);
    const logits = await program.predict(dataset.readImages(batch), batch.length);
    for (const [row, id] of batch.entries()) {
      if (indexOfMax(logits.subarray(row * classes, (row + 1) * classes)) === labelOf(id)) correct += 1;
    }
  }
  return { correct, evaluated: ids.length };
}
