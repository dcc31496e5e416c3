/** A teacher's or a student's training by a group of workers, from its plan to the stored model: one worker's side. */
import { StillhouseError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { ObjectStore } from '../checkpoint/store.ts';
import type { Dataset } from '../data/dataset.ts';
import type { Compute } from '../distill/compute.ts';
import { EpochWatch } from '../distill/epoch-watch.ts';
import type { LogitsSource } from '../distill/step-inputs.ts';
import { type OnEpoch, prepareTraining } from '../distill/training-loop.ts';
import { epochCount, epochSteps } from '../distill/training-plan.ts';
import { localAverager } from '../gradient/local-averager.ts';
import { BusAverager } from './averager.ts';
import type { Bus } from './bus.ts';
import type { View__Output } from './generated/stillhouse/v1/View.ts';
import type { ViewMember__Output } from './generated/stillhouse/v1/ViewMember.ts';
import type { ModelPlan } from './job-plan.ts';
import type { JobSpec } from './job-spec.ts';
import { type LogitsCounters, ShareMeter } from './share-meter.ts';
import type { TaskContext, TaskResult } from './task-runner.ts';
import {
  evaluateAndStore,
  noticeOf,
  openTraining,
  type StoreRequest,
  storeCheckpoint,
  type Training,
  type TrainingEnd,
  weightsDigest,
} from './trainer.ts';

/** A worker in a task of a job. */
export interface GroupMember {
  readonly jobId: string;
  readonly job: JobSpec;
  readonly leaderEpoch: number;
  readonly workerId: string;
  readonly dataset: Dataset;
  readonly compute: Compute;
  readonly bus: Bus;
  readonly objects: ObjectStore;
  readonly logger: Logger;
}

/** Logits as a training uses them. */
export interface TrainingLogits extends LogitsSource {
  /** So far. */
  readonly counters: LogitsCounters;
  close(): void;
}

/** What the group is to train. */
export interface GroupTask {
  /** Null where the coordinator has sent none, which is refused. */
  readonly view: View__Output | null;
  readonly plan: ModelPlan;
  /** See `StoreRequest`. */
  readonly teachers: readonly string[];
  /** Absent where the loss needs no teacher. */
  readonly openLogits?: (() => Promise<TrainingLogits>) | undefined;
}

/** This worker's place in the group. */
interface Place {
  readonly view: number;
  readonly members: readonly ViewMember__Output[];
  readonly self: number;
  readonly own: ViewMember__Output;
}

/** What a training is made from. */
interface Parts {
  readonly training: Training;
  readonly place: Place;
  readonly store: StoreRequest;
  /** Absent where there is nobody to average with. */
  readonly averager: BusAverager | undefined;
  readonly logits: TrainingLogits | undefined;
  readonly task: TaskContext;
  readonly logger: Logger;
}

/** One training after the other. */
export class GroupTrainer {
  /** Kept open after its training: a peer may have missed the last part and ask for it. */
  #averager: BusAverager | undefined;

  /** Call it when the process ends; the next training does so by itself. */
  close(): void {
    this.#averager?.close(new StillhouseError('CANCELLED', 'the training was given up'));
    this.#averager = undefined;
  }

  /**
   * @returns the final progress, and of the group's first member what it has stored
   * @throws INVALID_ARGUMENT when the worker is no member of the view; what else opening, training and storing throw
   */
  async run(
    member: GroupMember,
    { view, plan, teachers, openLogits }: GroupTask,
    task: TaskContext,
  ): Promise<TaskResult> {
    const place = placeOf(member.workerId, view);
    const training = await openTraining(member.compute, plan, member.dataset);
    const { program } = training;
    let logits: TrainingLogits | undefined;
    const { signal } = task;
    const onAbort = () => this.close();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      signal.throwIfAborted();
      const averager = await this.#openAverager(member, place, program.vectorSize);
      logits = await openLogits?.();
      const { job, jobId, dataset, objects, logger } = member;
      const store: StoreRequest = { program, plan, dataset, job, jobId, teachers, objects, signal };
      return await train({ training, place, store, averager, logits, task, logger });
    } catch (error) {
      // Nobody goes on with a training that has failed here.
      this.close();
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
      logits?.close();
      await program.close();
    }
  }

  async #openAverager(
    member: GroupMember,
    { view, members, self }: Place,
    vectorSize: number,
  ): Promise<BusAverager | undefined> {
    this.close();
    if (members.length === 1) return undefined;
    const { bus, jobId, leaderEpoch, job, logger } = member;
    const { chunkKiB, stallTimeoutMs } = job.averaging;
    this.#averager = new BusAverager({
      ...{ bus, jobId, leaderEpoch, view, self, vectorSize, stallTimeoutMs, logger },
      members: members.map(({ workerId, firstLane, lanes }) => ({ id: workerId, firstLane, lanes })),
      chunkBytes: chunkKiB * 1024,
    });
    await bus.flush();
    return this.#averager;
  }
}

