/** Whether the logits of a job's teacher are stored, and as what. */
import type { CacheRecipe, RecipeViews } from '../checkpoint/logits-cache/recipe.ts';
import type { Dataset } from '../data/dataset.ts';
import { areOff, NO_VIEWS, VIEW_PROTOCOL, type ViewsSpec } from '../data/views.ts';
import type { AnsweringTeacher } from './answering-teacher.ts';
import { jobSpecToJson } from './job-file.ts';
import type { JobSpec } from './job-spec.ts';
import { cacheFormat } from './logits-formats.ts';
import { viewsOf } from './teacher-views.ts';
import { storesLogits } from './teaching.ts';

type RecipeDataset = Pick<Dataset, 'name' | 'digest' | 'sampleCount'>;

/** Null where nothing is stored; see `storesLogits`. */
export function cacheRecipe(job: JobSpec, teacher: AnsweringTeacher, dataset: RecipeDataset): CacheRecipe | null {
  return storesLogits(job, teacher.name) ? recipeOf(job, teacher, dataset, viewsOf(job, teacher.name)) : null;
}

/** Of the teacher's answers to the images as they are, whatever it sees otherwise; null where the job wants nothing stored. */
export function plainRecipe(job: JobSpec, teacher: AnsweringTeacher, dataset: RecipeDataset): CacheRecipe | null {
  return job.distill.cache.mode === 'off' ? null : recipeOf(job, teacher, dataset, NO_VIEWS);
}

function recipeOf(job: JobSpec, teacher: AnsweringTeacher, dataset: RecipeDataset, views: ViewsSpec): CacheRecipe {
  const { name, modelDigest, answersDigest, classNames } = teacher;
  return {
    teacherDigest: answersDigest,
    datasetDigest: dataset.digest,
    sampleCount: dataset.sampleCount,
    views: recipeViews(job.seed, views),
    classNames,
    format: cacheFormat(job, classNames.length),
    shape: job.averaging.reproducible ? job.train.microBatch : null,
    origin: { teacher: name, modelDigest, dataset: dataset.name, job: jobSpecToJson(job) },
  };
}

function recipeViews(seed: number, views: ViewsSpec): RecipeViews | null {
  if (areOff(views)) return null;
  const { cycle: _, ...rule } = views;
  return { seed, protocol: VIEW_PROTOCOL, rule };
}
