/** What the tasks in which teachers answer images have in common: whose images, what computes, where answers are stored. */
import type { Logger } from '../../lib/base/log.ts';
import type { ObjectStore } from '../../lib/checkpoint/store.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import type { Compute } from '../../lib/distill/compute.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';

export interface AnsweringTask {
  readonly job: JobSpec;
  readonly dataset: Dataset;
  readonly compute: Compute;
  readonly objects: ObjectStore;
  /** Where logits are stored. */
  readonly logitsFolder: string;
  /** See `LogitsCacheOptions.bytesMax`. */
  readonly logitsBytesMax?: number;
  /** See `OpenTeacherRequest`. */
  readonly cache: string;
  readonly logger: Logger;
}
