/**
 * From a job file to what a worker trains: model, step, samples. Every worker derives the same plan from the same job and
 * data set, so that nothing of it has to be agreed upon. Of millions of samples that takes seconds: a part at a time.
 */
import { nextTurn } from '../base/clock.ts';
import { StillhouseError } from '../base/errors.ts';
import { hashName, mixSeeds } from '../base/random.ts';
import { type ClassSubset, labelWithin, resolveClasses, restrictToClasses } from '../data/class-map.ts';
import type { Dataset } from '../data/dataset.ts';
import { microBatchSizes, stepsPerEpoch } from '../data/lanes.ts';
import { type Splits, selectSplits, selectTest } from '../data/splits.ts';
import type { ViewsSpec } from '../data/views.ts';
import type { EpochSelection } from '../distill/epoch-watch.ts';
import { hasTails } from '../distill/logits/format.ts';
import { CONTROL_TERMS, type Loss, needsTeacher } from '../distill/loss-spec.ts';
import type { ProgramSpec } from '../distill/step-spec.ts';
import type { TrainingPlan } from '../distill/training-plan.ts';
import type { ArchitectureSpec } from '../model/architecture-choice.ts';
import type { DecodedArtefact } from '../model/artefact.ts';
import { classWeights } from './class-weights.ts';
import { distillationLoss, dustbinTemperature, type LoadedLosses, NO_LOADED_LOSSES } from './job-losses.ts';
import type { JobSpec, NetworkSpec, TrainedTeacherSpec, TrainSpec } from './job-spec.ts';
import { wireFormat } from './logits-formats.ts';
import { normalization } from './normalization.ts';
import { type StartingState, startingState } from './starting-state.ts';
import { mixes, teacherViews } from './teacher-views.ts';
import {
  knownLabels,
  type SampleChoice,
  samplesByLabel,
  samplesByTeacher,
  type TeacherAnswers,
  type TrainingSamples,
} from './training-samples.ts';
import { requireWholeStep } from './whole-steps.ts';

export type Arm = 'teacher' | 'distil' | 'control';

export interface ModelPlan {
  /** Of the teacher or student. */
  readonly name: string;
  readonly arm: Arm;
  readonly classes: ClassSubset;
  /** Whether the model has one more output than classes, for images of none of them. */
  readonly dustbin: boolean;
  readonly architecture: ArchitectureSpec;
  readonly program: ProgramSpec;
  readonly training: TrainingPlan;
  /** Whether steps need teacher logits. */
  readonly usesTeacher: boolean;
  /** At which the teacher is to add up the probability of all other classes; 0 without a dustbin or a teacher. */
  readonly dustbinTemperature: number;
  /** Test samples of the model's classes. */
  readonly testIds: Uint32Array;
  readonly labelOf: (id: number) => number;
  /** How its model is chosen among those after each epoch; null: it is the last one, and nobody looks at the others. */
  readonly selection: EpochSelection | null;
  /** As `TrainSpec.checkpointEpochs`; 0 for a control arm. */
  readonly checkpointEpochs: number;
  /** The same for a student and its control arm. */
  readonly start: StartingState;
}

/** Labels alone; no term of it has a temperature. */
const CONTROL_LOSS: Loss = { terms: CONTROL_TERMS, temperature: 1 };

/** Batch size of evaluations. */
const EVALUATION_BATCH = 64;

/** The teacher of that name. @throws INVALID_ARGUMENT when there is none, or it is not one that the job trains */
export function trainedTeacher({ teachers }: JobSpec, name: string): TrainedTeacherSpec {
  const index = teachers.findIndex((candidate) => candidate.name === name);
  const teacher = teachers[index];
  if (teacher === undefined) throw unknownName('teacher', name);
  if (teacher.from === undefined) return teacher;
  const message = `the teacher "${name}" is there already, and cannot be trained`;
  throw new StillhouseError('INVALID_ARGUMENT', message, { field: `teachers[${index}].from` });
}