function placeOf(workerId: string, view: View__Output | null): Place {
  const members = view?.members ?? [];
  const self = members.findIndex((member) => member.workerId === workerId);
  const own = members[self];
  if (view === null || own === undefined) {
    throw new StillhouseError('INVALID_ARGUMENT', `worker ${workerId} is no member of the view that it was sent`);
  }
  return { view: view.number, members, self, own };
}

async function train(parts: Parts): Promise<TaskResult> {
  const { training, place, store, averager, logits, task } = parts;
  const { program, images } = training;
  const { plan, signal } = store;
  const { firstLane, lanes } = place.own;
  const epochPlan = { steps: plan.training.steps, stepsPerEpoch: epochSteps(plan.training) };
  const meter = new ShareMeter(place.own, epochPlan, {
    averaging: averager && (() => averager.traffic),
    logits: logits && (() => logits.counters),
  });
  const epochs = new Epochs(parts, meter);
  const run = await prepareTraining({
    ...{ program, images, plan: plan.training, firstLane, lanes, signal },
    averager: plan.training.lanes === 1 ? null : (averager ?? localAverager(lanes, program.vectorSize)),
    teacher: logits ?? null,
    onCommit: (commit) => task.progress(meter.commit(commit)),
    onEpoch: (epoch) => epochs.ended(epoch),
  });
  task.ready({
    parameters: plan.program.model.parameterCount,
    stepsTotal: plan.training.steps,
    notice: noticeOf(program),
  });
  await task.begun;
  await run();
  averager?.finish();
  const end = await epochs.finish();
  const last = meter.finish(await weightsDigest(program));
  // The first member stores what all of them have alike.
  return { last, ...(place.self === 0 ? await evaluateAndStore(store, end) : {}) };
}

/** What is done when an epoch has ended: a look at its model, now and then a checkpoint. */
class Epochs {
  readonly #parts: Parts;
  readonly #meter: ShareMeter;
  readonly #watch: EpochWatch | null;
  #trained = 0;
  /** The epoch of the latest checkpoint; 0 before there is one. */
  #stored = 0;

  constructor(parts: Parts, meter: ShareMeter) {
    const { training, store } = parts;
    const { selection } = store.plan;
    this.#parts = parts;
    this.#meter = meter;
    this.#watch = selection === null ? null : new EpochWatch(training.program, training.evaluated, selection);
  }

  async ended(epoch: number): ReturnType<OnEpoch> {
    const isLast = epoch === epochCount(this.#parts.store.plan.training);
    this.#trained = epoch;
    const isEnough = await this.#isEnough(epoch, isLast);
    // Of the last epoch there is the model itself.
    if (isLast) return undefined;
    if (isEnough) return 'stop';
    await this.#checkpoint(epoch);
    return undefined;
  }

  /** Makes the program the model that comes out. */
  async finish(): Promise<TrainingEnd> {
    await this.#watch?.restore();
    return { epochs: this.#trained, best: this.#watch?.best ?? null };
  }

  async #isEnough(epoch: number, isLast: boolean): Promise<boolean> {
    if (this.#watch === null) return false;
    const { store, task, logger } = this.#parts;
    const { stops, accuracy, bestEpoch, bestAccuracy, tookMs } = await this.#watch.look(store.signal);
    logger.info({ epoch, accuracy, bestEpoch, bestAccuracy, tookMs }, 'looked at the calibrate split');
    task.progress(this.#meter.looked({ bestEpoch, bestAccuracy, tookMs }, stops && !isLast));
    return stops;
  }

  /** One that cannot be stored is told to the log, and the training goes on without it. */
  async #checkpoint(epoch: number): Promise<void> {
    const { place, store, task, logger } = this.#parts;
    const { checkpointEpochs } = store.plan;
    if (place.self !== 0 || checkpointEpochs === 0 || epoch % checkpointEpochs !== 0) return;
    const best = this.#watch?.best ?? null;
    const stored = best?.epoch ?? epoch;
    if (stored === this.#stored) return;
    await storeCheckpoint(store, epoch, best).then(
      (digest) => {
        this.#stored = stored;
        task.progress(this.#meter.stored(digest, stored));
      },
      (err) => logger.warn({ err, epoch }, 'no checkpoint could be stored; the training goes on'),
    );
  }
}
