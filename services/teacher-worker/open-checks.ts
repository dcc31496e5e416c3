/** Whether what a student expects is what is served here, looked at before its first batch. */
import { sha256 } from '../../lib/base/digest.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { VIEW_PROTOCOL } from '../../lib/data/views.ts';
import { type AnswerPath, answerFromStored } from '../../lib/distill/logits/answer.ts';
import { columnCount, studentColumns } from '../../lib/distill/logits/columns.ts';
import { rowBytes } from '../../lib/distill/logits/format.ts';
import { batchBytes, largestBatch } from '../../lib/wire/batch-messages.ts';
import type { Open__Output } from '../../lib/wire/generated/stillhouse/v1/Open.ts';
import { MESSAGE_BYTES_MAX } from '../../lib/wire/grpc-options.ts';
import { formatOf } from '../../lib/wire/logits-formats.ts';
import { mixes } from '../../lib/wire/teacher-views.ts';
import type { BatchLimits } from './asked-batch.ts';
import type { ServedTeacher } from './served-teacher.ts';

/** What a stream's batches are answered with. */
export interface OpenedStream {
  readonly teacher: ServedTeacher;
  readonly path: AnswerPath;
  /** Of a reply. */
  readonly columns: number;
  readonly limits: BatchLimits;
  /** Batches that the student may have outstanding. */
  readonly credits: number;
  /** Begins the names of recorded replies: equal for streams whose replies are the same bytes. */
  readonly replies: string;
}

const CREDITS = 64;
/** Of the pixels that a stream may have outstanding. */
const PIXEL_BYTES_MAX = 128 * 1024 * 1024;

/**
 * @throws FAILED_PRECONDITION naming the field that is served otherwise here, or whose messages would be too large;
 *   INVALID_ARGUMENT for what nobody serves
 */
export function checkOpen(open: Open__Output, teacher: ServedTeacher): OpenedStream {
  const { dataset, classNames, cache, microBatch } = teacher;
  const { pixels } = open;
  if (pixels === null) requireSameSamples(open, teacher);
  else requireShape(pixels, teacher);
  const columns = studentColumns(open, classNames);
  const count = columnCount(columns);
  const wire = formatOf(open.format, count);
  const path: AnswerPath = { teacherClasses: classNames.length, stored: cache?.format ?? null, columns, wire };
  // What is stored may not be enough for it: no rows tell that as well as many.
  if (path.stored !== null) answerFromStored(new Uint8Array(0), 0, path);
  requireRoom('format', 'reply', microBatch, rowBytes(wire));
  const { height, width, channels } = dataset.image;
  const imageBytes = pixels === null ? 0 : height * width * channels;
  requireRoom('pixels', 'request', microBatch, imageBytes);
  const pixelBytes = microBatch * imageBytes;
  return {
    teacher,
    path,
    columns: count,
    limits: { microBatch, dataset, mixes: mixes(teacher.views), carriesPixels: pixels !== null },
    credits: pixelBytes === 0 ? CREDITS : Math.min(CREDITS, Math.max(1, Math.floor(PIXEL_BYTES_MAX / pixelBytes))),
    replies: repliesOf(teacher, path),
  };
}

/** Of one teacher: `repliesOf` begins with it. */
export function teacherReplies({ jobId, name }: Pick<ServedTeacher, 'jobId' | 'name'>): string {
  return `${jobId}/${name}/`;
}

function repliesOf(teacher: ServedTeacher, { columns, wire }: AnswerPath): string {
  return `${teacherReplies(teacher)}${sha256(JSON.stringify([teacher.modelDigest, columns, wire]))}/`;
}

function requireSameSamples({ datasetDigest, viewProtocol }: Open__Output, { dataset }: ServedTeacher): void {
  if (dataset.digest !== datasetDigest) {
    throw unmet('dataset_digest', `the data set here is ${dataset.digest}, not ${datasetDigest}`);
  }
  if (viewProtocol !== VIEW_PROTOCOL) {
    throw unmet('view_protocol', `views are computed by rule ${VIEW_PROTOCOL} here, not ${viewProtocol}`);
  }
}

type Shape = { readonly height: number; readonly width: number; readonly channels: number };

function requireShape(pixels: Shape, { dataset: { image } }: ServedTeacher): void {
  const isSame = pixels.height === image.height && pixels.width === image.width && pixels.channels === image.channels;
  if (isSame) return;
  const text = ({ height, width, channels }: Shape) => `${height} x ${width} x ${channels}`;
  throw unmet('pixels', `images of ${text(pixels)} are announced, the teacher is served for images of ${text(image)}`);
}

function requireRoom(field: string, what: string, microBatch: number, sampleBytes: number): void {
  if (microBatch <= largestBatch(sampleBytes)) return;
  const bytes = batchBytes(microBatch, sampleBytes);
  const message = `a ${what} of one micro-batch takes ${bytes} bytes, a message holds ${MESSAGE_BYTES_MAX}`;
  throw new StillhouseError('FAILED_PRECONDITION', message, {
    field,
    hint: 'lower train.microBatch, or choose a smaller distill.logits, or distill.request: ids',
  });
}

function unmet(field: string, message: string): StillhouseError {
  return new StillhouseError('FAILED_PRECONDITION', message, { field });
}
