/**
 * The training loop of one worker: for every step, the sums of its lanes' micro-batches, their average over all workers,
 * one optimizer update. Where images, averages and teacher logits come from is behind ports.
 */
import { monotonicMs, unlessAborted } from '../base/clock.ts';
import { invariant } from '../base/errors.ts';
import { stepSamples } from '../data/lanes.ts';
import { divergence } from './divergence.ts';
import type { TeacherLogits } from './logits/format.ts';
import { tailLogits } from './logits/tails.ts';
import { type LaneInputs, type LogitsSource, type StepInputs, StepInputsAhead } from './step-inputs.ts';
import { imageShape, type MicroBatch } from './step-spec.ts';
import type { ImageSource, TrainableModel } from './trainable-model.ts';
import { epochSteps, type TrainingPlan } from './training-plan.ts';

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
  /** For images to be read; those that had been when the step wanted them took none. */
  readonly dataWaitMs: number;
  /** For logits, once the images were there. */
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
  /** Whose inputs come first: the program has the state that the steps before it have left. Default 0. */
  readonly firstStep?: number | undefined;
  readonly signal: AbortSignal;
  readonly onCommit: (commit: Commit) => void;
  readonly onEpoch?: OnEpoch | undefined;
}

/**
 * Awaited after every epoch, the last one too, with its number from 1. The training goes on unless it answers `stop`, which
 * it must do on all workers of the group or on none.
 */
export type OnEpoch = (epoch: number) => Promise<'stop' | undefined>;

/**
 * Reads the first step's images, and with them starts whatever reads: no other worker shall wait for that. What it answers
 * trains from the program's present state to the plan's end. Both reject with the signal's reason as soon as it is aborted,
 * whatever they wait for.
 */
export async function prepareTraining(run: TrainingRun): Promise<() => Promise<void>> {
  const inputs = new StepInputsAhead({ ...run, image: imageShape(run.program.spec) });
  await unlessAborted(inputs.readFirst(), run.signal);
  return () => train(run, inputs);
}

async function train(run: TrainingRun, inputs: StepInputsAhead): Promise<void> {
  const { steps } = run.plan;
  const perEpoch = epochSteps(run.plan);
  for (let step = run.firstStep ?? 0; step < steps; step++) {
    run.signal.throwIfAborted();
    await commitStep(run, step, inputs.next(), () => inputs.loadAhead());
    run.teacher?.committed?.(step);
    const done = step + 1;
    const hasEpochEnded = done % perEpoch === 0 || done === steps;
    if (hasEpochEnded && (await run.onEpoch?.(Math.ceil(done / perEpoch))) === 'stop') return;
  }
}

/** @param whileComputing called when the engine has all that it needs for the step */
async function commitStep(
  run: TrainingRun,
  step: number,
  { lanes }: StepInputs,
  whileComputing: () => void,
): Promise<void> {
  const { averager, onCommit, plan } = run;
  const ownSamples = lanes.reduce((total, { ids }) => total + ids.length, 0);
  const waits = { dataWaitMs: 0, teacherWaitMs: 0, averagingWaitMs: 0, teacherSamples: 0 };
  const outcome =
    averager === null
      ? await stepAlone(run, step, lanes, waits, whileComputing)
      : await stepTogether(run, averager, step, lanes, waits, whileComputing);
  const samples = stepSamples(plan.ids.length, plan.lanes, plan.microBatch, step % epochSteps(plan), plan.tail);
  onCommit({ step, samples, ownSamples, ...waits, ...outcome });
}

type StepOutcome = Pick<Commit, 'loss' | 'accuracy'>;
/** What a step adds up while it is made. */
type StepWaits = {
  -readonly [Name in 'dataWaitMs' | 'teacherWaitMs' | 'averagingWaitMs' | 'teacherSamples']: Commit[Name];
};

/** The one lane's micro-batch is the global batch: the step stays in the engine. */
async function stepAlone(
  run: TrainingRun,
  step: number,
  [lane]: readonly LaneInputs[],
  waits: StepWaits,
  whileComputing: () => void,
): Promise<StepOutcome> {
  invariant(lane !== undefined && run.plan.lanes === 1, 'a worker without others has the only lane');
  const computing = run.program.loneStep(await batchOfLane(run, step, lane, waits));
  whileComputing();
  const { loss, accuracy, hasFiniteGradients } = await computing;
  if (!hasFiniteGradients) throw divergence(step);
  return { loss, accuracy };
}

async function stepTogether(
  run: TrainingRun,
  averager: Averager,
  step: number,
  lanes: readonly LaneInputs[],
  waits: StepWaits,
  whileComputing: () => void,
): Promise<StepOutcome> {
  const { program, signal } = run;
  const laneSums: Promise<LaneSums>[] = [];
  for (const lane of lanes) {
    const batch = lane.ids.length === 0 ? null : await batchOfLane(run, step, lane, waits);
    const sums = sumsOfLane(program, lane, batch);
    // It surfaces below, after the other lanes' inputs have been waited for.
    sums.catch(() => undefined);
    laneSums.push(sums);
  }
  whileComputing();
  const sums = await unlessAborted(Promise.all(laneSums), signal);
  const waitFrom = monotonicMs();
  const mean = await unlessAborted(averager.average(step, sums), signal);
  waits.averagingWaitMs = monotonicMs() - waitFrom;
  const loss = mean.at(-2) as number;
  const accuracy = mean.at(-1) as number;
  await program.apply(mean, step);
  return { loss, accuracy };
}

async function sumsOfLane(
  program: TrainableModel,
  { lane, ids }: LaneInputs,
  batch: MicroBatch | null,
): Promise<LaneSums> {
  const values = batch === null ? new Float32Array(program.vectorSize) : await program.sums(batch);
  return { lane, samples: ids.length, values };
}

/** Waits for what the lane's micro-batch lacks, and counts the time. */
async function batchOfLane(
  { signal, program }: TrainingRun,
  step: number,
  { lane, ids, labels, mixed, ...inputs }: LaneInputs,
  waits: StepWaits,
): Promise<MicroBatch> {
  const readFrom = monotonicMs();
  const requested = inputs.images();
  await unlessAborted(requested.read, signal);
  waits.dataWaitMs += monotonicMs() - readFrom;
  const images = await unlessAborted(requested.images, signal);
  const logitsFrom = monotonicMs();
  const teacher = await unlessAborted(inputs.logits, signal);
  waits.teacherWaitMs += monotonicMs() - logitsFrom;
  if (teacher !== null) waits.teacherSamples += ids.length;
  const batch = { step, lane, count: ids.length, images, labels, mixed, teacherLogits: teacher?.logits ?? null };
  return { ...batch, teacherTails: teacherTails(program, teacher, step) };
}

/** See `MicroBatch.teacherTails`. */
function teacherTails(
  { spec: { training } }: TrainableModel,
  teacher: TeacherLogits | null,
  step: number,
): Float32Array | null {
  if (teacher === null || training === null) return null;
  return tailLogits(teacher, training.loss, step, training.totalSteps);
}
