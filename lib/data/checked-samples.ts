/** Samples of a source on their way into a data set: each is read, and decoded as every reader will. */
import { StillhouseError } from '../base/errors.ts';
import { WorkBudget } from '../base/work-budget.ts';
import type { SampleSource } from './sample-source.ts';
import { MAX_RECORD_BYTES, rawRecordBytes } from './shard-file.ts';

export interface CheckedSample {
  readonly index: number;
  /** Null for a damaged sample. */
  readonly record: Uint8Array | null;
  /** Where they were asked for: of an encoded record as it will be delivered. */
  readonly pixels: Uint8Array | null;
  /** What is wrong with a damaged sample. */
  readonly error: StillhouseError | null;
}

/** Samples that are read and checked at a time. */
const AHEAD = 8;
/** Of pictures that are decoded at a time: a few bytes each. One may have more by itself. */
const PIXELS_AT_WORK = 2 ** 25;

/**
 * The samples in the order given, a few of them at work at a time.
 *
 * @param keepPixels whether anyone wants them
 * @throws what the source throws, but for a damaged sample; the signal's reason
 */
export async function* checkedSamples(
  source: SampleSource,
  order: Uint32Array,
  keepPixels: boolean,
  signal: AbortSignal | undefined,
): AsyncGenerator<CheckedSample> {
  const budget = new WorkBudget(PIXELS_AT_WORK);
  const ahead: Promise<CheckedSample>[] = [];
  let next = 0;
  try {
    while (next < order.length || ahead.length > 0) {
      signal?.throwIfAborted();
      while (ahead.length < AHEAD && next < order.length) {
        const sample = checkSample(source, order[next++] as number, keepPixels, budget);
        // It surfaces when it is this sample's turn, which never comes after an earlier one has failed.
        sample.catch(() => undefined);
        ahead.push(sample);
      }
      yield await (ahead.shift() as Promise<CheckedSample>);
    }
  } finally {
    // The source is the caller's again after this.
    await Promise.allSettled(ahead);
  }
}

/** @throws what the source throws, but for a damaged sample */
async function checkSample(
  source: SampleSource,
  index: number,
  keepPixels: boolean,
  budget: WorkBudget,
): Promise<CheckedSample> {
  try {
    const record = await source.read(index);
    const pixels = await pixelsOf(source, record, source.whereOf(index), budget);
    return { index, record, pixels: keepPixels ? pixels : null, error: null };
  } catch (error) {
    if (!(error instanceof StillhouseError) || error.code !== 'DATA_LOSS') throw error;
    return { index, record: null, pixels: null, error };
  }
}

/** @throws StillhouseError DATA_LOSS when the record cannot be decoded */
async function pixelsOf(
  { storage, image }: SampleSource,
  record: Uint8Array,
  where: string,
  budget: WorkBudget,
): Promise<Uint8Array> {
  const damaged = (what: string) => new StillhouseError('DATA_LOSS', `${where} ${what}`, { field: where });
  if (storage.kind === 'raw') {
    const expected = rawRecordBytes(storage);
    if (record.length === expected) return record;
    throw damaged(`has ${record.length} bytes of pixels, expected ${expected}`);
  }
  if (record.length > MAX_RECORD_BYTES) throw damaged(`has ${record.length} bytes, above ${MAX_RECORD_BYTES}`);
  const { decodeImage, imageSize } = await import('./decode-image.ts');
  const { width, height } = await imageSize(record, where);
  return await budget.run(width * height, () => decodeImage(record, image, { fit: storage.fit, where }));
}
