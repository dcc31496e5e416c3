/** What stored logits are of: everything that decides on their bits names the folder in which they lie. */
import { z } from 'zod';
import { sha256 } from '../../base/digest.ts';
import { StillhouseError } from '../../base/errors.ts';
import { canonicalJson } from '../../data/canonical-json.ts';
import { digestSchema, parseJsonDocument } from '../../data/json-document.ts';
import type { ViewsSpec } from '../../data/views.ts';
import type { LogitsFormat } from '../../distill/logits/format.ts';

export interface CacheRecipe {
  /** Of everything about the teacher that its answers depend on: the same for all that answer the same. */
  readonly teacherDigest: string;
  /** Whose sample ids the rows are of. */
  readonly datasetDigest: string;
  /** Of the data set. */
  readonly sampleCount: number;
  /** What the teacher saw of an image; null: the image as it is, whatever the view. */
  readonly views: RecipeViews | null;
  /** Of the teacher, in the order of its outputs. */
  readonly classNames: readonly string[];
  /** Of a stored row: `columns` are the teacher's classes. */
  readonly format: LogitsFormat;
  /** Images that are always computed together, which decides on low-order bits; null where batches are of any size. */
  readonly shape: number | null;
  /** Says nothing about the bits: where the first rows came from, for people and for who asks the teacher again. */
  readonly origin: RecipeOrigin;
}

export interface RecipeViews {
  /** Of the job. */
  readonly seed: number;
  /** See `VIEW_PROTOCOL`. */
  readonly protocol: number;
  /** Jobs with other numbers of views share those that they have in common. */
  readonly rule: Omit<ViewsSpec, 'cycle'>;
}

export interface RecipeOrigin {
  /** The teacher's name in the job. */
  readonly teacher: string;
  /** Of its artefact, or as `teacherDigest`. */
  readonly modelDigest: string;
  /** What people call the data set. */
  readonly dataset: string;
  /** The whole job, as JSON. */
  readonly job: string;
}

const FORMAT_VERSION = 1;
const NAME_DIGITS = 24;

const count = z.number().int().nonnegative();
const pair = z.tuple([z.number(), z.number()]);

const rule = z.strictObject({
  flip: z.boolean(),
  shift: z.number(),
  crop: z.strictObject({ scale: pair, ratio: pair }).optional(),
  jitter: z
    .strictObject({ brightness: z.number(), contrast: z.number(), saturation: z.number(), hue: z.number() })
    .optional(),
  cutout: z.number(),
  mixup: z.number(),
  cutmix: z.number(),
});

const recipeSchema = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  teacherDigest: digestSchema,
  datasetDigest: digestSchema,
  sampleCount: count,
  views: z.strictObject({ seed: count, protocol: count, rule }).nullable(),
  classNames: z.array(z.string()).min(1),
  format: z.strictObject({
    encoding: z.union([
      z.enum(['fp32', 'fp16', 'bf16', 'int8', 'int4', 'probabilities']),
      z.strictObject({ topK: count.min(1) }),
    ]),
    columns: count.min(1),
    temperatures: z.array(z.number().positive()),
  }),
  shape: count.min(1).nullable(),
  origin: z.strictObject({ teacher: z.string(), modelDigest: digestSchema, dataset: z.string(), job: z.string() }),
});

/** The folder of everything that is stored by this recipe, whoever stored it. */
export function namespaceOf({ origin: _, ...identity }: CacheRecipe): string {
  const digest = sha256(canonicalJson({ formatVersion: FORMAT_VERSION, ...identity }));
  return digest.slice('sha256:'.length).slice(0, NAME_DIGITS);
}

/** Whether a folder's name is one that `namespaceOf` answers. */
export function isNamespace(name: string): boolean {
  return name.length === NAME_DIGITS && /^[0-9a-f]+$/.test(name);
}

export function encodeRecipe(recipe: CacheRecipe): Uint8Array {
  return new TextEncoder().encode(`${canonicalJson({ formatVersion: FORMAT_VERSION, ...recipe })}\n`);
}

/**
 * @param where names the file in errors
 * @throws StillhouseError DATA_LOSS saying what is wrong with it
 */
export function decodeRecipe(text: string, where: string): CacheRecipe {
  try {
    const { formatVersion: _, ...recipe } = parseJsonDocument(text, recipeSchema, where);
    return recipe;
  } catch (cause) {
    const { message } = StillhouseError.from(cause);
    throw new StillhouseError('DATA_LOSS', message, { field: where, cause });
  }
}

/** Whether a view of an image depends on another image. */
export function mixesImages({ views }: CacheRecipe): boolean {
  return views !== null && (views.rule.mixup > 0 || views.rule.cutmix > 0);
}
