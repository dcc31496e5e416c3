/** The schema of what a job says of its data: which samples, what is made of them, what they look like. */
import { z } from 'zod';
import { BAD_SAMPLES_MAX } from '../data/sharded-manifest.ts';
import type { DataSpec, NormalizeSpec } from './job-spec.ts';
import { between, block, chosen, flag, fraction, isMapping, oneOf, positive, whole } from './schema-parts.ts';

export const DATASET = 'the name of a data set, a path to its folder, or its address (https://… or s3://…)';

/** Colours are black or white, or grey, long before a factor is so large. */
const STRENGTH_MAX = 10;
/** There shares are a half, give or take a hundredth. */
const ALPHA_MAX = 1000;
/** Of pixels as 0..1: a smaller deviation is one colour, and none is larger than the range by far. */
const STD_MIN = 1e-6;
const STD_MAX = 1000;
/** A strip of a hundred times its width: nobody sees anything in a longer one. */
const RATIO_MAX = 100;

/** Larger shifts and squares leave nothing of the images that small networks look at. */
const PIXELS_MAX = 1024;

function span(meaning: string, each: z.ZodType<number>) {
  return z
    .tuple([each, each], meaning)
    .refine(([from, to]) => from <= to, meaning)
    .readonly();
}

const cropScale = span(
  'two numbers above 0 and at most 1, from and to',
  positive().max(1, 'a number above 0, at most 1'),
);
const cropRatio = span('two numbers from 0.01 to 100, from and to', between(1 / RATIO_MAX, RATIO_MAX));

/** The defaults of crop are torchvision's. */
const crop = block({ scale: cropScale.default([0.08, 1]), ratio: cropRatio.default([3 / 4, 4 / 3]) });

const jitter = block({
  brightness: between(0, STRENGTH_MAX).default(0),
  contrast: between(0, STRENGTH_MAX).default(0),
  saturation: between(0, STRENGTH_MAX).default(0),
  hue: fraction().max(0.5, 'a number from 0 to 0.5').default(0),
});

export const viewsSchema = block({
  flip: flag().default(false),
  shift: whole(0, 16).default(0),
  crop: crop.optional(),
  jitter: jitter.optional(),
  cutout: whole(0, PIXELS_MAX).default(0),
  mixup: between(0, ALPHA_MAX).default(0),
  cutmix: between(0, ALPHA_MAX).default(0),
  cycle: whole(1).optional(),
});

const triple = (each: z.ZodType<number>) =>
  z.tuple([each, each, each], 'three numbers, for red, green and blue').readonly();

export const normalize = chosen<NormalizeSpec>((value) =>
  isMapping(value)
    ? block({ mean: triple(fraction()), std: triple(between(STD_MIN, STD_MAX)) })
    : oneOf('auto', 'imagenet', 'cifar10'),
);

export const badSamples = chosen<DataSpec['badSamples']>((value) =>
  isMapping(value) ? block({ skip: whole(1, BAD_SAMPLES_MAX) }) : oneOf('fail'),
);

export const classWeights = chosen<NonNullable<DataSpec['classWeights']>>((value) =>
  isMapping(value) ? z.record(z.string(), positive(), 'weights by class name') : oneOf('balanced'),
);
