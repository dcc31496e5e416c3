/**
 * Lets a teacher answer the training images of a job and stores the answers: the logits in the cache, where what is there is not
 * computed again, and the classes, by which images without labels are dealt out.
 */

import { StillhouseError } from '../../lib/base/errors.ts';
import { retryUnavailable } from '../../lib/base/retry.ts';
import { type LabelsTable, storeLabels } from '../../lib/checkpoint/labels.ts';
import { answeringTeacher } from '../../lib/wire/answering-teacher.ts';
import { batchProgress } from '../../lib/wire/batch-progress.ts';
import type { LabelImages__Output } from '../../lib/wire/generated/stillhouse/v1/LabelImages.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { openTeacher, type TeacherModel } from '../../lib/wire/teachers/open-teacher.ts';
import { STORE_PATIENCE } from '../../lib/wire/trainer.ts';
import type { TaskContext, TaskProgressFields, TaskResult } from '../../lib/wire/worker-session.ts';
import { AnsweredClasses } from './answered-classes.ts';
import type { AnsweringTask } from './answering-task.ts';
import { type LabelBatch, LabelBatches } from './label-batches.ts';
import { LabelPasses } from './label-passes.ts';
import { LabelTeacher } from './label-teacher.ts';

export interface LabelImagesRequest extends AnsweringTask {
  readonly command: LabelImages__Output;
  readonly workerId: string;
}

/** What a batch so much later lies in is brought near. */
const PREFETCH_BATCHES = 16;

/**
 * @throws FAILED_PRECONDITION for a teacher of none of the data set's classes, and for logits that do not fit the format in which
 *   they are to be stored; RESOURCE_EXHAUSTED when there is no room where the job asks for storing them; DATA_LOSS, naming sample
 *   and class, for an answer that is not finite; what `openTeacher` and the stores throw; the signal's reason
 */
export async function labelImages(request: LabelImagesRequest, task: TaskContext): Promise<TaskResult> {
  const { job, command, dataset, compute, objects, cache, logitsFolder, logitsBytesMax, logger } = request;
  const { signal } = task;
  const { teacher, modelDigest, answers: wantsAnswers } = command;
  const batchSize = batchSizeOf(job);
  const batchSizes = [batchSize];
  const model = await openTeacher({ job, teacher, modelDigest, objects, compute, dataset, batchSizes, cache, signal });
  try {
    const opened = { teacher, modelDigest: model.digest };
    const answering = await answeringTeacher({ job, dataset, objects, signal }, opened);
    const stores = { logitsFolder, logitsBytesMax, logger };
    const passes = await LabelPasses.open({ job, teacher: answering, dataset, wantsAnswers, ...stores });
    try {
      return await new LabelWork(request, { model, passes, batchSize }, task).run();
    } finally {
      await passes.close();
    }
  } finally {
    await model.close();
  }
}

/** The shape in which the teacher serves students of a reproducible job: another one would change low-order bits of the logits. */
function batchSizeOf({ train, distill, averaging }: JobSpec): number {
  return averaging.reproducible ? train.microBatch : Math.max(train.microBatch, distill.merge.images);
}

interface LabelParts {
  readonly model: TeacherModel;
  readonly passes: LabelPasses;
  /** Images that are computed at once. */
  readonly batchSize: number;
}

class LabelWork {
  readonly #request: LabelImagesRequest;
  readonly #parts: LabelParts;
  readonly #task: TaskContext;
  readonly #teacher: LabelTeacher;
  /** Null where nobody wants them. */
  readonly #classes: AnsweredClasses | null;
  #batchesDone = 0;
  #imagesDone = 0;
  /** Images that were answered already. */
  #imagesStored = 0;

  constructor(request: LabelImagesRequest, parts: LabelParts, task: TaskContext) {
    const { dataset, command } = request;
    const { model, passes } = parts;
    this.#request = request;
    this.#parts = parts;
    this.#task = task;
    this.#teacher = new LabelTeacher(model, dataset, task.signal);
    const answered = passes.all.find(({ wantsAnswers }) => wantsAnswers);
    const answering = { teacher: command.teacher, classNames: model.classNames, dataset };
    this.#classes = answered === undefined ? null : new AnsweredClasses(answered.ids.length, answering);
  }

