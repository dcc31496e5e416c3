/** What a student asks for with one message, checked against what the teacher serves. */
import { createHash } from 'node:crypto';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import type { LabelBatch__Output } from '../../lib/wire/generated/stillhouse/v1/LabelBatch.ts';
import type { LogitsKey__Output } from '../../lib/wire/generated/stillhouse/v1/LogitsKey.ts';

/** One lane's micro-batch. */
export interface AskedBatch {
  readonly key: LogitsKey__Output;
  readonly samples: number;
  /** Empty for images of samples that were not named. */
  readonly ids: readonly number[];
  /** The sample that each one is mixed with; null where the job mixes nothing, or the pixels are mixed already. */
  readonly partners: readonly number[] | null;
  /** From 0. */
  readonly epoch: number;
  /** Row-major [samples, height, width, 3], RGB 0..255; null: the teacher reads the samples itself. */
  readonly pixels: Uint8Array | null;
}

export interface BatchLimits {
  /** Of the students' lanes: what a batch has at most. */
  readonly microBatch: number;
  readonly dataset: Dataset;
  /** Whether the job's views mix images: batches then name partners. */
  readonly mixes: boolean;
  /** Whether batches carry images, of the data set's shape. */
  readonly carriesPixels: boolean;
}

/** @throws INVALID_ARGUMENT naming the field */
export function checkBatch(limits: BatchLimits, key: LogitsKey__Output, batch: LabelBatch__Output): AskedBatch {
  const { sampleIds: ids, partnerIds, epoch, pixels } = batch;
  const { microBatch, dataset, mixes, carriesPixels } = limits;
  const samples = carriesPixels ? imagesIn(pixels, limits) : ids.length;
  if (samples === 0 || samples > microBatch) {
    const message = `the batch has ${samples} samples, expected 1 to ${microBatch}: one lane micro-batch`;
    throw malformed(carriesPixels ? 'pixels' : 'sample_ids', message);
  }
  if (carriesPixels) {
    if (ids.length === 0 || ids.length === samples) return { key, samples, ids, partners: null, epoch, pixels };
    throw malformed('sample_ids', `the batch has ${ids.length} ids for ${samples} images`);
  }
  if (pixels.length > 0) throw malformed('pixels', 'the batch carries pixels, which Open has not announced');
  const expected = mixes ? samples : 0;
  if (partnerIds.length !== expected) {
    const why = mixes ? 'one for each sample, as the job mixes images' : 'none, as the job mixes no images';
    throw malformed('partner_ids', `the batch has ${partnerIds.length} partners, expected ${why}`);
  }
  requireKnown('sample_ids', 'sample', ids, dataset);
  requireKnown('partner_ids', 'partner', partnerIds, dataset);
  return { key, samples, ids, partners: mixes ? partnerIds : null, epoch, pixels: null };
}

/** Images of the data set's shape: one byte a value. */
function imagesIn(pixels: Uint8Array, { dataset: { image } }: BatchLimits): number {
  const bytes = image.height * image.width * image.channels;
  if (pixels.length % bytes === 0) return pixels.length / bytes;
  const shape = `${image.height} x ${image.width} x ${image.channels}`;
  throw malformed(
    'pixels',
    `the batch has ${pixels.length} bytes of pixels, expected a multiple of ${bytes}: ${shape}`,
  );
}

function requireKnown(field: string, what: string, ids: readonly number[], { sampleCount, name }: Dataset): void {
  for (const id of ids) {
    if (id < sampleCount) continue;
    const message = `${what} ${id} is not in the data set ${name}, whose ids are 0 to ${sampleCount - 1}`;
    throw malformed(field, message);
  }
}

function malformed(field: string, message: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', message, { field: `batch.${field}` });
}

/** Equal for batches of the same images, whatever the names that they are asked for by. */
export function contentOf({ ids, partners, epoch, pixels }: AskedBatch): string {
  const hash = createHash('sha256').update(Uint32Array.of(epoch, ids.length, ...ids, ...(partners ?? [])));
  if (pixels !== null) hash.update(pixels);
  return hash.digest('base64');
}
