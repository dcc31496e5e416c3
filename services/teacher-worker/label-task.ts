/** Lets a stored teacher answer every training image of a job once, as the image is, and stores the answers. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { retryUnavailable } from '../../lib/base/retry.ts';
import { type LabelsTable, storeLabels } from '../../lib/checkpoint/labels.ts';
import type { ObjectStore } from '../../lib/checkpoint/store.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { selectSplits } from '../../lib/data/splits.ts';
import type { Compute, Program } from '../../lib/distill/compute.ts';
import { openModel } from '../../lib/distill/predictor.ts';
import { batchProgress } from '../../lib/wire/batch-progress.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { STORE_PATIENCE } from '../../lib/wire/trainer.ts';
import type { TaskContext, TaskResult } from '../../lib/wire/worker-session.ts';
import { loadTeacher } from './stored-teacher.ts';

export interface LabelImagesRequest {
  readonly job: JobSpec;
  /** Of the teacher. */
  readonly modelDigest: string;
  readonly workerId: string;
  readonly dataset: Dataset;
  readonly compute: Compute;
  readonly objects: ObjectStore;
}

/** Images that are computed at a time, whatever the job: another shape would change low-order bits of the logits. */
const BATCH_SIZE = 32;

/**
 * @throws FAILED_PRECONDITION for a teacher of other classes than the data set's, and for an answer that is not finite; what
 *   `loadTeacher`, `Compute.open` and the store throw; the signal's reason
 */
export async function labelImages(request: LabelImagesRequest, task: TaskContext): Promise<TaskResult> {
  const { job, modelDigest, dataset, compute, objects } = request;
  const { signal } = task;
  const { manifest, tensors } = await loadTeacher(objects, modelDigest, dataset);
  requireAllClasses(modelDigest, manifest.classNames, dataset);
  const { train: ids } = selectSplits(dataset, { seed: job.seed, ...job.data });
  const program = await openModel(compute, manifest, tensors, [BATCH_SIZE]);
  try {
    const batches = Math.ceil(ids.length / BATCH_SIZE);
    task.ready({ parameters: program.spec.model.parameterCount, stepsTotal: batches });
    await task.begun;
    const logits = await answerAll(program, dataset, ids, {
      signal,
      onBatch: (step, images) => task.progress(batchProgress(request.workerId, step, images)),
    });
    const classes = dataset.classNames.length;
    const table: LabelsTable = { datasetDigest: dataset.digest, teacherDigest: modelDigest, ids, classes, logits };
    const labelsDigest = await retryUnavailable(() => storeLabels(objects, table), { ...STORE_PATIENCE, signal });
    return { last: batchProgress(request.workerId, batches, ids.length), labelsDigest };
  } finally {
    await program.close();
  }
}

/** The images of a student without labels are dealt out by the teacher's columns: they must be the data set's classes. */
function requireAllClasses(digest: string, classNames: readonly string[], dataset: Dataset): void {
  if (classNames.join() === dataset.classNames.join()) return;
  const expected = `expected those of the data set, in its order: ${dataset.classNames.join(', ')}`;
  const message = `teacher ${digest} answers for the classes ${classNames.join(', ')}, ${expected}`;
  throw new StillhouseError('FAILED_PRECONDITION', message, { field: 'model_digest' });
}

interface Watch {
  readonly signal: AbortSignal;
  /** Called after each batch with the number of batches and images that are done. */
  readonly onBatch: (batches: number, images: number) => void;
}

/** Logits, [ids, classes]. */
async function answerAll(program: Program, dataset: Dataset, ids: Uint32Array, watch: Watch): Promise<Float32Array> {
  const { classes } = program.spec.model;
  const logits = new Float32Array(ids.length * classes);
  const ask = (start: number): Promise<Float32Array> => {
    const batch = ids.subarray(start, start + BATCH_SIZE);
    const answer = dataset.load(batch).then((images) => program.predict(images, batch.length));
    // Nobody waits for it any more when the batch before it fails.
    answer.catch(() => undefined);
    return answer;
  };
  let next = ask(0);
  for (let start = 0, end = 0; start < ids.length; start = end) {
    end = Math.min(start + BATCH_SIZE, ids.length);
    const current = next;
    // The compute thread goes on with the next batch while this one is taken in.
    if (end < ids.length) next = ask(end);
    const answer = await current;
    watch.signal.throwIfAborted();
    requireFinite(answer, ids.subarray(start, end), dataset.classNames);
    logits.set(answer, start * classes);
    watch.onBatch(Math.ceil(end / BATCH_SIZE), end);
  }
  return logits;
}

/** @param logits [ids, classNames] */
function requireFinite(logits: Float32Array, ids: Uint32Array, classNames: readonly string[]): void {
  const at = logits.findIndex((logit) => !Number.isFinite(logit));
  if (at === -1) return;
  const [id, name] = [ids[Math.floor(at / classNames.length)], classNames[at % classNames.length]];
  throw new StillhouseError('FAILED_PRECONDITION', `the teacher answers image ${id} with ${logits[at]} for ${name}`, {
    field: 'model_digest',
    hint: 'train the teacher with a lower learning rate, or start it from other weights',
  });
}
