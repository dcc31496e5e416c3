/** A teacher that is loaded for a job, with what is stored of its answers. */
import type { CachedLogits } from '../../lib/checkpoint/logits-cache/cache.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { type ViewRule, type ViewsSpec, viewNumber } from '../../lib/data/views.ts';
import { type AnswerPath, answerFromLogits, answerFromStored } from '../../lib/distill/logits/answer.ts';
import { encodeRows, rowBytes } from '../../lib/distill/logits/format.ts';
import type { AskedBatch } from './asked-batch.ts';
import type { Merging } from './batch-queue.ts';
import { encodeInParts } from './row-parts.ts';
import type { ServingCounters } from './serving-counters.ts';

export interface ServedTeacher {
  readonly jobId: string;
  /** Its name in the job. */
  readonly name: string;
  readonly modelDigest: string;
  /** In the order of its outputs. */
  readonly classNames: readonly string[];
  readonly dataset: Dataset;
  /** The job's. */
  readonly seed: number;
  /** What it sees of an image. */
  readonly views: ViewsSpec;
  /** Of the students' lanes: what a batch has at most. */
  readonly microBatch: number;
  /** Null in reproducible jobs: each batch is computed by itself, so that its bits do not depend on others. */
  readonly merging: Merging | null;
  /** Null where nothing is stored. */
  readonly cache: CachedLogits | null;
  /** [count, height, width, 3] of RGB 0..255, handed over → [count, classNames], see `TeacherModel.predict`. */
  readonly predict: (images: Float32Array, count: number) => Promise<Float32Array>;
  readonly counters: ServingCounters;
}

export function viewOf({ seed, views }: ServedTeacher, epoch: number): ViewRule {
  return { ...views, seed, number: viewNumber(views, epoch) };
}

/** What is stored of a batch. */
export interface FoundRows {
  /** In the cache's format; those that are missing are yet to be written. */
  readonly rows: Uint8Array;
  /** Places in the batch. */
  readonly missing: readonly number[];
}

/** Null where nothing can be stored of the batch: what is in pixels that a student sends is only known to the student. */
export function lookUp(teacher: ServedTeacher, batch: AskedBatch): FoundRows | null {
  if (teacher.cache === null || batch.pixels !== null) return null;
  return teacher.cache.lookup(viewed(teacher, batch));
}

/** What the student gets of a batch all of which is stored. */
export function storedAnswer({ rows }: FoundRows, { samples }: AskedBatch, path: AnswerPath): Uint8Array {
  return answerFromStored(rows, samples, path);
}

/**
 * What the student gets of a batch when the rest of it has been computed; that is stored first, and what was stored before
 * stays as it is: the bits do not depend on where a row came from.
 *
 * @param computed the places in the batch that the rows of `logits` belong to; null: all, in order
 * @param logits [computed, the teacher's classes]
 * @throws what `encodeRows` throws
 */
export async function computedAnswer(
  teacher: ServedTeacher,
  batch: AskedBatch,
  { found, computed, logits, path }: ComputedRows,
): Promise<Uint8Array> {
  const { cache } = teacher;
  const classes = teacher.classNames.length;
  const logitsOf = (from: number, to: number) => logits.subarray(from * classes, to * classes);
  if (found === null || cache === null) {
    return encodeInParts(batch.samples, classes, (from, to) => answerFromLogits(logitsOf(from, to), to - from, path));
  }
  const bytes = rowBytes(cache.format);
  const fresh = await encodeInParts(logits.length / classes, classes, (from, to) =>
    encodeRows(logitsOf(from, to), cache.format),
  );
  const rowOf = new Map(computed?.map((place, row) => [place, row]));
  for (const place of found.missing) {
    const row = computed === null ? place : (rowOf.get(place) as number);
    found.rows.set(fresh.subarray(row * bytes, (row + 1) * bytes), place * bytes);
  }
  cache.keep(viewed(teacher, batch), found.rows);
  return encodeInParts(batch.samples, classes, (from, to) =>
    answerFromStored(found.rows.subarray(from * bytes, to * bytes), to - from, path),
  );
}

export interface ComputedRows {
  readonly found: FoundRows | null;
  readonly computed: readonly number[] | null;
  readonly logits: Float32Array;
  readonly path: AnswerPath;
}

function viewed({ views }: ServedTeacher, { ids, partners, epoch }: AskedBatch) {
  return { view: viewNumber(views, epoch), ids, partners };
}
