/** What came of a job, as data: what `report.json` holds. Pure. */
import { architectureLabel } from '../lib/model/architecture-choice.ts';
import { type FloorResult, floorResults } from '../lib/wire/job-floors.ts';
import { withoutSources } from '../lib/wire/job-losses.ts';
import { controlRouteName } from '../lib/wire/job-routes.ts';
import type { JobSpec, StudentSpec, TeacherSpec } from '../lib/wire/job-spec.ts';
import type { Job } from './coordinator-client.ts';
import { accuracyOf, type BestEpoch, bestEpochOf, dataWaitShare, type Phase, shareOf } from './job-view.ts';
import { type Teaching, teachingOf } from './teaching.ts';

/** Fields may be added within a version: who reads a report ignores those that it does not know. */
export interface JobReport {
  readonly formatVersion: 1;
  readonly job: { id: string; name: string; state: string; createdAt: string; endedAt: string; datasetDigest: string };
  /** Code that came with the job by its digest. */
  readonly spec: object;
  readonly data: DataUse;
  readonly teachers: readonly ModelResult[];
  readonly students: readonly StudentResult[];
  readonly route: RouteResult;
  /** One per floor that the job sets. */
  readonly floors: readonly FloorResult[];
  /** Whole seconds and fractions, by phase, in the order in which they ran. */
  readonly phases: readonly { kind: string; subject: string; state: string; seconds: number }[];
  readonly samples: readonly SampleAnswer[];
  /** Why the router could not be asked; null when it was, or was not to be. */
  readonly samplesProblem: string | null;
}

/** How many images the job used. */
export interface DataUse {
  readonly dataset: string;
  /** What its samples were made from, where nobody has photographed or written them; else null. */
  readonly synthetic: string | null;
  readonly train: number;
  /** Training images whose labels were looked at. */
  readonly labelled: number;
  /** Their labels are looked at only where they choose the route's rule. */
  readonly calibrate: number;
  readonly test: number;
  /** Damaged samples that the job went on without. */
  readonly skipped: readonly { id: number; source: string; reason: string }[];
}

export interface ModelResult {
  readonly name: string;
  /** Of a teacher that the job has brought along from another framework: where it comes from. */
  readonly arch: string;
  readonly digest: string;
  /** 0 where it is not known. */
  readonly parameters: number;
  /** Of `weights.safetensors`; null when the model was not saved. */
  readonly weightBytes: number | null;
  /** On the test images of the model's classes, 0..1; null when not evaluated. */
  readonly accuracy: number | null;
  readonly evaluatedImages: number;
  readonly steps: number;
  readonly firstLoss: number;
  readonly loss: number;
  /** Of training. */
  readonly imagesPerSecond: number;
  /** Share of the training's time that was spent waiting for images, 0..1; null when it is not known. */
  readonly dataWaitShare: number | null;
  /** Of answering, compute alone; null when not measured. */
  readonly predictImagesPerSecond: number | null;
  readonly seconds: number;
  /** Where the job looks at the calibrate split after every epoch: whose model this is; else null. */
  readonly best: BestEpoch | null;
  /** With `train.tail: drop`, how many training images each epoch has left out; null otherwise, and when it is not known. */
  readonly droppedPerEpoch: readonly number[] | null;
  readonly workers: Phase['workers'];
}

export interface StudentResult extends ModelResult {
  /** Whether it was there to teach others: it is not published, and no leg of the route. */
  readonly assistant: boolean;
  /** Whom it has learnt from, by name. */
  readonly taughtBy: readonly string[];
  /** How it got its logits; null before it has. */
  readonly teaching: Teaching | null;
  /** The same student without the teacher; null when the job has no control arm. */
  readonly control: ModelResult | null;
  /** Accuracy above the control arm's, a difference of shares. */
  readonly gain: number | null;
  /** The teacher's weights in the student's, in bytes. */
  readonly timesSmaller: number | null;
  /** The student's images per second in the teacher's. */
  readonly timesFaster: number | null;
}