/** @param init the model to start from, where the job names one @throws as `trainedTeacher` does */
export async function planTeacher(
  job: JobSpec,
  dataset: Dataset,
  name: string,
  init: DecodedArtefact | null,
): Promise<ModelPlan> {
  const teacher = trainedTeacher(job, name);
  const classes = resolveClasses(dataset.classNames, dataset.classNames, 'teachers');
  const splits = selectSplits(dataset, { seed: job.seed, ...job.data });
  await nextTurn();
  const known = await knownLabels(job, dataset, splits.train);
  await nextTurn();
  const samples = await samplesByLabel(known, { seed: job.seed, classIds: classes.classIds, dustbin: false });
  const { train } = teacher;
  return plan(job, dataset, {
    name,
    arm: 'teacher',
    network: teacher,
    train,
    views: teacherViews(job, teacher),
    classes,
    dustbin: false,
    loss: CONTROL_LOSS,
    init,
    splits,
    testIds: teacherTestIds(job, dataset, splits),
    samples,
    steps: stepsOf(train, samples),
  });
}

/** What is known when a student's training is planned. */
export interface StudentFacts {
  /** The model to start from, where the job names one. */
  readonly init: DecodedArtefact | null;
  /** Of the job's custom terms, which the compute thread has loaded. */
  readonly losses?: LoadedLosses | undefined;
  /** Null where nobody has asked the teacher: every image then has its label. */
  readonly answers: TeacherAnswers | null;
}

/**
 * The control arm is the same student on the labelled images alone, for as many steps as the distilled one takes.
 * @throws as `samplesByTeacher` does
 */
export async function planStudent(
  job: JobSpec,
  dataset: Dataset,
  name: string,
  control: boolean,
  { init, losses = NO_LOADED_LOSSES, answers }: StudentFacts,
): Promise<ModelPlan> {
  const index = job.students.findIndex((candidate) => candidate.name === name);
  const student = job.students[index];
  if (student === undefined) throw unknownName('student', name);
  const field = `students[${index}].classes`;
  const classes = resolveClasses(student.classes ?? dataset.classNames, dataset.classNames, field);
  const { dustbin, dustbinShare } = student;
  const splits = selectSplits(dataset, { seed: job.seed, ...job.data });
  await nextTurn();
  const known = await knownLabels(job, dataset, splits.train);
  await nextTurn();
  const choice: SampleChoice = { seed: job.seed, classIds: classes.classIds, dustbin, dustbinShare };
  const byLabel = await samplesByLabel(known, choice);
  await nextTurn();
  const distillation = distillationLoss(job.distill, losses);
  const byTeacher = needsTeacher(distillation.terms)
    ? await samplesByTeacher(known, choice, splits.train, answers)
    : byLabel;
  return plan(job, dataset, {
    name,
    arm: control ? 'control' : 'distil',
    network: student,
    train: job.train,
    views: job.data.views,
    classes,
    dustbin,
    loss: control ? CONTROL_LOSS : distillation,
    init,
    splits,
    testIds: restrictToClasses(splits.test, dataset.labels, classes.classIds),
    samples: control ? byLabel : byTeacher,
    steps: stepsOf(job.train, byTeacher),
  });
}

function stepsOf({ epochs, lanes, microBatch, tail }: TrainSpec, { ids }: TrainingSamples): number {
  return epochs * stepsPerEpoch(ids.length, lanes, microBatch, tail);
}

/** What teachers are tested on: a seeded draw, of which a larger one holds the smaller one. @param splits the job's */
export function teacherTestIds(job: JobSpec, dataset: Dataset, { test }: Pick<Splits, 'test'>): Uint32Array {
  const { teacherImages } = job.evaluate;
  if (teacherImages === undefined || teacherImages >= test.length) return test;
  return selectTest(dataset, { seed: job.seed, test: teacherImages });
}

