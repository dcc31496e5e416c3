/** A teacher as its stored answers know it: what is stored is found again by every job whose teacher answers the same. */
import { retryUnavailable } from '../base/retry.ts';
import { loadManifest } from '../checkpoint/models.ts';
import type { ObjectStore } from '../checkpoint/store.ts';
import type { Dataset } from '../data/dataset.ts';
import { answersDigest } from '../model/answers-digest.ts';
import type { TaughtModel__Output } from './generated/stillhouse/v1/TaughtModel.ts';
import type { JobSpec } from './job-spec.ts';
import { STORE_PATIENCE } from './trainer.ts';

export interface AnsweringTeacher {
  /** In the job file; may be a student that teaches others. */
  readonly name: string;
  /** See `TeacherModel.digest`. */
  readonly modelDigest: string;
  /** The same for all models that answer the same: see `answersDigest` and `sourceDigest`. */
  readonly answersDigest: string;
  /** In the order of its outputs. */
  readonly classNames: readonly string[];
}

export interface AnsweringTeacherRequest {
  readonly job: JobSpec;
  readonly dataset: Pick<Dataset, 'classNames'>;
  readonly objects: ObjectStore;
  readonly signal: AbortSignal;
}

/**
 * Without opening the teacher.
 * @throws as `loadManifest` does, for a teacher in our own format; UNAVAILABLE when the store stays away; the signal's reason
 */
export async function answeringTeacher(
  { job, dataset, objects, signal }: AnsweringTeacherRequest,
  { teacher: name, modelDigest }: TaughtModel__Output,
): Promise<AnsweringTeacher> {
  const source = job.teachers.find((teacher) => teacher.name === name)?.from;
  if (source !== undefined && source.type !== 'weights') {
    const { classNames = dataset.classNames } = source;
    return { name, modelDigest, answersDigest: modelDigest, classNames };
  }
  const manifest = await retryUnavailable(() => loadManifest(objects, modelDigest), { ...STORE_PATIENCE, signal });
  return { name, modelDigest, answersDigest: answersDigest(manifest), classNames: manifest.classNames };
}
