/** The schema of a job's `distill` block: loss terms, their weights and temperatures, fixed or by schedules. */
import { z } from 'zod';
import { sha256 } from '../base/digest.ts';
import type { Scheduled } from '../distill/loss-schedule.ts';
import type { BuiltInTerm } from '../distill/loss-terms.ts';
import { someClasses } from './class-list-schema.ts';
import type { CustomLossSpec, DistillSpec, LogitsCacheSpec, LossModule, LossTermSpec } from './job-spec.ts';
import {
  atLeastZero,
  block,
  chosen,
  fraction,
  isMapping,
  oneOf,
  optional,
  positive,
  text,
  whole,
} from './schema-parts.ts';

type Amount = z.ZodType<number>;

/** A block with a span: `steps`, or a `fraction` of the training; where it is not required, all of the training. */
function withSpan<T extends z.ZodRawShape>(shape: T, isRequired: boolean) {
  const span = {
    steps: whole(1).optional(),
    fraction: z
      .number('a number above 0, to 1')
      .gt(0, 'a number above 0, to 1')
      .max(1, 'a number above 0, to 1')
      .optional(),
  };
  return block({ ...shape, ...span }).transform((value, context) => {
    const {
      steps,
      fraction: share,
      ...rest
    } = value as { steps?: number; fraction?: number } & z.output<z.ZodObject<T>>;
    if (steps !== undefined && share !== undefined) {
      context.addIssue({ code: 'custom', path: ['fraction'], message: 'either steps or fraction, not both' });
      return z.NEVER;
    }
    if (steps !== undefined) return { ...rest, steps };
    if (share !== undefined || !isRequired) return { ...rest, fraction: share ?? 1 };
    context.addIssue({ code: 'custom', path: ['steps'], message: 'steps, or a fraction of the training' });
    return z.NEVER;
  });
}

/** A number, or a block that says how it moves during the training. */
function scheduled(amount: Amount): z.ZodType<Scheduled> {
  const ends = { from: amount, to: amount };
  const schedules: Readonly<Record<string, z.ZodType<unknown>>> = {
    constant: block({ type: z.literal('constant'), value: amount }),
    linear: withSpan({ type: z.literal('linear'), ...ends }, false),
    cosine: withSpan({ type: z.literal('cosine'), ...ends }, false),
    step: withSpan({ type: z.literal('step'), value: amount, factor: positive() }, true),
    'warm-up': withSpan({ type: z.literal('warm-up'), value: amount }, true),
  };
  return chosen((value) => (isMapping(value) ? byType(schedules, value) : amount)) as z.ZodType<Scheduled>;
}

/** The schema that a block's `type` names; else one whose refusal lists the types. */
function byType(
  schemas: Readonly<Record<string, z.ZodType<unknown>>>,
  value: unknown,
  others = '',
): z.ZodType<unknown> {
  const types = `one of ${Object.keys(schemas).join(', ')}${others}`;
  if (!isMapping(value)) return z.custom(() => false, { error: `a block with a type: ${types}` });
  const { type } = value;
  if (typeof type === 'string' && Object.hasOwn(schemas, type)) return schemas[type] as z.ZodType<unknown>;
  return z.looseObject({ type: z.enum(Object.keys(schemas), types) });
}

const common = { weight: scheduled(atLeastZero()), temperature: scheduled(positive()).optional() };

const smoothing = atLeastZero().lt(1, 'a number from 0 to below 1');

const builtIn: Readonly<Record<BuiltInTerm['type'], z.ZodType<unknown>>> = {
  'cross-entropy': block({ type: z.literal('cross-entropy'), ...common, smoothing: smoothing.optional() }),
  kl: block({ type: z.literal('kl'), ...common, convention: oneOf('seed-004').optional() }),
  'mse-logits': block({ type: z.literal('mse-logits'), ...common }),
  'mse-probabilities': block({ type: z.literal('mse-probabilities'), ...common }),
  'soft-cross-entropy': block({ type: z.literal('soft-cross-entropy'), ...common }),
  dkd: block({
    type: z.literal('dkd'),
    ...common,
    alpha: atLeastZero().default(1),
    beta: atLeastZero().default(8),
  }),
  dist: block({
    type: z.literal('dist'),
    ...common,
    beta: atLeastZero().default(2),
    gamma: atLeastZero().default(2),
  }),
};

/** It travels in every message that carries the job. */
export const LOSS_SOURCE_BYTES_MAX = 256 * 1024;