interface PlanRequest {
  readonly name: string;
  readonly arm: Arm;
  readonly network: NetworkSpec;
  readonly train: TrainSpec;
  readonly views: ViewsSpec;
  readonly classes: ClassSubset;
  readonly dustbin: boolean;
  readonly loss: Loss;
  readonly init: DecodedArtefact | null;
  readonly splits: Splits;
  readonly testIds: Uint32Array;
  readonly samples: TrainingSamples;
  readonly steps: number;
}

async function plan(job: JobSpec, dataset: Dataset, request: PlanRequest): Promise<ModelPlan> {
  const { name, arm, network, train, views, classes, dustbin, loss, init, splits, testIds, samples, steps } = request;
  const { ids, labelOf, unlabelled } = samples;
  if (ids.length === 0) {
    throw new StillhouseError('INVALID_ARGUMENT', `no training image has a class of ${name}`, { field: 'data.train' });
  }
  requireWholeStep(trainField(job, request), name, ids.length, train);
  const { lanes, microBatch, tail, optimizer, precision, compile } = train;
  const { shards } = dataset;
  const training: TrainingPlan = { ids, shards, labelOf, seed: job.seed, lanes, microBatch, tail, steps, views };
  await nextTurn();
  const batchSizes = microBatchSizes(ids.length, lanes, microBatch, tail);
  const weights = classWeights(job.data.classWeights, { classNames: classes.classNames, dustbin }, samples);
  const { fineTune } = network;
  const initialSeed = mixSeeds(job.seed, hashName(name));
  const { classNames } = classes;
  const start = startingState(network, init, { classNames, dustbin, images: dataset.image, seed: initialSeed });
  const usesTeacher = needsTeacher(loss.terms);
  const step = {
    ...{ loss, optimizer, totalSteps: steps, batchSizes, fineTune, precision, compile, unlabelled },
    ...(weights !== undefined && { classWeights: weights }),
    ...(mixes(views) && { mixed: true }),
    ...(usesTeacher && hasTails(wireFormat(job, start.model.classes)) && { tails: true }),
  };
  const { mean, std } =
    init === null ? await normalization(job.data.normalize, dataset, splits.train) : init.manifest.preprocessing;
  return {
    name,
    arm,
    classes,
    dustbin,
    architecture: network.arch,
    program: {
      model: start.model,
      images: dataset.image,
      preprocessing: { mean, std },
      training: { ...step, seed: initialSeed },
      predictBatchSizes: [EVALUATION_BATCH],
    },
    training,
    usesTeacher,
    dustbinTemperature: dustbin && usesTeacher ? dustbinTemperature(job.distill) : 0,
    testIds,
    labelOf: labelWithin(dataset.labels, classes.classIds),
    selection: selectionOf(train, name, dataset, classes, splits),
    checkpointEpochs: arm === 'control' ? 0 : train.checkpointEpochs,
    start,
  };
}

/** Where the job file says how the model is trained. */
function trainField({ teachers }: JobSpec, { arm, name }: PlanRequest): string {
  return arm === 'teacher' ? `teachers[${teachers.findIndex((teacher) => teacher.name === name)}].train` : 'train';
}

/** @throws INVALID_ARGUMENT when no image that is held out for it has a class of the model */
function selectionOf(
  { keep, earlyStopping }: TrainSpec,
  name: string,
  { labels }: Dataset,
  { classIds }: ClassSubset,
  { calibrate }: Splits,
): EpochSelection | null {
  if (keep === 'last' && earlyStopping === undefined) return null;
  const ids = restrictToClasses(calibrate, labels, classIds);
  if (ids.length === 0) {
    const message = `no image that is held out for the choice of its epoch has a class of ${name}`;
    const hint = 'raise data.calibrate, or leave train.keep and train.earlyStopping out';
    throw new StillhouseError('INVALID_ARGUMENT', message, { field: 'data.calibrate', hint });
  }
  const questions = { ids, classes: classIds.length, labelOf: labelWithin(labels, classIds) };
  return { questions, keepsBest: keep === 'best', stopping: earlyStopping ?? null };
}

function unknownName(kind: string, name: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', `the job has no ${kind} "${name}"`, { field: `${kind}s` });
}
