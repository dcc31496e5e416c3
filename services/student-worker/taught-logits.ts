/** One teacher's logits for a student: from the cache where they are stored, else from its workers. */
import { monotonicMs, unlessAborted } from '../../lib/base/clock.ts';
import { describeError } from '../../lib/base/errors.ts';
import type { LogitsFormat, TeacherLogits } from '../../lib/distill/logits/format.ts';
import type { LogitsRequest } from '../../lib/distill/step-inputs.ts';
import { viewRule } from '../../lib/distill/training-plan.ts';
import { answeringTeacher } from '../../lib/wire/answering-teacher.ts';
import { requirePixelsFit } from '../../lib/wire/batch-messages.ts';
import type { TaughtModel__Output } from '../../lib/wire/generated/stillhouse/v1/TaughtModel.ts';
import type { TeacherEndpoint__Output } from '../../lib/wire/generated/stillhouse/v1/TeacherEndpoint.ts';
import { viewsOf } from '../../lib/wire/teacher-views.ts';
import { storesLogits } from '../../lib/wire/teaching.ts';
import type { BalanceOptions } from './balance-events.ts';
import type { StepPace } from './step-pace.ts';
import { StoredAnswers } from './stored-answers.ts';
import type { StudentLogitsRequest } from './student-logits.ts';
import { TeacherPatience } from './teacher-patience.ts';
import { TeacherPool } from './teacher-pool.ts';

export interface TaughtLogitsOptions {
  readonly request: StudentLogitsRequest;
  readonly model: TaughtModel__Output;
  readonly format: LogitsFormat;
  readonly pace: StepPace;
  readonly balance: BalanceOptions;
}

export class TaughtLogits {
  readonly pool: TeacherPool;
  /** Live: samples that were answered from the cache. */
  cachedSamples = 0;
  readonly #options: TaughtLogitsOptions;
  readonly #patience: TeacherPatience;
  #stored: StoredAnswers | null = null;
  #isClosed = false;

  /** @throws INVALID_ARGUMENT when a batch with its images is larger than a message may be */
  constructor(options: TaughtLogitsOptions) {
    this.#options = options;
    const { request, model, format, pace, balance } = options;
    const { job, jobId, workerId, view, plan, dataset, logger, onTrouble } = request;
    const { teacher, modelDigest } = model;
    const pixels = job.distill.request === 'pixels' ? dataset.image : null;
    requirePixelsFit(job, dataset.image);
    const { classNames } = plan.classes;
    const { dustbinTemperature } = plan;
    const names = { jobId, studentWorkerId: workerId, teacher, modelDigest, datasetDigest: dataset.digest };
    this.pool = new TeacherPool({
      stream: { ...names, classNames, dustbinTemperature, format, view, pixels },
      balance,
      loadPixels: pixels === null ? null : (batch) => loadPixels(request, teacher, batch),
      neededInMs: (step) => pace.neededInMs(step, monotonicMs()),
      onAvailability: () => this.#patience.look(),
      logger,
      onTrouble,
    });
    this.#patience = new TeacherPatience({
      teacher,
      policy: job.distill.withoutTeachers,
      waitSeconds: job.limits.workerWaitSeconds,
      mayGoOn: job.distill.withoutTeachers === 'continue' && this.#readsCache(),
      pool: this.pool,
      findStored: (batch) => this.#find(batch),
    });
  }

  /** See `openStudentLogits`. */
  async open(signal: AbortSignal): Promise<void> {
    await unlessAborted(this.#patience.begin(), signal);
    if (this.#readsCache()) await this.#openStored(signal);
  }

  /** @param teachers of all models */
  update(teachers: readonly TeacherEndpoint__Output[]): void {
    const { teacher, modelDigest } = this.#options.model;
    this.pool.update(teachers.filter((each) => each.teacher === teacher && each.modelDigest === modelDigest));
  }

  /** @throws as `TeacherPool.logits`; UNAVAILABLE when no teacher comes for as long as the job waits */
  async logits(batch: LogitsRequest): Promise<TeacherLogits> {
    // Who would rather wait than go on with what happens to be stored waits with all of it.
    const waits = this.#options.request.job.distill.withoutTeachers === 'wait' && !this.pool.hasTeacher;
    if (waits) return this.pool.logits(batch);
    const stored = this.#find(batch);
    if (typeof stored !== 'number') return stored;
    return this.pool.logits(batch);
  }

  close(): void {
    this.#isClosed = true;
    this.#patience.close();
    this.pool.close();
    this.#closeStored();
  }

  #readsCache(): boolean {
    const { request, model } = this.#options;
    return request.logitsFolder !== null && storesLogits(request.job, model.teacher);
  }

  #find(batch: LogitsRequest): TeacherLogits | number {
    const stored = this.#stored?.find(batch) ?? 0;
    if (typeof stored !== 'number') this.cachedSamples += batch.ids.length;
    return stored;
  }

  async #openStored(signal: AbortSignal): Promise<void> {
    const { request, model, format } = this.#options;
    const { job, dataset, plan, logitsFolder, logger } = request;
    const teacher = await answeringTeacher({ ...request, signal }, model);
    const student = { classNames: plan.classes.classNames, dustbinTemperature: plan.dustbinTemperature };
    const folder = logitsFolder as string;
    this.#stored = await StoredAnswers.open({ job, dataset, teacher, student, format, folder, logger });
    if (this.#isClosed) this.#closeStored();
  }

  #closeStored(): void {
    const { logger } = this.#options.request;
    this.#stored?.close().catch((error) => logger.warn({}, `the cache of logits: ${describeError(error)}`));
    this.#stored = null;
  }
}

/** The views of a batch as the teacher sees them, as bytes. */
async function loadPixels(
  { job, dataset }: StudentLogitsRequest,
  teacher: string,
  { ids, partners, epoch }: LogitsRequest,
): Promise<Uint8Array> {
  const rule = viewRule({ seed: job.seed, views: viewsOf(job, teacher) }, epoch);
  const { buffer } = Uint8ClampedArray.from(await dataset.load(ids, { rule, partners }));
  return new Uint8Array(buffer);
}
