/** Loads a stored teacher and serves its logits to one job until the task is cancelled. */
import { untilAborted } from '../../lib/base/clock.ts';
import { type LabelsTable, loadLabels, requireLabels, rowOf } from '../../lib/checkpoint/labels.ts';
import type { ObjectStore } from '../../lib/checkpoint/store.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { selectSplits } from '../../lib/data/splits.ts';
import { areOff } from '../../lib/data/views.ts';
import type { Compute, Program } from '../../lib/distill/compute.ts';
import { openModel } from '../../lib/distill/predictor.ts';
import { networkOf } from '../../lib/model/manifest-network.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { mixes } from '../../lib/wire/teacher-views.ts';
import type { TaskContext, TaskResult } from '../../lib/wire/worker-session.ts';
import type { LogitsService } from './logits-service.ts';
import { loadTeacher, viewsOf } from './stored-teacher.ts';
import { TeacherAnswers } from './teacher-answers.ts';

export interface ServeTeacherRequest {
  readonly jobId: string;
  readonly job: JobSpec;
  /** Its name in the job. */
  readonly teacher: string;
  readonly modelDigest: string;
  /** Of its stored answers; empty where there are none. */
  readonly labelsDigest: string;
  readonly dataset: Dataset;
  readonly compute: Compute;
  readonly objects: ObjectStore;
  readonly logits: LogitsService;
}

/**
 * @throws FAILED_PRECONDITION for a teacher, or answers, of other data or another teacher; what `loadTeacher`, `loadLabels`
 *   and `Compute.open` throw
 */
export async function serveTeacher(request: ServeTeacherRequest, task: TaskContext): Promise<TaskResult> {
  const { jobId, job, modelDigest, dataset, compute, objects, logits } = request;
  const { microBatch } = job.train;
  const views = viewsOf(job, request.teacher);
  const { manifest, tensors } = await loadTeacher(objects, modelDigest, dataset);
  const { classNames } = manifest;
  const labels = areOff(views) ? await storedAnswers(request, classNames.length) : null;
  // One fixed shape, whatever the batch: another shape would change low-order bits of the logits.
  const model = new ModelOnDemand(() => openModel(compute, manifest, tensors, [microBatch]));
  try {
    if (!answersAll(labels, job, dataset)) await model.open();
    const predict = async (images: Float32Array, count: number) => (await model.open()).predict(images, count);
    const answers = new TeacherAnswers({
      dataset,
      seed: job.seed,
      views,
      classes: classNames.length,
      labels,
      predict,
    });
    logits.serve({ jobId, microBatch, modelDigest, classNames, dataset, mixes: mixes(views), answers });
    task.ready({ parameters: networkOf(manifest).parameterCount, stepsTotal: 0 });
    await untilAborted(task.signal);
    return {};
  } finally {
    logits.withdraw(jobId);
    await model.close();
  }
}

async function storedAnswers(request: ServeTeacherRequest, classes: number): Promise<LabelsTable | null> {
  const { labelsDigest, modelDigest, dataset, objects } = request;
  if (labelsDigest === '') return null;
  const labels = await loadLabels(objects, labelsDigest);
  requireLabels(labels, labelsDigest, { datasetDigest: dataset.digest, teacherDigest: modelDigest, classes });
  return labels;
}

/** Whether students find everything that they may ask for in the table. */
function answersAll(labels: LabelsTable | null, job: JobSpec, dataset: Dataset): boolean {
  if (labels === null) return false;
  return selectSplits(dataset, { seed: job.seed, ...job.data }).train.every((id) => rowOf(labels, id) !== -1);
}

/** A model that takes memory and time to compile only where something is left to compute. */
class ModelOnDemand {
  readonly #compile: () => Promise<Program>;
  #program: Promise<Program> | undefined;

  constructor(compile: () => Promise<Program>) {
    this.#compile = compile;
  }

  open(): Promise<Program> {
    this.#program ??= this.#compile();
    return this.#program;
  }

  async close(): Promise<void> {
    // That it could not be opened has been told to whoever asked for it.
    await this.#program?.then(
      (program) => program.close(),
      () => undefined,
    );
  }
}