/** Of all test images that were sent through the router. */
export interface RouteAccuracy {
  readonly name: string;
  /** By the route's own rule; null when not evaluated. */
  readonly accuracy: number | null;
  readonly evaluatedImages: number;
  /** By which the route answers; empty when not evaluated. */
  readonly rule: string;
  readonly rules: readonly RuleAccuracy[];
  /** How the rule was chosen; null where the job file names it. */
  readonly choice: { readonly images: number; readonly rules: readonly RuleAccuracy[] } | null;
}

export interface RuleAccuracy {
  readonly rule: string;
  readonly accuracy: number | null;
}

export interface RouteResult extends RouteAccuracy {
  /** The route of the control arm's models; null when the job has none. */
  readonly control: RouteAccuracy | null;
  /** By each one's own rule. */
  readonly gain: number | null;
  /** Of all students together. */
  readonly parameters: number;
  readonly weightBytes: number | null;
  readonly timesSmaller: number | null;
}

/** A test image that was sent through the router's REST endpoint. */
export interface SampleAnswer {
  readonly sampleId: number;
  readonly label: string;
  readonly predicted: string;
  readonly probability: number;
  readonly specialist: string;
}

export interface ReportInput {
  readonly job: Job;
  readonly spec: JobSpec;
  readonly trainImages: number;
  readonly labelledImages: number;
  readonly testImages: number;
  readonly synthetic: string | null;
  readonly samples: readonly SampleAnswer[];
  readonly samplesProblem: string | null;
  /** By the models' digests. */
  readonly weightBytes: ReadonlyMap<string, number>;
  /** By the digests of the lists. */
  readonly droppedPerEpoch: ReadonlyMap<string, readonly number[]>;
}

export function buildReport(input: ReportInput): JobReport {
  const { job, spec, samples, samplesProblem } = input;
  const { id, name, state, createdAt, endedAt, datasetDigest } = job;
  const teachers = spec.teachers.map((teacher) =>
    modelResult(input, teacher.name, originOf(teacher), teacherPhase(job, teacher.name)),
  );
  const students = spec.students.map((student) => studentResult(input, student, teachers));
  return {
    formatVersion: 1,
    job: { id, name, state, createdAt, endedAt, datasetDigest },
    spec: withoutSources(spec),
    data: {
      dataset: spec.data.dataset,
      synthetic: input.synthetic,
      train: input.trainImages,
      labelled: input.labelledImages,
      calibrate: spec.data.calibrate,
      test: input.testImages,
      skipped: job.skippedSamples,
    },
    teachers,
    students,
    route: routeResult(job, spec, teachers, students),
    floors: floorResults(spec, {
      teacher: (name) => accuracyOf(teacherPhase(job, name)),
      student: (name) => accuracyOf(phaseOf(job, 'DISTIL', name)),
      control: (name) => accuracyOf(phaseOf(job, 'CONTROL', name)),
      route: () => accuracyOf(phaseOf(job, 'EVALUATE_ROUTE', spec.publish.route)),
      rule: (rule) =>
        ruleAccuracies(phaseOf(job, 'EVALUATE_ROUTE', spec.publish.route)).find((one) => one.rule === rule)?.accuracy ??
        null,
    }),
    phases: job.phases.map(({ kind, subject, state, seconds }) => ({ kind, subject, state, seconds })),
    samples,
    samplesProblem,
  };
}

function phaseOf(job: Job, kind: string, subject: string): Phase | undefined {
  return job.phases.find((phase) => phase.kind === `PHASE_KIND_${kind}` && phase.subject === subject);
}

/** A teacher is trained, or there already and evaluated. */
function teacherPhase(job: Job, name: string): Phase | undefined {
  return phaseOf(job, 'TRAIN_TEACHER', name) ?? phaseOf(job, 'EVALUATE_TEACHER', name);
}

const FRAMEWORKS = { onnx: 'ONNX', 'saved-model': 'SavedModel', tfjs: 'TensorFlow.js' } as const;

/** The architecture; of a teacher whose own is not known, where it comes from. */
function originOf(teacher: TeacherSpec): string {
  const { from } = teacher;
  if (from === undefined) return architectureLabel(teacher.arch);
  if (from.type === 'endpoint') return `${from.model} at ${from.url}`;
  if (from.type !== 'weights') return FRAMEWORKS[from.type];
  return from.arch === undefined ? from.weights : architectureLabel(from.arch);
}

