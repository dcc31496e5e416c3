/** Loads a stored teacher and serves its logits to one job until the task is cancelled. */
import { untilAborted } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { loadModel } from '../../lib/checkpoint/models.ts';
import type { ObjectStore } from '../../lib/checkpoint/store.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import type { Compute } from '../../lib/distill/compute.ts';
import { openModel } from '../../lib/distill/predictor.ts';
import type { ModelManifest } from '../../lib/model/artefact.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import type { TaskContext, TaskResult } from '../../lib/wire/worker-session.ts';
import type { LogitsService } from './logits-service.ts';

export interface ServeTeacherRequest {
  readonly jobId: string;
  readonly job: JobSpec;
  readonly modelDigest: string;
  readonly dataset: Dataset;
  readonly compute: Compute;
  readonly objects: ObjectStore;
  readonly logits: LogitsService;
}

export async function serveTeacher(request: ServeTeacherRequest, task: TaskContext): Promise<TaskResult> {
  const { jobId, job, modelDigest, dataset, compute, objects, logits } = request;
  const { manifest, tensors } = await loadModel(objects, modelDigest);
  requireSameData(modelDigest, manifest, dataset);
  // One fixed shape, whatever the batch: another shape would change low-order bits of the logits.
  const program = await openModel(compute, manifest, tensors, [job.train.microBatch]);
  try {
    logits.serve({ jobId, job, modelDigest, classNames: manifest.classNames, dataset, program });
    task.ready({ parameters: program.spec.model.parameterCount, stepsTotal: 0 });
    await untilAborted(task.signal);
    return {};
  } finally {
    logits.withdraw(jobId);
    await program.close();
  }
}

/** An imported teacher has seen other data; that it knows the job's classes is all that can be asked of it. */
function requireSameData(digest: string, { lineage, parentClassNames }: ModelManifest, dataset: Dataset): void {
  if (lineage.arm !== 'imported' && lineage.dataset !== dataset.digest) {
    throw new StillhouseError('FAILED_PRECONDITION', `teacher ${digest} was not trained on the job's data set`);
  }
  if (parentClassNames.join() !== dataset.classNames.join()) {
    throw new StillhouseError('FAILED_PRECONDITION', `teacher ${digest} has other classes than the job's data set`);
  }
}
