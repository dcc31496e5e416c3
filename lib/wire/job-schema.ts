/**
 * The schema of a job file. Every leaf says in words what it expects; `job-file.ts` adds the path, what was found and the
 * line. Unknown keys are refused everywhere.
 */
import { z } from 'zod';
import type { AveragingSpec, JobSpec } from './job-spec.ts';

/** What names may look like: a DNS label, because they become parts of subjects, keys and host names. */
const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const UINT32_MAX = 0xffff_ffff;

function whole(min: number, max?: number) {
  const text = max === undefined ? `a whole number ≥ ${min}` : `a whole number from ${min} to ${max}`;
  return z
    .int(text)
    .min(min, text)
    .max(max ?? Number.MAX_SAFE_INTEGER, text);
}

function positive() {
  const text = 'a number > 0';
  return z.number(text).gt(0, text);
}

function fraction() {
  const text = 'a number from 0 to 1';
  return z.number(text).min(0, text).max(1, text);
}

function atLeastZero() {
  const text = 'a number ≥ 0';
  return z.number(text).min(0, text);
}

function flag() {
  return z.boolean('true or false');
}

function label() {
  const text = 'a name of lower-case letters, digits and "-", at most 63, that starts and ends with a letter or digit';
  return z.string(text).regex(LABEL, text);
}

function text(meaning: string) {
  return z.string(meaning).min(1, meaning);
}

function oneOf<const T extends readonly string[]>(...values: T) {
  return z.enum(values, values.length === 1 ? `"${values[0]}"` : `one of ${values.join(', ')}`);
}

/** A mapping with these keys and no other. For an unknown key the issue's message is the list of the known ones. */
function block<T extends z.ZodRawShape>(shape: T) {
  const keys = Object.keys(shape);
  const meaning = keys.length === 0 ? 'nothing (there are no settings here yet)' : `a block of ${keys.join(', ')}`;
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? keys.join(', ') : meaning),
  });
}

/** A block that may be left out or left empty: its defaults then hold. */
function optional<T extends z.ZodType>(schema: T, whenEmpty: Record<string, unknown> = {}) {
  return z
    .unknown()
    .optional()
    .transform((value): unknown => {
      if (value === undefined || value === null) return whenEmpty;
      return isMapping(value) ? { ...whenEmpty, ...value } : value;
    })
    .pipe(schema as z.ZodType<z.output<T>, unknown>);
}

/** What is expected of a block whose `type` decides on its other keys. */
function unionMeaning(types: string) {
  return (issue: { readonly code: string }) =>
    issue.code === 'invalid_union' ? `one of ${types}` : `a block with a type: one of ${types}`;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

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
};

const optimizer = z.discriminatedUnion(
  'type',
  [
    block({ type: z.literal('adam'), ...optimizerCommon }),
    block({
      type: z.literal('sgd'),
      ...optimizerCommon,
      momentum: atLeastZero().lt(1, 'a number from 0 to below 1').default(0.9),
      nesterov: flag().default(false),
    }),
  ],
  { error: unionMeaning('adam, sgd') },
);

/** The frame's tree node holds lane numbers in 16 bits; a thousand lanes are far beyond any use and keep trees small. */
const MAX_LANES = 1024;
const MAX_MICRO_BATCH = 4096;

function train(lanes: number, microBatch: number, epochs: number) {
  return optional(
    block({
      lanes: whole(1, MAX_LANES).default(lanes),
      microBatch: whole(1, MAX_MICRO_BATCH).default(microBatch),
      epochs: whole(1, 10_000).default(epochs),
      optimizer: optional(optimizer, { type: 'adam' }),
    }),
  );
}

const teacher = block({ name: label(), arch: text('the name of an architecture'), train: train(1, 64, 5) });

const classes = z
  .array(z.union([text('a class name'), whole(0)], 'a class name or a class id'), 'a list of class names or ids')
  .min(2, 'at least two classes')
  .optional();

