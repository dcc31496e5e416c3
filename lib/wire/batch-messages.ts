/** What a micro-batch may be made of, so that the messages that ask for it and answer it are no larger than messages may be. */
import { StillhouseError } from '../base/errors.ts';
import type { ImageShape } from '../data/manifest.ts';
import { rowBytes } from '../distill/logits/format.ts';
import { MESSAGE_BYTES_MAX } from './grpc-options.ts';
import type { JobSpec } from './job-spec.ts';
import { wireFormat } from './logits-formats.ts';
import { taughtBy } from './teaching.ts';

/** Of a message, beside its samples. */
const ENVELOPE_BYTES = 4096;
/** Of a sample, beside its pixels or logits: what names it. */
const NAME_BYTES = 16;

/** @param sampleBytes pixels or logits of one sample */
export function batchBytes(samples: number, sampleBytes: number): number {
  return samples * (sampleBytes + NAME_BYTES);
}

/** How many samples fit into a message. @param sampleBytes as for `batchBytes` */
export function largestBatch(sampleBytes: number): number {
  return Math.floor((MESSAGE_BYTES_MAX - ENVELOPE_BYTES) / batchBytes(1, sampleBytes));
}

/**
 * @param sampleBytes as for `batchBytes`
 * @param cause what makes the messages so large, e.g. `distill.request is pixels`
 * @throws INVALID_ARGUMENT when a micro-batch of the job does not fit into a message
 */
function requireRoom(
  { train }: Pick<JobSpec, 'train'>,
  sampleBytes: number,
  { cause, remedy }: { readonly cause: string; readonly remedy: string },
): void {
  const largest = largestBatch(sampleBytes);
  if (train.microBatch <= largest) return;
  const message = `train.microBatch: expected at most ${largest}, because ${cause} and a message is at most ${MESSAGE_BYTES_MAX} bytes, got ${train.microBatch}`;
  const hint = `choose a smaller train.microBatch, or ${remedy}`;
  throw new StillhouseError('INVALID_ARGUMENT', message, { field: 'train.microBatch', hint });
}

/**
 * @param classNames of the data set
 * @throws INVALID_ARGUMENT when a teacher's logits for a micro-batch of any student are more than a message may be
 */
export function requireRepliesFit(job: JobSpec, classNames: readonly string[]): void {
  for (const student of job.students) {
    if (taughtBy(job, student).length === 0) continue;
    const { name, classes = classNames, dustbin } = student;
    const bytes = rowBytes(wireFormat(job, classes.length + (dustbin ? 1 : 0)));
    const cause = `the logits of a sample for student ${name} take ${bytes} bytes`;
    requireRoom(job, bytes, { cause, remedy: 'a smaller encoding as distill.logits' });
  }
}

/** @throws INVALID_ARGUMENT when a micro-batch of images would be larger than a message may be */
export function requirePixelsFit(job: Pick<JobSpec, 'distill' | 'train'>, images: ImageShape): void {
  if (job.distill.request !== 'pixels') return;
  const { height, width, channels } = images;
  const cause = 'distill.request is pixels';
  requireRoom(job, height * width * channels, { cause, remedy: 'distill.request: ids' });
}
