/** What a teacher is asked when it labels a job's images: which images, under which views, and which of them are answered yet. */
import { nextTurn } from '../../lib/base/clock.ts';
import type { Logger } from '../../lib/base/log.ts';
import { type CachedLogits, LogitsCache } from '../../lib/checkpoint/logits-cache/cache.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { selectSplits } from '../../lib/data/splits.ts';
import { areOff, NO_VIEWS, PartnerPools, partnersOf, type ViewRule, type ViewsSpec } from '../../lib/data/views.ts';
import { viewRule } from '../../lib/distill/training-plan.ts';
import type { AnsweringTeacher } from '../../lib/wire/answering-teacher.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import { cacheRecipe, plainRecipe } from '../../lib/wire/logits-recipe.ts';
import { mixes, viewsOf } from '../../lib/wire/teacher-views.ts';
import { learnersOf, trainsOnAll } from '../../lib/wire/teaching.ts';

/** All training images under one view. */
export interface LabelPass {
  readonly rule: ViewRule;
  /** The job's training images, ascending. */
  readonly ids: Uint32Array;
  /** The sample that each one is mixed with; null where nothing is mixed. */
  readonly partners: Uint32Array | null;
  /** Where answers are stored; null: nowhere. */
  readonly cache: CachedLogits | null;
  /** Whether the class answered to each image is wanted. */
  readonly wantsAnswers: boolean;
}

export interface LabelRequest {
  readonly job: JobSpec;
  readonly teacher: AnsweringTeacher;
  readonly dataset: Dataset;
  readonly wantsAnswers: boolean;
  readonly logitsFolder: string;
  readonly logitsBytesMax?: number | undefined;
  readonly logger?: Logger | undefined;
}

/** The passes over one cache or two, which are to be closed. */
export class LabelPasses {
  readonly all: readonly LabelPass[];
  readonly #caches: ReadonlySet<CachedLogits>;

  /**
   * The images as they are where their classes are wanted, or the teacher sees them so; and every view that comes again. Where
   * views are mixed, those that students see who train on all images: the others' mixtures depend on what they train on.
   */
  static async open(request: LabelRequest): Promise<LabelPasses> {
    const { job, teacher, dataset, wantsAnswers } = request;
    const { train: ids } = selectSplits(dataset, { seed: job.seed, ...job.data });
    const views = viewsOf(job, teacher.name);
    const passes: LabelPass[] = [];
    if (wantsAnswers || areOff(views)) {
      const cache = await openCache(request, plainRecipe(job, teacher, dataset));
      if (wantsAnswers || cache !== null) {
        passes.push({
          rule: viewRule({ seed: job.seed, views: NO_VIEWS }, 0),
          ids,
          partners: null,
          cache,
          wantsAnswers,
        });
      }
    }
    if (!areOff(views)) passes.push(...(await viewPasses(request, views, ids)));
    return new LabelPasses(passes);
  }

  private constructor(passes: readonly LabelPass[]) {
    this.all = passes;
    this.#caches = new Set(passes.flatMap(({ cache }) => (cache === null ? [] : [cache])));
  }

  async flush(): Promise<void> {
    for (const cache of this.#caches) await cache.flush();
  }

  /** Why something could not be stored; null while everything could. */
  get problem(): string | null {
    for (const { stats } of this.#caches) if (stats.problem !== null) return stats.problem;
    return null;
  }

  async close(): Promise<void> {
    for (const cache of this.#caches) await cache.close();
  }
}

async function viewPasses(request: LabelRequest, views: ViewsSpec, ids: Uint32Array): Promise<LabelPass[]> {
  const { job, teacher, dataset } = request;
  const { cycle } = views;
  if (cycle === undefined) return [];
  const isMixed = mixes(views);
  if (isMixed && !learnersOf(job, teacher.name).some(trainsOnAll)) return [];
  const cache = await openCache(request, cacheRecipe(job, teacher, dataset));
  if (cache === null) return [];
  const pools = isMixed ? new PartnerPools({ ids, shards: dataset.shards }) : null;
  const passes: LabelPass[] = [];
  for (let view = 0; view < cycle; view++) {
    // Of millions of images drawing the partners takes a while.
    await nextTurn();
    const rule = viewRule({ seed: job.seed, views }, view);
    passes.push({ rule, ids, partners: pools && partnersOf(ids, pools, rule), cache, wantsAnswers: false });
  }
  return passes;
}

async function openCache(
  { logitsFolder, logitsBytesMax, logger }: LabelRequest,
  recipe: ReturnType<typeof cacheRecipe>,
): Promise<CachedLogits | null> {
  if (recipe === null) return null;
  return await LogitsCache.open(logitsFolder, recipe, {
    writes: true,
    ...(logitsBytesMax !== undefined && { bytesMax: logitsBytesMax }),
    ...(logger !== undefined && { logger }),
  });
}