const init = text('the name or digest of a published model').optional();

const student = block({ name: label(), arch: text('the name of an architecture'), classes, init });

const lossTerm = block({ type: oneOf('cross-entropy', 'kl', 'mse-logits'), weight: atLeastZero() });

const DEFAULT_ALPHA = 0.9;
const DEFAULT_WORKERS = 2;

const distill = optional(
  block({
    loss: z.array(lossTerm, 'a list of {type, weight}').min(1, 'at least one {type, weight}').optional(),
    alpha: fraction().optional(),
    temperature: positive().default(4),
  }).transform(({ loss, alpha, temperature }, context) => {
    if (loss !== undefined && alpha !== undefined) {
      context.addIssue({ code: 'custom', path: ['alpha'], message: 'either alpha or loss, not both' });
      return z.NEVER;
    }
    if (loss?.every((term) => term.weight === 0)) {
      context.addIssue({ code: 'custom', path: ['loss'], message: 'at least one weight > 0' });
      return z.NEVER;
    }
    const soft = alpha ?? DEFAULT_ALPHA;
    const shorthand = [
      { type: 'cross-entropy' as const, weight: 1 - soft },
      { type: 'kl' as const, weight: soft },
    ];
    return { loss: loss ?? shorthand, temperature };
  }),
);

const data = block({
  dataset: text('the name of a data set, or a path to its folder'),
  train: whole(1).optional(),
  calibrate: whole(0).default(0),
  test: whole(1).optional(),
  views: optional(block({ flip: flag().default(false), shift: whole(0, 16).default(0) })),
});

/** A message is a chunk and the frame's header of 32 bytes; nats-server takes 1 MiB unless told otherwise. */
const MAX_CHUNK_KIB = 1023;

const averaging = block({
  workers: whole(1, MAX_LANES).optional(),
  chunkKiB: whole(1, MAX_CHUNK_KIB).default(256),
  stallTimeoutMs: whole(100, 600_000).default(2000),
});

const limits = block({
  workerWaitSeconds: whole(1, 86_400).default(120),
  deadlineMinutes: positive().optional(),
  quick: optional(z.record(z.string(), z.unknown(), 'paths in this file and their values')),
});

const blocks = block({
  apiVersion: oneOf('stillhouse/v1'),
  kind: oneOf('Job'),
  name: label(),
  seed: whole(0, UINT32_MAX).default(1),
  data,
  teachers: z.array(teacher, 'a list of one teacher').length(1, 'exactly one teacher'),
  students: z.array(student, 'a list of students').min(1, 'at least one student').max(64, 'at most 64 students'),
  distill,
  train: train(4, 16, 10),
  averaging: optional(averaging),
  evaluate: optional(block({ control: flag().default(true), routeImages: whole(0).optional() })),
  calibrate: optional(block({})),
  gate: optional(block({})),
  publish: optional(block({ route: label().optional(), rule: oneOf('max-softmax').default('max-softmax') })),
  limits: optional(limits),
});

/** The keys in a fixed order, so that a job and the same job read back from its JSON are the same text. */
function withWorkers(given: z.output<typeof averaging>, lanes: number): AveragingSpec {
  const { workers = Math.min(DEFAULT_WORKERS, lanes), chunkKiB, stallTimeoutMs } = given;
  return { workers, chunkKiB, stallTimeoutMs };
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
    if (job.averaging.workers > job.train.lanes) {
      const message = `at most train.lanes (${job.train.lanes})`;
      context.addIssue({ code: 'custom', path: ['averaging', 'workers'], message });
    }
    const seen = new Map<string, string>();
    for (const list of ['teachers', 'students'] as const) {
      for (const [index, { name }] of job[list].entries()) {
        const other = seen.get(name);
        if (other === undefined) seen.set(name, `${list}[${index}]`);
        else context.addIssue({ code: 'custom', path: [list, index, 'name'], message: `a name other than ${other}'s` });
      }
    }
  });