const SOURCE_MEANING = `at most ${LOSS_SOURCE_BYTES_MAX / 1024} KiB of bundled source`;

const moduleCode = block({
  digest: text('sha256: and 64 hex digits'),
  name: text('the name of the module’s file').max(255, 'at most 255 characters'),
  source: text('the bundled source').refine(
    (source) => Buffer.byteLength(source) <= LOSS_SOURCE_BYTES_MAX,
    SOURCE_MEANING,
  ),
}).superRefine(({ digest, source }, context) => {
  if (sha256(source) === digest) return;
  context.addIssue({ code: 'custom', path: ['digest'], message: `the digest of its source, ${sha256(source)}` });
}) satisfies z.ZodType<LossModule>;

function isJson(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(isJson);
  if (isMapping(value)) return Object.values(value).every(isJson);
  return value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value);
}

const custom = block({
  module: chosen(
    (value): z.ZodType<string | LossModule> =>
      isMapping(value) ? moduleCode : text('a path to a module, e.g. ./my-loss.ts'),
  ),
  ...common,
  parameters: optional(
    z.record(z.string(), z.unknown().refine(isJson, 'text, finite numbers, true, false, or lists and blocks of them'), {
      error: 'a block of values',
    }),
  ),
}) satisfies z.ZodType<CustomLossSpec>;

const lossTerm = chosen((value) => {
  const isCustom = isMapping(value) && value.module !== undefined;
  return (isCustom ? custom : byType(builtIn, value, ', or a module')) as z.ZodType<LossTermSpec>;
});

/** `hinton`: T²·KL. `seed-004`: one document's code, literally: KL without T², the mean over all elements. */
const SHORTHANDS = {
  hinton: { alpha: 0.9, temperature: 4, kl: {} },
  'seed-004': { alpha: 0.25, temperature: 1, kl: { convention: 'seed-004' } },
} as const;

/** More than that is closer to all classes than to a few. */
const TOP_K_MAX = 65_535;
const topK = block({ topK: whole(1, TOP_K_MAX) });
const RAW = ['auto', 'fp32', 'fp16', 'bf16', 'int8', 'int4'] as const;

const logits = chosen<DistillSpec['logits']>((value) => (isMapping(value) ? topK : oneOf(...RAW, 'probabilities')));

const stored = chosen<LogitsCacheSpec['encoding']>((value) => (isMapping(value) ? topK : oneOf(...RAW)));

const join = block({
  combine: oneOf('mean-logits', 'mean-probabilities', 'by-class', 'most-confident').default('mean-logits'),
  weights: optional(z.record(z.string(), positive(), 'weights by the names of teachers')),
  classes: optional(z.record(z.string(), someClasses, 'classes by the names of teachers')),
});

/** How answers get from the teachers to the students. */
const supply = {
  teachers: optional(join),
  logits: logits.default('auto'),
  request: oneOf('ids', 'pixels').default('ids'),
  cache: optional(block({ mode: oneOf('auto', 'on', 'off').default('auto'), encoding: stored.default('auto') })),
  withoutTeachers: oneOf('continue', 'wait', 'fail').default('continue'),
  merge: optional(block({ images: whole(1, 4096).default(256), delayMs: whole(0, 60_000).default(5) })),
};

export const distill = optional(
  block({
    ...supply,
    loss: z.array(lossTerm, 'a list of {type, weight}').min(1, 'at least one {type, weight}').optional(),
    alpha: fraction().optional(),
    temperature: scheduled(positive()).optional(),
    convention: oneOf('hinton', 'seed-004').optional(),
  }).transform(({ loss, alpha, temperature, convention, ...given }, context): DistillSpec => {
    for (const [key, value] of Object.entries({ alpha, convention })) {
      if (loss === undefined || value === undefined) continue;
      context.addIssue({ code: 'custom', path: [key], message: `either ${key} or loss, not both` });
      return z.NEVER;
    }
    if (loss?.every(({ weight }) => weight === 0)) {
      context.addIssue({ code: 'custom', path: ['loss'], message: 'at least one weight > 0' });
      return z.NEVER;
    }
    const { kl, ...defaults } = SHORTHANDS[convention ?? 'hinton'];
    const soft = alpha ?? defaults.alpha;
    const shorthand: LossTermSpec[] = [
      { type: 'cross-entropy', weight: 1 - soft },
      { type: 'kl', weight: soft, ...kl },
    ];
    return { loss: loss ?? shorthand, temperature: temperature ?? defaults.temperature, ...given };
  }),
);
