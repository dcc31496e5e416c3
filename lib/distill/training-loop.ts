/**
 * The training loop of one worker: for every step, the sums of its lanes' micro-batches, their average over all workers,
 * one optimizer update. Where averages and teacher logits come from is behind ports.
 */
import { monotonicMs, unlessAborted } from '../base/clock.ts';
import { invariant } from '../base/errors.ts';
import type { Dataset } from '../data/dataset.ts';
import { epochOrder, laneBatch, stepSamples, stepsPerEpoch } from '../data/lanes.ts';
import { applyViews } from '../data/views.ts';
import { divergence } from './divergence.ts';
import type { MicroBatch } from './step-spec.ts';
import type { ImageSource, TrainableModel } from './trainable-model.ts';

/** What makes up every step of a job, whoever computes it. */
export interface TrainingPlan {
  /** The samples to train on. */
  readonly ids: Uint32Array;
  /** Class number within the model, by sample id of the data set; `NO_LABEL` where there is none. */
  readonly labelOf: (id: number) => number;
  readonly seed: number;
  readonly lanes: number;
  readonly microBatch: number;
  /** All that will be committed. The last epoch may be cut short by it. */
  readonly steps: number;
  readonly views: { readonly flip: boolean; readonly shift: number };
}

/** Steps of an epoch over the plan's samples. */
export function epochSteps({ ids, lanes, microBatch }: TrainingPlan): number {
  return stepsPerEpoch(ids.length, lanes, microBatch);
}

/** The data set's images, augmented as the plan says. */
export function augmentedImages(dataset: Dataset, { seed, views }: TrainingPlan): ImageSource {
  return (ids, epoch) => {
    const images = dataset.readImages(ids);
    applyViews(images, ids, dataset.image, { seed, epoch, ...views });
    return images;
  };
}

/** The sums of one lane's micro-batch, [vectorSize of the program]. */
export interface LaneSums {
  readonly lane: number;
  readonly samples: number;
  readonly values: Float32Array;
}

export interface Averager {
  /** The mean over the global batch of the step, once all workers have given their sums. Steps come in order. */
  average(step: number, sums: readonly LaneSums[]): Promise<Float32Array>;
}

export interface LogitsSource {
  /** Teacher logits of one lane's micro-batch, [ids, classes of the student]. */
  logits(request: LogitsRequest): Promise<Float32Array>;
}

export interface LogitsRequest {
  readonly step: number;
  readonly lane: number;
  readonly ids: Uint32Array;
  readonly epoch: number;
}

export interface Commit {
  readonly step: number;
  /** Of the global batch. */
  readonly samples: number;
  /** Over the global batch, before the step's update. */
  readonly loss: number;
  /** As `StepMetrics.accuracy`. */
  readonly accuracy: number;
  /** Samples of the worker's own lanes. */
  readonly ownSamples: number;
  /** Of those, how many had teacher logits. */
  readonly teacherSamples: number;
  readonly teacherWaitMs: number;
  readonly averagingWaitMs: number;
}

export interface TrainingRun {
  readonly program: TrainableModel;
  readonly images: ImageSource;
  readonly plan: TrainingPlan;
  /** The worker's block of lanes. */
  readonly firstLane: number;
  readonly lanes: number;
  /** Null where the plan has one lane, and so nobody to average with. */
  readonly averager: Averager | null;
  /** Null when the loss needs no teacher. */
  readonly teacher: LogitsSource | null;
  readonly signal: AbortSignal;
  readonly onCommit: (commit: Commit) => void;
  /** Awaited between two epochs, with the number of the one that has ended, from 1. */
  readonly onEpoch?: (epoch: number) => Promise<void>;
}

/** Steps whose logits are asked for ahead of the one that is computed. */
const LOOKAHEAD_STEPS = 4;

interface LanePreparation {
  readonly lane: number;
  readonly ids: Uint32Array;
  readonly epoch: number;
  readonly logits: Promise<Float32Array> | null;
}

/**
 * Trains from the program's present state to the plan's end. Rejects with the signal's reason as soon as it is aborted,
 * whatever the loop waits for.
 */
export async function runTraining(run: TrainingRun): Promise<void> {
  const { steps } = run.plan;
  const perEpoch = epochSteps(run.plan);
  const prepare = preparation(run);
  const ahead: LanePreparation[][] = [];
  for (let step = 0; step < steps; step++) {
    run.signal.throwIfAborted();
    while (ahead.length <= LOOKAHEAD_STEPS && step + ahead.length < steps) ahead.push(prepare(step + ahead.length));
    await commitStep(run, step, ahead.shift() as LanePreparation[]);
    if ((step + 1) % perEpoch === 0 && step + 1 < steps) await run.onEpoch?.((step + 1) / perEpoch);
  }
}