function modelResult(
  { weightBytes, droppedPerEpoch }: ReportInput,
  name: string,
  arch: string,
  phase: Phase | undefined,
): ModelResult {
  return {
    name,
    arch,
    digest: phase?.modelDigest ?? '',
    parameters: phase?.parameters ?? 0,
    weightBytes: weightBytes.get(phase?.modelDigest ?? '') ?? null,
    accuracy: accuracyOf(phase),
    evaluatedImages: phase?.evaluatedImages ?? 0,
    steps: phase?.step ?? 0,
    firstLoss: phase?.firstLoss ?? 0,
    loss: phase?.loss ?? 0,
    imagesPerSecond: phase?.imagesPerSecond ?? 0,
    dataWaitShare: dataWaitShare(phase),
    predictImagesPerSecond: positive(phase?.predictImagesPerSecond),
    seconds: phase?.seconds ?? 0,
    best: bestEpochOf(phase),
    droppedPerEpoch: droppedPerEpoch.get(phase?.droppedDigest ?? '') ?? null,
    workers: phase?.workers ?? [],
  };
}

function studentResult(
  input: ReportInput,
  { name, arch: choice, assistant, teachers: names = input.spec.teachers.map((one) => one.name) }: StudentSpec,
  [teacher]: readonly ModelResult[],
): StudentResult {
  const arch = architectureLabel(choice);
  const phase = phaseOf(input.job, 'DISTIL', name);
  const distilled = modelResult(input, name, arch, phase);
  const controlPhase = phaseOf(input.job, 'CONTROL', name);
  const control = controlPhase === undefined ? null : modelResult(input, name, arch, controlPhase);
  return {
    ...distilled,
    assistant,
    taughtBy: names,
    teaching: teachingOf(phase),
    control,
    gain: difference(distilled.accuracy, control?.accuracy),
    timesSmaller: ratio(teacher?.weightBytes, distilled.weightBytes),
    timesFaster: ratio(distilled.predictImagesPerSecond, teacher?.predictImagesPerSecond),
  };
}

function routeResult(
  job: Job,
  spec: JobSpec,
  [teacher]: readonly ModelResult[],
  all: readonly StudentResult[],
): RouteResult {
  const students = all.filter(({ assistant }) => !assistant);
  const own = routeAccuracy(job, spec.publish.route);
  const control = spec.evaluate.controlRoute ? routeAccuracy(job, controlRouteName(spec)) : null;
  const sizes = students.map(({ weightBytes }) => weightBytes).filter((bytes) => bytes !== null);
  const weightBytes = sizes.length === students.length ? sum(sizes) : null;
  return {
    ...own,
    control,
    gain: difference(own.accuracy, control?.accuracy),
    parameters: sum(students.map(({ parameters }) => parameters)),
    weightBytes,
    timesSmaller: ratio(teacher?.weightBytes, weightBytes),
  };
}

function routeAccuracy(job: Job, name: string): RouteAccuracy {
  const evaluation = phaseOf(job, 'EVALUATE_ROUTE', name);
  const choice = phaseOf(job, 'CHOOSE_RULE', name);
  return {
    name,
    accuracy: accuracyOf(evaluation),
    evaluatedImages: evaluation?.evaluatedImages ?? 0,
    rule: evaluation?.rule || (choice?.rule ?? ''),
    rules: ruleAccuracies(evaluation),
    choice:
      choice === undefined ? null : { images: choice.rules[0]?.evaluatedImages ?? 0, rules: ruleAccuracies(choice) },
  };
}

function ruleAccuracies(phase: Phase | undefined): RuleAccuracy[] {
  return (phase?.rules ?? []).map((result) => ({ rule: result.rule, accuracy: shareOf(result) }));
}

function positive(value: number | undefined): number | null {
  return value !== undefined && value > 0 ? value : null;
}

function difference(one: number | null, other: number | null | undefined): number | null {
  return one === null || other === null || other === undefined ? null : one - other;
}

function ratio(one: number | null | undefined, other: number | null | undefined): number | null {
  return one && other ? one / other : null;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