  async run(): Promise<TaskResult> {
    const { model, passes, batchSize } = this.#parts;
    const batches = await LabelBatches.missing(passes.all, this.#classes, batchSize);
    const images = passes.all.reduce((sum, { ids }) => sum + ids.length, 0);
    this.#imagesStored = images - batches.images;
    const notice = this.#imagesStored === 0 ? '' : `${this.#imagesStored} of ${images} answers were stored already`;
    this.#task.ready({ parameters: model.parameters, stepsTotal: batches.length, notice });
    await this.#task.begun;
    await this.#answerAll(batches);
    const labelsDigest = await this.#storeAnswers();
    return { last: this.#progress(), labelsDigest };
  }

  async #answerAll(batches: LabelBatches): Promise<void> {
    const { signal } = this.#task;
    let next: Promise<Float32Array> | undefined;
    for (let index = 0; index < batches.length; index++) {
      const batch = batches.at(index) as LabelBatch;
      const current = next ?? this.#teacher.answer(batch);
      const following = batches.at(index + 1);
      // The compute thread goes on with the next batch while this one is taken in.
      next = following === undefined ? undefined : this.#teacher.answer(following);
      // Nobody waits for it any more when the batch before it fails.
      next?.catch(() => undefined);
      this.#prefetch(batches.at(index + PREFETCH_BATCHES));
      const logits = await current;
      signal.throwIfAborted();
      this.#keep(batch, logits);
      this.#task.progress(this.#progress());
      if (this.#isInVain()) return;
    }
    await this.#parts.passes.flush();
    this.#isInVain();
  }

  #keep(batch: LabelBatch, logits: Float32Array): void {
    const { pass, images, ids, partners } = batch;
    const { cache, rule } = pass;
    const classes = pass.wantsAnswers ? this.#classes : null;
    if (cache === null) classes?.take(images, logits);
    else {
      const rows = this.#teacher.encode(batch, logits, cache.format);
      cache.keep({ view: rule.number, ids, partners }, rows);
      // As it is read again later: whether it was stored before makes no difference.
      if (classes?.canRead(cache.format)) classes.takeRows(images, rows, cache.format);
      else classes?.take(images, logits);
    }
    this.#batchesDone += 1;
    this.#imagesDone += ids.length;
  }

  /** Whether nothing comes of going on: nothing can be stored, and nobody wants the classes. @throws RESOURCE_EXHAUSTED */
  #isInVain(): boolean {
    const { problem } = this.#parts.passes;
    if (problem === null) return false;
    // Where the job has only not forbidden to store them, it goes on without.
    if (this.#request.job.distill.cache.mode !== 'on') return this.#classes === null;
    const { command, logitsFolder } = this.#request;
    const message = `the logits of teacher ${command.teacher} cannot be stored: ${problem}`;
    const hint = `look at ${logitsFolder}; room comes of \`stillhouse cache clear --unused-for 30d\`, or of a larger STILLHOUSE_LOGITS_MAX_BYTES`;
    throw new StillhouseError('RESOURCE_EXHAUSTED', message, { field: 'distill.cache', hint });
  }

  #prefetch(batch: LabelBatch | undefined): void {
    if (batch === undefined) return;
    const { dataset } = this.#request;
    dataset.prefetch(batch.ids);
    if (batch.partners !== null) dataset.prefetch(batch.partners);
  }

  #progress(): TaskProgressFields {
    const { share, ...progress } = batchProgress(this.#request.workerId, this.#batchesDone, this.#imagesDone);
    const teacherSamples = this.#imagesDone + this.#imagesStored;
    return { ...progress, share: { ...share, teacherSamples, cachedSamples: this.#imagesStored } };
  }

  /** The digest of the classes that were answered; empty where nobody wants them. */
  async #storeAnswers(): Promise<string> {
    if (this.#classes === null) return '';
    const { dataset, objects } = this.#request;
    const { model, passes } = this.#parts;
    const ids = passes.all.find(({ wantsAnswers }) => wantsAnswers)?.ids ?? new Uint32Array(0);
    const { answers } = this.#classes;
    const [datasetDigest, teacherDigest, classes] = [dataset.digest, model.digest, dataset.classNames.length];
    const table: LabelsTable = { datasetDigest, teacherDigest, classes, ids, answers };
    const { signal } = this.#task;
    return await retryUnavailable(() => storeLabels(objects, table), { ...STORE_PATIENCE, signal });
  }
}
