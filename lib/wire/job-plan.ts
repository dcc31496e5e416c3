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
import { CONTROL_TERMS, type LossTerm, needsTeacher } from '../distill/loss.ts';
import type { ProgramSpec } from '../distill/step-spec.ts';
import { type TrainingPlan, totalSteps } from '../distill/training-loop.ts';
import type { ModelManifest } from '../model/artefact.ts';
import { describeModel } from '../model/parameters.ts';
import { architectureNamed } from '../model/zoo.ts';
import type { JobSpec, TrainSpec } from './job-spec.ts';

export type Arm = 'teacher' | 'distil' | 'control';

export interface ModelPlan {
  /** Of the teacher or student. */
  readonly name: string;
  readonly arm: Arm;
  readonly classes: ClassSubset;
  readonly program: ProgramSpec;
  readonly training: TrainingPlan;
  readonly totalSteps: number;
  /** Whether steps need teacher logits. */
  readonly usesTeacher: boolean;
  /** Test samples of the model's classes. */
  readonly testIds: Uint32Array;
  readonly labelOf: (id: number) => number;
  /** For the initial weights: the same for a student and its control arm. */
  readonly initialSeed: number;
  /** Digest of the model to start from instead; null for seeded weights. */
  readonly init: string | null;
}

/** Batch size of evaluations. */
const EVALUATION_BATCH = 64;

export function planTeacher(job: JobSpec, dataset: Dataset, name: string): ModelPlan {
  const teacher = job.teachers.find((candidate) => candidate.name === name);
  if (teacher === undefined) throw unknownName('teacher', name);
  const classes = resolveClasses(dataset.classNames, dataset.classNames, 'teachers');
  return plan(job, dataset, {
    name,
    arm: 'teacher',
    arch: teacher.arch,
    train: teacher.train,
    classes,
    terms: CONTROL_TERMS,
    init: null,
  });
}

export function planStudent(job: JobSpec, dataset: Dataset, name: string, control: boolean): ModelPlan {
  const index = job.students.findIndex((candidate) => candidate.name === name);
  const student = job.students[index];
  if (student === undefined) throw unknownName('student', name);
  const classes = resolveClasses(
    student.classes ?? dataset.classNames,
    dataset.classNames,
    `students[${index}].classes`,
  );
  const arm = control ? 'control' : 'distil';
  const terms = control ? CONTROL_TERMS : job.distill.loss.filter(({ weight }) => weight > 0);
  return plan(job, dataset, {
    name,
    arm,
    arch: student.arch,
    train: job.train,
    classes,
    terms,
    init: student.init ?? null,
  });
}

interface PlanRequest {
  readonly name: string;
  readonly arm: Arm;
  readonly arch: string;
  readonly train: TrainSpec;
  readonly classes: ClassSubset;
  readonly terms: readonly LossTerm[];
  readonly init: string | null;
}

function plan(job: JobSpec, dataset: Dataset, request: PlanRequest): ModelPlan {
  const { name, arm, train, classes, terms } = request;
  const splits = selectSplits(dataset, { seed: job.seed, ...job.data });
  const ids = restrictToClasses(splits.train, dataset.labels, classes.classIds);
  if (ids.length === 0) {
    throw new StillhouseError('INVALID_ARGUMENT', `no training image has a class of ${name}`, { field: 'data.train' });
  }
  const labelOf = labelWithin(dataset.labels, classes.classIds);
  const { lanes, microBatch, epochs, optimizer } = train;
  const training: TrainingPlan = { ids, labelOf, seed: job.seed, lanes, microBatch, epochs, views: job.data.views };
  const steps = totalSteps(training);
  const batchSizes = microBatchSizes(ids.length, lanes, microBatch);
  const step = { terms, temperature: job.distill.temperature, optimizer, totalSteps: steps, batchSizes };
  return {
    name,
    arm,
    classes,
    program: {
      model: describeModel(architectureNamed(request.arch), dataset.image, classes.classNames.length),
      preprocessing: channelStatistics(dataset, splits.train),
      training: step,
      predictBatchSizes: [EVALUATION_BATCH],
    },
    training,
    totalSteps: steps,
    usesTeacher: needsTeacher(terms),
    testIds: restrictToClasses(splits.test, dataset.labels, classes.classIds),
    labelOf,
    initialSeed: mixSeeds(job.seed, hashName(name)),
    init: request.init,
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
    architecture: { name: plan.program.model.architecture.name },
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
