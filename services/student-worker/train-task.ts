/** Trains a student together with the other members of the view, with the teacher's logits or, for the control arm, without. */
import { StillhouseError } from '../../lib/base/errors.ts';
import type { Logger } from '../../lib/base/log.ts';
import { indexOfMax } from '../../lib/base/vectors.ts';
import { loadLabels, requireLabels, rowOf } from '../../lib/checkpoint/labels.ts';
import type { ObjectStore } from '../../lib/checkpoint/store.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import type { Compute } from '../../lib/distill/compute.ts';
import type { TrainableModel } from '../../lib/distill/trainable-model.ts';
import { prepareTraining } from '../../lib/distill/training-loop.ts';
import { epochSteps } from '../../lib/distill/training-plan.ts';
import { BusAverager } from '../../lib/wire/averager.ts';
import type { Bus } from '../../lib/wire/bus.ts';
import type { TrainStudent__Output } from '../../lib/wire/generated/stillhouse/v1/TrainStudent.ts';
import type { ViewMember__Output } from '../../lib/wire/generated/stillhouse/v1/ViewMember.ts';
import { loadCustomLosses } from '../../lib/wire/job-losses.ts';
import { type ModelPlan, planStudent } from '../../lib/wire/job-plan.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { ShareMeter } from '../../lib/wire/share-meter.ts';
import {
  checkpoints,
  evaluateAndStore,
  loadInit,
  noticeOf,
  openTraining,
  type StoreRequest,
  type Training,
  weightsDigest,
} from '../../lib/wire/trainer.ts';
import type { TeacherAnswers } from '../../lib/wire/training-samples.ts';
import type { TaskContext, TaskProgressFields, TaskResult } from '../../lib/wire/worker-session.ts';
import { LogitsStream } from './logits-stream.ts';

export interface TrainStudentRequest {
  readonly jobId: string;
  readonly job: JobSpec;
  readonly leaderEpoch: number;
  readonly command: TrainStudent__Output;
  readonly workerId: string;
  readonly dataset: Dataset;
  readonly compute: Compute;
  readonly bus: Bus;
  readonly objects: ObjectStore;
  readonly logger: Logger;
}

export class StudentTrainer {
  /** Kept open after its training: a peer may have missed the last part and ask for it. */
  #averager: BusAverager | undefined;

  close(): void {
    this.#averager?.close(new StillhouseError('CANCELLED', 'the training was given up'));
    this.#averager = undefined;
  }

  async run(request: TrainStudentRequest, task: TaskContext): Promise<TaskResult> {
    const { job, command, dataset, compute, workerId } = request;
    // What the job's code may do was decided when the job was taken on.
    const losses = await loadCustomLosses(compute, job);
    const network = job.students.find(({ name }) => name === command.student);
    const init = await loadInit(request.objects, network);
    const answers = await teacherAnswers(request.objects, command.labelsDigest, dataset);
    const plan = await planStudent(job, dataset, command.student, command.control, { init, losses, answers });
    const members = command.view?.members ?? [];
    const self = members.findIndex((member) => member.workerId === workerId);
    const own = members[self];
    if (own === undefined) {
      throw new StillhouseError('INVALID_ARGUMENT', `worker ${workerId} is no member of the view that it was sent`);
    }
    const training = await openTraining(compute, plan, dataset);
    const { program } = training;
    let stream: LogitsStream | undefined;
    const onAbort = () => this.close();
    task.signal.addEventListener('abort', onAbort, { once: true });
    try {
      const averager = await this.#openAverager(request, members, self, program.vectorSize);
      stream = plan.usesTeacher ? await openStream(request, plan, self, task.signal) : undefined;
      const store = storeRequest(request, plan, program, task.signal);
      // The first member stores what all of them have alike.
      const keeper = self === 0 ? store : undefined;
      const { logger } = request;
      const train = await prepare({ training, plan, own, averager, stream, task, keeper, job, logger });
      task.ready({
        parameters: plan.program.model.parameterCount,
        stepsTotal: plan.training.steps,
        notice: noticeOf(program),
      });
      await task.begun;
      const share = await train();
      return { last: share, ...(keeper === undefined ? {} : await evaluateAndStore(keeper)) };
    } finally {
      task.signal.removeEventListener('abort', onAbort);
      stream?.close();
      await program.close();
    }
  }

