/**
 * From a job file to what a worker trains: model, step, samples. Every worker derives the same plan from the same job and
 * data set, so that nothing of it has to be agreed upon.
 */
import { sha256 } from '../base/digest.ts';
import { StillhouseError } from '../base/errors.ts';
import { hashName, mixSeeds } from '../base/random.ts';
import { canonicalJson } from '../data/canonical-json.ts';
import { channelStatistics } from '../data/channel-statistics.ts';
import { type ClassSubset, labelWithin, resolveClasses, restrictToClasses } from '../data/class-map.ts';
import type { Dataset } from '../data/dataset.ts';
import { microBatchSizes } from '../data/lanes.ts';
import { selectSplits } from '../data/splits.ts';
import { CONTROL_TERMS, type Loss, needsTeacher } from '../distill/loss.ts';
import type { ProgramSpec } from '../distill/step-spec.ts';
import { type TrainingPlan, totalSteps } from '../distill/training-loop.ts';
import type { ArchitectureSpec } from '../model/architecture-choice.ts';
import type { DecodedArtefact, ModelManifest } from '../model/artefact.ts';
import { manifestArchitecture } from '../model/manifest-network.ts';
import { distillationLoss, type LoadedLosses, NO_LOADED_LOSSES } from './job-losses.ts';
import type { JobSpec, NetworkSpec, TrainSpec } from './job-spec.ts';
import { type StartingState, startingState } from './starting-state.ts';

export type Arm = 'teacher' | 'distil' | 'control';

export interface ModelPlan {
  /** Of the teacher or student. */
  readonly name: string;
  readonly arm: Arm;
  readonly classes: ClassSubset;
  readonly architecture: ArchitectureSpec;
  readonly program: ProgramSpec;
  readonly training: TrainingPlan;
  readonly totalSteps: number;
  /** Whether steps need teacher logits. */
  readonly usesTeacher: boolean;
  /** Test samples of the model's classes. */
  readonly testIds: Uint32Array;
  readonly labelOf: (id: number) => number;
  /** The same for a student and its control arm. */
  readonly start: StartingState;
}

/** Labels alone; no term of it has a temperature. */
const CONTROL_LOSS: Loss = { terms: CONTROL_TERMS, temperature: 1 };

/** Batch size of evaluations. */
const EVALUATION_BATCH = 64;

/** @param init the model to start from, where the job names one */
export function planTeacher(job: JobSpec, dataset: Dataset, name: string, init: DecodedArtefact | null): ModelPlan {
  const teacher = job.teachers.find((candidate) => candidate.name === name);
  if (teacher === undefined) throw unknownName('teacher', name);
  const classes = resolveClasses(dataset.classNames, dataset.classNames, 'teachers');
  return plan(job, dataset, {
    name,
    arm: 'teacher',
    network: teacher,
    train: teacher.train,
    classes,
    loss: CONTROL_LOSS,
    init,
  });
}

/**
 * @param init the model to start from, where the job names one
 * @param losses of the job's custom terms, which the compute thread has loaded; the control arm needs none
 */
export function planStudent(
  job: JobSpec,
  dataset: Dataset,
  name: string,
  control: boolean,
  init: DecodedArtefact | null,
  losses: LoadedLosses = NO_LOADED_LOSSES,
): ModelPlan {
  const index = job.students.findIndex((candidate) => candidate.name === name);
  const student = job.students[index];
  if (student === undefined) throw unknownName('student', name);
  const classes = resolveClasses(
    student.classes ?? dataset.classNames,
    dataset.classNames,
    `students[${index}].classes`,
  );
  const arm = control ? 'control' : 'distil';
  const loss = control ? CONTROL_LOSS : distillationLoss(job.distill, losses);
  return plan(job, dataset, {
    name,
    arm,
    network: student,
    train: job.train,
    classes,
    loss,
    init,
  });
}

interface PlanRequest {
  readonly name: string;
  readonly arm: Arm;
  readonly network: NetworkSpec;
  readonly train: TrainSpec;
  readonly classes: ClassSubset;
  readonly loss: Loss;
  readonly init: DecodedArtefact | null;
}

function plan(job: JobSpec, dataset: Dataset, request: PlanRequest): ModelPlan {
  const { name, arm, network, train, classes, loss, init } = request;
  const splits = selectSplits(dataset, { seed: job.seed, ...job.data });
  const ids = restrictToClasses(splits.train, dataset.labels, classes.classIds);
  if (ids.length === 0) {
    throw new StillhouseError('INVALID_ARGUMENT', `no training image has a class of ${name}`, { field: 'data.train' });
  }
  const labelOf = labelWithin(dataset.labels, classes.classIds);
  const { lanes, microBatch, epochs, optimizer, precision, compile } = train;
  const training: TrainingPlan = { ids, labelOf, seed: job.seed, lanes, microBatch, epochs, views: job.data.views };
  const steps = totalSteps(training);
  const batchSizes = microBatchSizes(ids.length, lanes, microBatch);
  const { fineTune } = network;
  const initialSeed = mixSeeds(job.seed, hashName(name));
  const step = { loss, optimizer, totalSteps: steps, batchSizes, fineTune, precision, compile, seed: initialSeed };
  const { classNames } = classes;
  const start = startingState(network, init, { classNames, images: dataset.image, seed: initialSeed });
  const { mean, std } = init === null ? channelStatistics(dataset, splits.train) : init.manifest.preprocessing;
  return {
    name,
    arm,
    classes,
    architecture: network.arch,
    program: {
      model: start.model,
      images: dataset.image,
      preprocessing: { mean, std },
      training: step,
      predictBatchSizes: [EVALUATION_BATCH],
    },
    training,
    totalSteps: steps,
    usesTeacher: needsTeacher(loss.terms),
    testIds: restrictToClasses(splits.test, dataset.labels, classes.classIds),
    labelOf,
    start,
  };
}

export function jobSpecDigest(job: JobSpec): string {
  return sha256(canonicalJson(job));
}

/** What the artefact says of a trained model. */
export function manifestOf(
  jobId: string,
  job: JobSpec,
  dataset: Dataset,
  plan: ModelPlan,
  lineage: { readonly teacher: string | null; readonly testAccuracy: number },
): Omit<ModelManifest, 'weights'> {
  return {
    formatVersion: 1,
    name: `${job.name}/${plan.name}`,
    architecture: manifestArchitecture(plan.architecture, plan.program.model.input, dataset.image),
    classNames: plan.classes.classNames,
    classIds: [...plan.classes.classIds],
    parentClassNames: [...dataset.classNames],
    input: dataset.image,
    preprocessing: { scale: '0..1', ...plan.program.preprocessing },
    calibration: null,
    metrics: { testAccuracy: lineage.testAccuracy },
    lineage: {
      job: jobId,
      jobSpecDigest: jobSpecDigest(job),
      dataset: dataset.digest,
      teacher: lineage.teacher,
      arm: plan.arm,
    },
  };
}

function unknownName(kind: string, name: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', `the job has no ${kind} "${name}"`, { field: `${kind}s` });
}