/** Chooses a step's samples and asks the teacher for their logits. */
function preparation({ plan, firstLane, lanes, teacher }: TrainingRun): (step: number) => LanePreparation[] {
  const perEpoch = epochSteps(plan);
  let epoch = -1;
  let order = new Uint32Array(0);
  return (step) => {
    if (Math.floor(step / perEpoch) !== epoch) {
      epoch = Math.floor(step / perEpoch);
      order = epochOrder(plan.ids, plan.seed, epoch) as Uint32Array<ArrayBuffer>;
    }
    return Array.from({ length: lanes }, (_, index) => {
      const lane = firstLane + index;
      const ids = laneBatch(order, plan.lanes, lane, plan.microBatch, step % perEpoch);
      const logits = teacher === null || ids.length === 0 ? null : teacher.logits({ step, lane, ids, epoch });
      // A failure surfaces when its step awaits it; until then it must not count as unhandled.
      logits?.catch(() => undefined);
      return { lane, ids, epoch, logits };
    });
  };
}

async function commitStep(run: TrainingRun, step: number, prepared: readonly LanePreparation[]): Promise<void> {
  const { averager, onCommit, plan } = run;
  const ownSamples = prepared.reduce((total, { ids }) => total + ids.length, 0);
  const outcome =
    averager === null ? await stepAlone(run, step, prepared) : await stepTogether(run, averager, step, prepared);
  const samples = stepSamples(plan.ids.length, plan.lanes, plan.microBatch, step % epochSteps(plan));
  onCommit({ step, samples, ownSamples, ...outcome });
}

type StepOutcome = Omit<Commit, 'step' | 'samples' | 'ownSamples'>;

/** The one lane's micro-batch is the global batch: the step stays in the engine. */
async function stepAlone(
  run: TrainingRun,
  step: number,
  [preparation]: readonly LanePreparation[],
): Promise<StepOutcome> {
  invariant(preparation !== undefined && run.plan.lanes === 1, 'a worker without others has the only lane');
  const waitFrom = monotonicMs();
  const logits = await unlessAborted(preparation.logits, run.signal);
  const teacherWaitMs = monotonicMs() - waitFrom;
  const { loss, accuracy, hasFiniteGradients } = await run.program.loneStep(
    await batchOfLane(run, step, preparation, logits),
  );
  if (!hasFiniteGradients) throw divergence(step);
  const teacherSamples = logits === null ? 0 : preparation.ids.length;
  return { loss, accuracy, teacherSamples, teacherWaitMs, averagingWaitMs: 0 };
}

async function stepTogether(
  run: TrainingRun,
  averager: Averager,
  step: number,
  prepared: readonly LanePreparation[],
): Promise<StepOutcome> {
  const { program, signal } = run;
  let teacherWaitMs = 0;
  let teacherSamples = 0;
  const laneSums: Promise<LaneSums>[] = [];
  for (const preparation of prepared) {
    const waitFrom = monotonicMs();
    const logits = await unlessAborted(preparation.logits, signal);
    teacherWaitMs += monotonicMs() - waitFrom;
    if (logits !== null) teacherSamples += preparation.ids.length;
    const sums = sumsOfLane(run, step, preparation, logits);
    // As above: it surfaces below, after the other lanes' logits have been waited for.
    sums.catch(() => undefined);
    laneSums.push(sums);
  }
  const sums = await unlessAborted(Promise.all(laneSums), signal);
  const waitFrom = monotonicMs();
  const mean = await unlessAborted(averager.average(step, sums), signal);
  const averagingWaitMs = monotonicMs() - waitFrom;
  const loss = mean.at(-2) as number;
  const accuracy = mean.at(-1) as number;
  await program.apply(mean, step);
  return { loss, accuracy, teacherSamples, teacherWaitMs, averagingWaitMs };
}

async function sumsOfLane(
  run: TrainingRun,
  step: number,
  preparation: LanePreparation,
  teacherLogits: Float32Array | null,
): Promise<LaneSums> {
  const { lane, ids } = preparation;
  const { program } = run;
  if (ids.length === 0) return { lane, samples: 0, values: new Float32Array(program.vectorSize) };
  const values = await program.sums(await batchOfLane(run, step, preparation, teacherLogits));
  return { lane, samples: ids.length, values };
}

async function batchOfLane(
  { images, plan }: TrainingRun,
  step: number,
  { lane, ids, epoch }: LanePreparation,
  teacherLogits: Float32Array | null,
): Promise<MicroBatch> {
  const labels = Int32Array.from(ids, plan.labelOf);
  return { step, lane, count: ids.length, images: await images(ids, epoch), labels, teacherLogits };
}
