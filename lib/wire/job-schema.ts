/**
 * The schema of a job file. Every leaf says in words what it expects; `job-file.ts` adds the path, what was found and the
 * line. Unknown keys are refused everywhere.
 */
import { z } from 'zod';
import { classes } from './class-list-schema.ts';
import { badSamples, classWeights, DATASET, normalize, viewsSchema } from './data-schema.ts';
import { contradictionsIn } from './job-relations.ts';
import type { AveragingSpec, JobSpec, TrainSpec } from './job-spec.ts';
import { distill } from './loss-schema.ts';
import { studentSchema, teacherSchema } from './model-schema.ts';
import { ROUTE_RULES, type RouteRule } from './route-rules.ts';
import {
  atLeastZero,
  block,
  flag,
  fraction,
  label,
  oneOf,
  optional,
  positive,
  text,
  unionMeaning,
  whole,
} from './schema-parts.ts';

const UINT32_MAX = 0xffff_ffff;

const schedule = z.discriminatedUnion(
  'type',
  [
    block({ type: z.literal('constant'), warmupSteps: whole(0).default(0) }),
    block({ type: z.literal('cosine'), warmupSteps: whole(0).default(0) }),
    block({ type: z.literal('step'), warmupSteps: whole(0).default(0), everySteps: whole(1), factor: positive() }),
  ],
  { error: unionMeaning('constant, cosine, step') },
);

const optimizerCommon = {
  learningRate: positive().default(1e-3),
  weightDecay: atLeastZero().default(0),
  schedule: optional(schedule, { type: 'constant' }),
  clipNorm: positive().optional(),
};

const optimizer = z.discriminatedUnion(
  'type',
  [
    block({ type: z.literal('adam'), ...optimizerCommon }),
    block({ type: z.literal('adamw'), ...optimizerCommon }),
    block({
      type: z.literal('sgd'),
      ...optimizerCommon,
      momentum: atLeastZero().lt(1, 'a number from 0 to below 1').default(0.9),
      nesterov: flag().default(false),
    }),
  ],
  { error: unionMeaning('adam, adamw, sgd') },
);

/** The frame's tree node holds lane numbers in 16 bits; a thousand lanes are far beyond any use and keep trees small. */
const MAX_LANES = 1024;
const MAX_MICRO_BATCH = 4096;

const earlyStopping = block({ patience: whole(1, 10_000), minDelta: fraction().default(0) });

function trainKeys(lanes: number, microBatch: number, epochs: number) {
  return {
    lanes: whole(1, MAX_LANES).default(lanes),
    microBatch: whole(1, MAX_MICRO_BATCH).default(microBatch),
    epochs: whole(1, 10_000).default(epochs),
    tail: oneOf('weighted', 'drop').default('weighted'),
    checkpointEpochs: whole(0, 10_000).default(0),
    optimizer: optional(optimizer, { type: 'adam' }),
    precision: oneOf('float32', 'bfloat16', 'float16').default('float32'),
    compile: oneOf('auto', 'required').default('auto'),
    keep: oneOf('last', 'best').optional(),
    earlyStopping: earlyStopping.optional(),
  };
}

/** What training stops for is what is kept. The keys stay in the order in which they are read back. */
function keepBest<T extends GivenKeep>(given: T): Omit<T, keyof GivenKeep> & Pick<TrainSpec, 'keep' | 'earlyStopping'> {
  const { keep, earlyStopping, ...others } = given;
  if (earlyStopping === undefined) return { ...others, keep: keep ?? 'last' };
  return { ...others, keep: keep ?? 'best', earlyStopping };
}

interface GivenKeep {
  readonly keep?: TrainSpec['keep'] | undefined;
  readonly earlyStopping?: TrainSpec['earlyStopping'];
}

const studentTrain = optional(block(trainKeys(4, 16, 10)).transform(keepBest));
const teacherTrain = optional(
  block({ ...trainKeys(1, 64, 5), workers: whole(1, MAX_LANES).default(1) }).transform(keepBest),
);

const DEFAULT_WORKERS = 2;

const data = block({
  dataset: text(DATASET),
  source: block({ dataset: text(DATASET), match: oneOf('name', 'position').default('name') }).optional(),
  classes: classes.optional(),
  train: whole(1).optional(),
  labelled: whole(1).optional(),
  labelNoise: fraction().default(0),
  classWeights: classWeights.optional(),
  calibrate: whole(0).default(0),
  test: whole(1).optional(),
  badSamples: badSamples.default('fail'),
  normalize: normalize.default('auto'),
  views: optional(viewsSchema),
});

const floors = block({
  teacher: fraction().optional(),
  gain: fraction().optional(),
  route: fraction().optional(),
  rules: optional(
    block({
      'max-softmax': fraction().exactOptional(),
      'max-logit': fraction().exactOptional(),
      dustbin: fraction().exactOptional(),
    } satisfies Record<RouteRule, z.ZodType>),
  ),
});

const evaluate = block({
  control: flag().default(true),
  controlRoute: flag().default(false),
  teacherImages: whole(1).optional(),
  routeImages: whole(0).optional(),
  floors: optional(floors),
});

/** A message is a chunk and the frame's header of 32 bytes; nats-server takes 1 MiB unless told otherwise. */
const MAX_CHUNK_KIB = 1023;

const averaging = block({
  workers: whole(1, MAX_LANES).optional(),
  chunkKiB: whole(1, MAX_CHUNK_KIB).default(256),
  stallTimeoutMs: whole(100, 600_000).default(2000),
  reproducible: flag().default(true),
});

const limits = block({
  workerWaitSeconds: whole(1, 86_400).default(120),
  deadlineMinutes: positive().optional(),
  quick: optional(z.record(z.string(), z.unknown(), 'paths in this file and their values')),
});

/** Every teacher-worker holds all teachers that a student learns from. */
const MAX_TEACHERS = 16;

const blocks = block({
  apiVersion: oneOf('stillhouse/v1'),
  kind: oneOf('Job'),
  name: label(),
  seed: whole(0, UINT32_MAX).default(1),
  data,
  teachers: z
    .array(teacherSchema(teacherTrain), 'a list of teachers')
    .min(1, 'at least one teacher')
    .max(MAX_TEACHERS, `at most ${MAX_TEACHERS} teachers`),
  students: z.array(studentSchema, 'a list of students').min(1, 'at least one student').max(64, 'at most 64 students'),
  distill,
  train: studentTrain,
  averaging: optional(averaging),
  evaluate: optional(evaluate),
  calibrate: optional(block({})),
  gate: optional(block({})),
  publish: optional(block({ route: label().optional(), rule: oneOf(...ROUTE_RULES, 'best').default('max-softmax') })),
  limits: optional(limits),
});

/** The keys in a fixed order, so that a job and the same job read back from its JSON are the same text. */
function withWorkers(given: z.output<typeof averaging>, lanes: number): AveragingSpec {
  const { workers = Math.min(DEFAULT_WORKERS, lanes), chunkKiB, stallTimeoutMs, reproducible } = given;
  return { workers, chunkKiB, stallTimeoutMs, reproducible };
}

/** Parses to a `JobSpec`; what depends on several fields is checked here too. */
export const jobSchema = blocks
  .transform(
    (job): JobSpec => ({
      ...job,
      averaging: withWorkers(job.averaging, job.train.lanes),
      publish: { route: job.publish.route ?? job.name, rule: job.publish.rule },
    }),
  )
  .superRefine((job, context) => {
    for (const contradiction of contradictionsIn(job)) context.addIssue({ code: 'custom', ...contradiction });
  });