  async #openAverager(
    { bus, jobId, leaderEpoch, job, command, logger }: TrainStudentRequest,
    members: readonly ViewMember__Output[],
    self: number,
    vectorSize: number,
  ): Promise<BusAverager> {
    this.close();
    this.#averager = new BusAverager({
      bus,
      jobId,
      leaderEpoch,
      view: command.view?.number ?? 0,
      members: members.map(({ workerId, firstLane, lanes }) => ({ id: workerId, firstLane, lanes })),
      self,
      vectorSize,
      chunkBytes: job.averaging.chunkKiB * 1024,
      stallTimeoutMs: job.averaging.stallTimeoutMs,
      logger,
    });
    await bus.flush();
    return this.#averager;
  }
}

/** Students spread over the teachers by their place in the view. */
function openStream(
  request: TrainStudentRequest,
  plan: ModelPlan,
  self: number,
  signal: AbortSignal,
): Promise<LogitsStream> {
  const { command, jobId, workerId, dataset } = request;
  const teacher = command.teachers[self % command.teachers.length];
  if (teacher === undefined)
    throw new StillhouseError('INVALID_ARGUMENT', 'the loss needs a teacher and none was named');
  const view = command.view?.number ?? 0;
  const { address, modelDigest } = teacher;
  const { classNames } = plan.classes;
  const { dustbinTemperature } = plan;
  const datasetDigest = dataset.digest;
  return LogitsStream.open(
    { address, jobId, workerId, modelDigest, datasetDigest, classNames, dustbinTemperature, view },
    signal,
  );
}

/** What the teacher answered to each training image, where it has labelled them. */
async function teacherAnswers(objects: ObjectStore, digest: string, dataset: Dataset): Promise<TeacherAnswers | null> {
  if (digest === '') return null;
  const table = await loadLabels(objects, digest);
  requireLabels(table, digest, { datasetDigest: dataset.digest, classes: dataset.classNames.length });
  const { classes, logits } = table;
  return (id) => {
    const row = rowOf(table, id);
    if (row >= 0) return indexOfMax(logits.subarray(row * classes, (row + 1) * classes));
    throw new StillhouseError('DATA_LOSS', `the teacher's labels ${digest} lack the training image ${id}`);
  };
}

function storeRequest(
  { job, jobId, dataset, objects, command }: TrainStudentRequest,
  plan: ModelPlan,
  program: TrainableModel,
  signal: AbortSignal,
): StoreRequest {
  const teacher = command.teachers[0]?.modelDigest ?? null;
  return { program, plan, dataset, job, jobId, teacher, objects, signal };
}

interface TrainArguments {
  readonly training: Training;
  readonly plan: ModelPlan;
  readonly own: ViewMember__Output;
  readonly averager: BusAverager;
  readonly stream: LogitsStream | undefined;
  readonly task: TaskContext;
  /** Absent on members that store nothing. */
  readonly keeper: StoreRequest | undefined;
  readonly job: JobSpec;
  readonly logger: Logger;
}

/** Reads the first images. What it answers trains, and answers the last progress. */
async function prepare(given: TrainArguments): Promise<() => Promise<TaskProgressFields>> {
  const { training, plan, own, averager, stream, task, keeper, job, logger } = given;
  const meter = new ShareMeter(own, { steps: plan.training.steps, stepsPerEpoch: epochSteps(plan.training) });
  const { firstLane, lanes } = own;
  const { checkpointEpochs } = job.train;
  const kept =
    keeper === undefined || plan.arm === 'control'
      ? {}
      : checkpoints({ ...keeper, logger }, checkpointEpochs, (digest, epoch) =>
          task.progress(meter.stored(digest, epoch)),
        );
  const run = await prepareTraining({
    ...training,
    plan: plan.training,
    firstLane,
    lanes,
    averager: plan.training.lanes === 1 ? null : averager,
    teacher: stream ?? null,
    signal: task.signal,
    onCommit: (commit) => task.progress(meter.commit(commit, averager.traffic)),
    ...kept,
  });
  return async () => {
    await run();
    return meter.finish(await weightsDigest(training.program));
  };
}
