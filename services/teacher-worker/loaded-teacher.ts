/** A teacher of a job as it is loaded for students: its stored logits, and its model where something is left to compute. */

import { nextTurn } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { type CachedLogits, LogitsCache } from '../../lib/checkpoint/logits-cache/cache.ts';
import { selectSplits } from '../../lib/data/splits.ts';
import { areOff, type ViewsSpec } from '../../lib/data/views.ts';
import { type AnsweringTeacher, answeringTeacher } from '../../lib/wire/answering-teacher.ts';
import type { TaughtModel__Output } from '../../lib/wire/generated/stillhouse/v1/TaughtModel.ts';
import { cacheRecipe } from '../../lib/wire/logits-recipe.ts';
import { mixes, viewsOf } from '../../lib/wire/teacher-views.ts';
import { openTeacher } from '../../lib/wire/teachers/open-teacher.ts';
import type { AnsweringTask } from './answering-task.ts';
import type { Merging } from './batch-queue.ts';
import { ModelOnDemand } from './model-on-demand.ts';
import type { ServedTeacher } from './served-teacher.ts';
import { ServingCounters } from './serving-counters.ts';

export interface LoadTeacherRequest extends AnsweringTask {
  readonly jobId: string;
}

export interface LoadedTeacher {
  readonly served: ServedTeacher;
  /** 0 for a model that nobody has needed yet, and where nothing tells. */
  readonly parameters: number;
  /** Nothing may be computed any more. */
  close(): Promise<void>;
}

/** @throws what `openTeacher` throws, where the model is needed */
export async function loadTeacher(
  request: LoadTeacherRequest,
  taught: TaughtModel__Output,
  signal: AbortSignal,
): Promise<LoadedTeacher> {
  const { job, jobId, dataset, compute, objects, cache: folder } = request;
  const { teacher: name, modelDigest } = taught;
  const { images: samples, delayMs } = job.distill.merge;
  const merging = job.averaging.reproducible ? null : { samples, delayMs };
  const batchSizes = shapes(job.train.microBatch, merging);
  const teacher = { job, teacher: name, modelDigest, objects, compute, dataset, batchSizes, cache: folder, signal };
  const model = new ModelOnDemand(() => openTeacher(teacher));
  const { cache, classNames, parameters } = await openParts(
    request,
    await answeringTeacher({ ...request, signal }, taught),
    model,
  );
  const served: ServedTeacher = {
    ...{ jobId, name, modelDigest, classNames, dataset, seed: job.seed, views: viewsOf(job, name) },
    ...{ microBatch: job.train.microBatch, merging, cache },
    predict: async (images, count) => {
      const opened = await model.get();
      requireClasses(name, opened.classNames, classNames);
      return opened.predict(images, count);
    },
    counters: new ServingCounters(jobId, name, modelDigest),
  };
  const close = async () => {
    await cache?.close();
    await model.close();
  };
  return { served, parameters, close };
}

interface Parts {
  /** Null where nothing is stored. */
  readonly cache: CachedLogits | null;
  readonly classNames: readonly string[];
  readonly parameters: number;
}

/** Nothing stays open when it fails. */
async function openParts(request: LoadTeacherRequest, teacher: AnsweringTeacher, model: ModelOnDemand): Promise<Parts> {
  const { name, classNames } = teacher;
  const cache = await openStored(request, teacher);
  try {
    if (cache !== null && (await answersAll(cache, request, viewsOf(request.job, name)))) {
      return { cache, classNames, parameters: 0 };
    }
    const { classNames: actual, parameters } = await model.get();
    requireClasses(name, actual, classNames);
    return { cache, classNames, parameters };
  } catch (error) {
    await cache?.close();
    await model.close();
    throw error;
  }
}

async function openStored(
  { job, dataset, logitsFolder, logitsBytesMax, logger }: LoadTeacherRequest,
  teacher: AnsweringTeacher,
): Promise<CachedLogits | null> {
  const recipe = cacheRecipe(job, teacher, dataset);
  if (recipe === null) return null;
  const limit = logitsBytesMax === undefined ? {} : { bytesMax: logitsBytesMax };
  return LogitsCache.open(logitsFolder, recipe, { writes: true, logger, ...limit });
}

/** Images that are looked up at a time. */
const LOOKUP_IMAGES = 4096;

/** Whether students find everything stored that they may ask for by sample ids. */
async function answersAll(
  stored: CachedLogits,
  { job, dataset }: LoadTeacherRequest,
  views: ViewsSpec,
): Promise<boolean> {
  // Partners depend on what a student trains on; and pixels have no names.
  if (mixes(views) || job.distill.request === 'pixels') return false;
  const { train: ids } = selectSplits(dataset, { seed: job.seed, ...job.data });
  const count = areOff(views) ? 1 : (views.cycle ?? Number.POSITIVE_INFINITY);
  for (let view = 0; view < count; view++) {
    for (let start = 0; start < ids.length; start += LOOKUP_IMAGES) {
      const some = ids.subarray(start, start + LOOKUP_IMAGES);
      if (stored.missing({ view, ids: some, partners: null }).length > 0) return false;
      await nextTurn();
    }
  }
  return true;
}

function requireClasses(name: string, actual: readonly string[], declared: readonly string[]): void {
  if (actual.join() === declared.join()) return;
  const message = `teacher ${name} answers for the classes ${actual.join(', ')}, expected ${declared.join(', ')}`;
  throw new StillhouseError('FAILED_PRECONDITION', message, { field: 'class_names' });
}

/**
 * Numbers of images that the model is compiled for. In reproducible jobs it is one shape, whatever the batch: another one would
 * change low-order bits of the logits. Else what is computed together is filled up to the next larger one.
 */
function shapes(microBatch: number, merging: Merging | null): number[] {
  if (merging === null) return [microBatch];
  const sizes = [microBatch];
  for (let size = 2 * microBatch; size < merging.samples; size *= 2) sizes.push(size);
  if (merging.samples > microBatch) sizes.push(merging.samples);
  return sizes;
}
