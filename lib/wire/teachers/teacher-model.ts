/** A teacher as a worker uses it, whatever framework and machine it computes on. */
import type { ObjectStore } from '../../checkpoint/store.ts';
import type { Dataset } from '../../data/dataset.ts';
import type { Compute } from '../../distill/compute.ts';
import type { JobSpec } from '../job-spec.ts';

export interface OpenTeacherRequest {
  readonly job: JobSpec;
  /** Its name in the job: a teacher, or a student that others learn from. */
  readonly teacher: string;
  /** What it must be; empty for a given teacher of which nobody has told the digest yet. */
  readonly modelDigest: string;
  readonly objects: ObjectStore;
  readonly compute: Compute;
  /** Its image shape is that of the images to predict, its class names are those of models that name none. */
  readonly dataset: Dataset;
  /**
   * Ascending: images are computed in batches of exactly these sizes, filled up, so that the bits of an answer never depend on
   * how many were asked for. Empty: whatever is quickest.
   */
  readonly batchSizes: readonly number[];
  /** The folder under which stored files of models are put; see `cacheRoot`. */
  readonly cache: string;
  readonly signal: AbortSignal;
}

export interface TeacherModel {
  /** Of the artefact; of another model see `sourceDigest`. */
  readonly digest: string;
  /** In the order of its outputs. */
  readonly classNames: readonly string[];
  /** 0 where nothing tells. */
  readonly parameters: number;
  /**
   * Calls are answered in order.
   * @param images [count, height, width, 3] in the data set's size, RGB 0..255; handed over
   * @returns [count, classNames], logits
   * @throws DATA_LOSS for an answer that is none: of another shape, or, naming row and class, not finite; UNAVAILABLE
   *   when its server does not answer, or not in time, also when asked once more; FAILED_PRECONDITION when its server has another version of it now
   */
  predict(images: Float32Array, count: number): Promise<Float32Array>;
  /** None may be outstanding, none may follow. */
  close(): Promise<void>;
}
