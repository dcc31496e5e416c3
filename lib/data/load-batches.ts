/** The images of many samples, batch by batch: while one batch is in use, the next one is loaded. */
import type { Dataset } from './dataset.ts';

export interface LoadedBatch {
  readonly ids: Uint32Array;
  /** [ids, height, width, channels], RGB 0..255. */
  readonly images: Float32Array;
}

/**
 * The samples as they are, in their order; two batches are in memory at most.
 * @throws what `Dataset.load` throws, at the batch that it concerns; the signal's reason
 */
export async function* loadBatches(
  dataset: Pick<Dataset, 'load'>,
  ids: Uint32Array,
  batchSize: number,
  signal: AbortSignal,
): AsyncGenerator<LoadedBatch> {
  const load = async (start: number): Promise<LoadedBatch> => {
    const batch = ids.subarray(start, start + batchSize);
    return { ids: batch, images: await dataset.load(batch) };
  };
  let next: Promise<LoadedBatch> | null = null;
  for (let start = 0; start < ids.length; start += batchSize) {
    signal.throwIfAborted();
    const batch: LoadedBatch = await (next ?? load(start));
    const end = start + batchSize;
    next = end < ids.length ? load(end) : null;
    // It surfaces when it is this batch's turn, which never comes for who stops earlier.
    next?.catch(() => undefined);
    yield batch;
  }
}
