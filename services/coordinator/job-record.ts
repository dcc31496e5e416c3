/** A job as the coordinator keeps it in `still_jobs` and as the API shows it. */
import { z } from 'zod';
import type { Job } from '../../lib/wire/generated/stillhouse/v1/Job.ts';
import type { PhaseKind__Output } from '../../lib/wire/generated/stillhouse/v1/PhaseKind.ts';
import { decodeJson, encodeJson } from '../../lib/wire/records.ts';
import { ROUTE_RULES } from '../../lib/wire/route-rules.ts';

const count = z.number().int().nonnegative();

/** JSON has no NaN and writes null: a loss that has diverged comes back as NaN. */
const real = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);

const shareSchema = z.object({
  workerId: z.string(),
  firstLane: count,
  lanes: count,
  stepsCommitted: count,
  samplesCommitted: count,
  gradientBytesSent: real,
  gradientBytesReceived: real,
  teacherSamples: count,
  weightsDigest: z.string(),
  teacherWaitMs: real,
  averagingWaitMs: real,
  dataWaitMs: real.default(0),
  pid: count,
  cachedSamples: count.default(0),
  batchesResent: count.default(0),
  duplicateAnswers: count.default(0),
  logitsBytesReceived: real.default(0),
  evaluationMs: real.default(0),
});

/** See the message TeacherShare. */
const teacherShareSchema = z.object({
  workerId: z.string(),
  teacher: z.string(),
  samplesServed: count,
  samplesComputed: count,
  samplesCached: count,
  samplesRepeated: count,
  batchesRefused: count,
  samplesQueued: count,
  bytesSent: real,
  computeMs: real,
  servingMs: real,
});

const ruleResultSchema = z.object({ rule: z.enum(ROUTE_RULES), correct: count, evaluatedImages: count });

/** Defaults are for records of releases that did not know the field. */
const phaseSchema = z.object({
  kind: z.enum([
    'TRAIN_TEACHER',
    'EVALUATE_TEACHER',
    'LABEL',
    'DISTIL',
    'CONTROL',
    'PUBLISH',
    'CHOOSE_RULE',
    'EVALUATE_ROUTE',
  ]),
  state: z.enum(['PENDING', 'RUNNING', 'DONE', 'FAILED']),
  /** The teacher, student or route that the phase is about. */
  subject: z.string(),
  step: count,
  stepsTotal: count,
  firstLoss: real,
  loss: real,
  imagesPerSecond: real,
  accuracy: real,
  evaluatedImages: count,
  workers: z.array(shareSchema),
  modelDigest: z.string(),
  /** How long it took; while it runs, see `startedMs` of the machine. */
  seconds: real,
  parameters: count,
  notice: z.string().default(''),
  /** The epoch of the latest step, from 1; 0 until there is one. */
  epoch: count.default(0),
  epochs: count.default(0),
  epochLoss: real.default(0),
  epochAccuracy: real.default(0),
  finishedEpoch: count.default(0),
  finishedEpochLoss: real.default(0),
  finishedEpochAccuracy: real.default(0),
  droppedDigest: z.string().default(''),
  predictImagesPerSecond: real.default(0),
  /** In the order in which they were tried. */
  rules: z.array(ruleResultSchema).default([]),
  /** The route's own; empty until it is known, and for other phases. */
  rule: z.enum(['', ...ROUTE_RULES]).default(''),
  checkpointDigest: z.string().default(''),
  checkpointEpoch: count.default(0),
  teachers: z.array(teacherShareSchema).default([]),
  advice: z.string().default(''),
  teachersWanted: count.default(0),
  bestEpoch: count.default(0),
  bestAccuracy: real.default(0),
  stoppedEarly: z.boolean().default(false),
});

const skippedSampleSchema = z.object({ id: count, source: z.string(), reason: z.string() });

const jobSchema = z.object({
  id: z.string(),
  name: z.string(),
  /** Order of submission: later jobs have higher numbers. */
  sequence: count,
  state: z.enum(['QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED']),
  message: z.string(),
  phases: z.array(phaseSchema),
  specJson: z.string(),
  datasetDigest: z.string(),
  skippedSamples: z.array(skippedSampleSchema).default([]),
  createdAt: z.string(),
  endedAt: z.string(),
  /** Grows with every change. */
  revision: count,
  /** Chosen by who submitted it; empty for none. */
  idempotencyKey: z.string(),
  /** Digest of the job file as it was submitted, to tell a repeated submission from another one. */
  submittedDigest: z.string(),
  scope: z.enum(['ALL', 'LABEL']).default('ALL'),
});

/** How many of a route's answers by one rule were right. */
export type RuleResult = z.infer<typeof ruleResultSchema>;
export type ShareRecord = z.infer<typeof shareSchema>;
export type TeacherShareRecord = z.infer<typeof teacherShareSchema>;
export type PhaseRecord = z.infer<typeof phaseSchema>;
export type JobRecord = z.infer<typeof jobSchema>;
export type PhaseName = PhaseRecord['kind'];
export type JobStateName = JobRecord['state'];
export type JobScopeName = JobRecord['scope'];

export function newPhase(kind: PhaseName, subject: string): PhaseRecord {
  return {
    kind,
    state: 'PENDING',
    subject,
    step: 0,
    stepsTotal: 0,
    firstLoss: 0,
    loss: 0,
    imagesPerSecond: 0,
    accuracy: 0,
    evaluatedImages: 0,
    workers: [],
    modelDigest: '',
    seconds: 0,
    parameters: 0,
    notice: '',
    epoch: 0,
    epochs: 0,
    epochLoss: 0,
    epochAccuracy: 0,
    finishedEpoch: 0,
    finishedEpochLoss: 0,
    finishedEpochAccuracy: 0,
    droppedDigest: '',
    predictImagesPerSecond: 0,
    rules: [],
    rule: '',
    checkpointDigest: '',
    checkpointEpoch: 0,
    teachers: [],
    advice: '',
    teachersWanted: 0,
    bestEpoch: 0,
    bestAccuracy: 0,
    stoppedEarly: false,
  };
}

export function hasEnded(job: JobRecord): boolean {
  return job.state === 'SUCCEEDED' || job.state === 'FAILED' || job.state === 'CANCELLED';
}

/** The job, ended for a reason; what was running then has failed with it. */
export function endedJob(job: JobRecord, state: JobStateName, message: string, endedAt: string): JobRecord {
  const phases = job.phases.map((phase) =>
    phase.state === 'RUNNING' ? { ...phase, state: 'FAILED' as const } : phase,
  );
  return { ...job, state, message, phases, endedAt };
}

export function encodeJob(job: JobRecord): Uint8Array {
  return encodeJson(job);
}

/** DATA_LOSS, naming `where`, when it is no job. */
export function decodeJob(bytes: Uint8Array, where: string): JobRecord {
  return decodeJson(bytes, jobSchema, where);
}

/** The job as the API answers it. */
export function jobMessage(job: JobRecord): Job {
  const { sequence: _sequence, idempotencyKey: _key, submittedDigest: _digest, ...shown } = job;
  return {
    ...shown,
    state: `JOB_STATE_${job.state}`,
    scope: `JOB_SCOPE_${job.scope}`,
    phases: job.phases.map((phase) => ({
      ...phase,
      kind: `PHASE_KIND_${phase.kind}` as PhaseKind__Output,
      state: `PHASE_STATE_${phase.state}` as const,
    })),
  };
}
