/** Where a student's training gets its teachers' logits from: the cache where it has them, else teachers over the network. */
import { monotonicMs } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { Logger } from '../../lib/base/log.ts';
import type { ObjectStore } from '../../lib/checkpoint/store.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { joinLogits } from '../../lib/distill/logits/join.ts';
import type { LogitsSource } from '../../lib/distill/step-inputs.ts';
import type { TeacherEndpoint__Output } from '../../lib/wire/generated/stillhouse/v1/TeacherEndpoint.ts';
import type { TrainStudent__Output } from '../../lib/wire/generated/stillhouse/v1/TrainStudent.ts';
import type { ModelPlan } from '../../lib/wire/job-plan.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { joinTemperature, wireFormat } from '../../lib/wire/logits-formats.ts';
import type { LogitsCounters } from '../../lib/wire/share-meter.ts';
import type { TeachersListener } from '../../lib/wire/task-runner.ts';
import { StepPace } from './step-pace.ts';
import { TaughtLogits } from './taught-logits.ts';
import { type TeacherChoice, teacherChoice } from './teacher-choice.ts';

export interface StudentLogitsRequest {
  readonly job: JobSpec;
  readonly jobId: string;
  readonly workerId: string;
  /** Number of the view that is being trained, part of every batch's key. */
  readonly view: number;
  readonly command: TrainStudent__Output;
  /** Takes who is to hear of the teachers that there are instead of the command's, also while the logits are being opened. */
  readonly onTeachers: (listener: TeachersListener) => void;
  readonly plan: ModelPlan;
  readonly dataset: Dataset;
  /** Has the teachers that are in our own format. */
  readonly objects: ObjectStore;
  /** Where logits are cached; null where this worker reads no cache. */
  readonly logitsFolder: string | null;
  readonly logger: Logger;
  /** Told why a teacher does not answer, for users to know. */
  readonly onTrouble: (reason: string) => void;
}

export interface StudentLogits extends LogitsSource {
  /** Live. */
  readonly counters: LogitsCounters;
  /** What waits is rejected with CANCELLED. */
  close(): void;
}

/**
 * Resolves when every model that the student learns from has a teacher that fits, or may be done without for now.
 * @throws FAILED_PRECONDITION when all teachers of a model say that they do not fit, with their reasons; UNAVAILABLE when there
 *   is none for as long as the job waits; the signal's reason
 */
export async function openStudentLogits(request: StudentLogitsRequest, signal: AbortSignal): Promise<StudentLogits> {
  const { job, command, plan, workerId } = request;
  const columns = plan.classes.classNames.length + (plan.dustbin ? 1 : 0);
  const format = wireFormat(job, columns);
  const pace = new StepPace();
  const members = command.view?.members ?? [];
  const place = Math.max(
    0,
    members.findIndex((member) => member.workerId === workerId),
  );
  const balance = { place, students: Math.max(1, members.length) };
  if (command.taughtBy.length === 0) {
    throw new StillhouseError('INVALID_ARGUMENT', 'the loss needs a teacher and none was named');
  }
  const taught = command.taughtBy.map((model) => new TaughtLogits({ request, model, format, pace, balance }));
  const names = command.taughtBy.map(({ teacher }) => teacher);
  const logits = new JoinedLogits({ job, taught, names, columns, pace, choice: teacherChoice(job, plan, names) });
  logits.update(command.teachers);
  request.onTeachers((teachers) => logits.update(teachers));
  try {
    await Promise.all(taught.map((each) => each.open(signal)));
    return logits;
  } catch (error) {
    logits.close();
    throw error;
  }
}

interface JoinedOptions {
  readonly job: JobSpec;
  readonly taught: readonly TaughtLogits[];
  /** Of the teachers, as `taught`. */
  readonly names: readonly string[];
  /** Outputs of the student. */
  readonly columns: number;
  readonly pace: StepPace;
  readonly choice: TeacherChoice;
}

class JoinedLogits implements StudentLogits {
  readonly #options: JoinedOptions;
  readonly logits: LogitsSource['logits'];

  constructor(options: JoinedOptions) {
    this.#options = options;
    const { job, taught, names, columns, choice } = options;
    const { combine, weights } = job.distill.teachers;
    const temperature = joinTemperature(job.distill);
    this.logits = async (request) => {
      // Only those are asked whose answer counts for a row of the batch.
      const { teachers, teacherOfRow } = choice(request.ids);
      const answers = await Promise.all(teachers.map((teacher) => (taught[teacher] as TaughtLogits).logits(request)));
      const join = { combine, weights: teachers.map((teacher) => weights[names[teacher] as string] ?? 1) };
      return joinLogits(answers, join, { columns, temperature, teacherOfRow });
    };
  }

  get counters(): LogitsCounters {
    const { taught } = this.#options;
    const sum = (count: (each: TaughtLogits) => number) => taught.reduce((total, each) => total + count(each), 0);
    return {
      cachedSamples: sum(({ cachedSamples }) => cachedSamples),
      batchesResent: sum(({ pool }) => pool.counters.batchesResent),
      duplicateAnswers: sum(({ pool }) => pool.counters.duplicateAnswers),
      bytesReceived: sum(({ pool }) => pool.bytesReceived),
    };
  }

  committed(step: number): void {
    const { pace, taught } = this.#options;
    pace.committed(step, monotonicMs());
    for (const { pool } of taught) pool.reached(step + 1);
  }

  /** The teachers that there are from now on, of all models. */
  update(teachers: readonly TeacherEndpoint__Output[]): void {
    for (const each of this.#options.taught) each.update(teachers);
  }

  close(): void {
    for (const each of this.#options.taught) each.close();
  }
}
