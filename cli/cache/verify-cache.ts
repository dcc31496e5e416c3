/** Looks at everything that a namespace has stored, and asks the teacher again for some of it. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { dataRoot } from '../../lib/base/folders.ts';
import { createRandom, hashName, uniqueId } from '../../lib/base/random.ts';
import { Settings } from '../../lib/base/settings.ts';
import { LogitsCache, MemoryBudget } from '../../lib/checkpoint/logits-cache/cache.ts';
import type { Namespace } from '../../lib/checkpoint/logits-cache/namespaces.ts';
import { type CacheRecipe, mixesImages } from '../../lib/checkpoint/logits-cache/recipe.ts';
import type { RecordKey } from '../../lib/checkpoint/logits-cache/segment-format.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { placeOptionsOf } from '../../lib/data/places/place-settings.ts';
import { NO_VIEWS, VIEW_PROTOCOL } from '../../lib/data/views.ts';
import { decodeRows } from '../../lib/distill/logits/format.ts';
import { Datasets } from '../../lib/wire/datasets.ts';
import { openJobData } from '../../lib/wire/job-data.ts';
import { jobSpecFromJson } from '../../lib/wire/job-file.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import type { TeacherModel } from '../../lib/wire/teachers/open-teacher.ts';
import { startCompute } from '../../lib/wire/worker-process.ts';
import type { CliContext } from '../context.ts';
import { counted } from '../text.ts';
import { differenceOf } from './compare-answers.ts';
import { type ModelPlace, withLiveTeacher, withTeacherObjects } from './live-teacher.ts';

export interface VerifyOptions extends ModelPlace {
  /** How many stored answers are computed again. */
  readonly samples: number;
  readonly onProgress: (doing: string, done: number, total: number) => void;
}

export interface VerifiedNamespace {
  readonly namespace: string;
  readonly answers: number;
  readonly damaged: number;
  /** Answers that were computed again. */
  readonly recomputed: number;
  /** Why none were, where some were asked for; empty otherwise. */
  readonly notRecomputed: string;
  /** One line each: what is damaged or differs. */
  readonly problems: readonly string[];
}

const BATCH = 32;

export async function verifyNamespace(
  { name, folder, recipe, problem }: Namespace,
  root: string,
  options: VerifyOptions,
  context: CliContext,
): Promise<VerifiedNamespace> {
  if (recipe === null) {
    const nothing = { answers: 0, damaged: 0, recomputed: 0, notRecomputed: '' };
    return { namespace: name, ...nothing, problems: [problem] };
  }
  options.onProgress(`reading ${folder}`, 0, 1);
  const cache = await LogitsCache.open(root, recipe, { writes: false, memory: new MemoryBudget(0), isUse: false });
  try {
    const problems = problemsOf(cache);
    const answers = cache.rows;
    const { damaged } = cache.stats;
    const chosen = choose(cache.keys(), Math.min(options.samples, answers));
    if (chosen.length === 0) {
      return { namespace: name, answers, damaged, recomputed: 0, notRecomputed: '', problems };
    }
    const found: Recomputed = { isOpen: false, answers: 0, differing: [] };
    let notRecomputed = '';
    try {
      await recompute(found, { recipe, cache, chosen }, options, context);
    } catch (thrown) {
      context.signal.throwIfAborted();
      const reason = reasonOf(thrown);
      if (found.isOpen) problems.push(`the teacher failed after ${counted(found.answers, 'answer')}: ${reason}`);
      else notRecomputed = reason;
    }
    problems.push(...found.differing);
    return { namespace: name, answers, damaged, recomputed: found.answers, notRecomputed, problems };
  } finally {
    await cache.close();
  }
}

function problemsOf({ damage, stats }: LogitsCache): string[] {
  const damaged = damage.map(({ file, record }) =>
    record === null
      ? `${file}: the header is damaged, so all of it is left out`
      : `${file}: record ${record} is damaged`,
  );
  return stats.unreadable === null ? damaged : [stats.unreadable, ...damaged];
}

function reasonOf(thrown: unknown): string {
  const { message, hint } = StillhouseError.from(thrown);
  return hint === undefined ? message : `${message} (${hint})`;
}

/** Any so many of them, each as likely as the others (reservoir sampling). */
function choose(keys: Iterable<RecordKey>, count: number): RecordKey[] {
  const random = createRandom(hashName(uniqueId('verify')));
  const chosen: RecordKey[] = [];
  let seen = 0;
  for (const key of keys) {
    if (chosen.length < count) chosen.push(key);
    else {
      const place = random.nextInt(seen + 1);
      if (place < count) chosen[place] = key;
    }
    seen++;
  }
  return chosen;
}

/** What has come of it so far: it stays when the teacher goes away. */
interface Recomputed {
  /** Whether the teacher could be opened. */
  isOpen: boolean;
  answers: number;
  /** A line for each answer that differs. */
  readonly differing: string[];
}

interface Chosen {
  readonly recipe: CacheRecipe;
  readonly cache: LogitsCache;
  readonly chosen: readonly RecordKey[];
}

async function recompute(
  found: Recomputed,
  { recipe, cache, chosen }: Chosen,
  options: VerifyOptions,
  context: CliContext,
): Promise<void> {
  if (recipe.views !== null && recipe.views.protocol !== VIEW_PROTOCOL) {
    const { protocol } = recipe.views;
    throw new StillhouseError('FAILED_PRECONDITION', `views were drawn by rule ${protocol}, here by ${VIEW_PROTOCOL}`);
  }
  const job = jobSpecFromJson(recipe.origin.job);
  await withTeacherObjects(recipe, job, options, context, (where) =>
    withData(job, recipe, context, async (dataset) => {
      const compute = startCompute(new Settings(context.environment));
      try {
        await withLiveTeacher({ ...where, recipe, dataset, compute }, context, async (teacher) => {
          found.isOpen = true;
          for (const [start, batch] of batches(chosen)) {
            context.signal.throwIfAborted();
            options.onProgress('asking the teacher', start, chosen.length);
            found.differing.push(...(await compare(batch, { recipe, cache, dataset, teacher })));
            found.answers += batch.length;
          }
        });
      } finally {
        await compute.close();
      }
    }),
  );
}

async function withData<T>(
  { data }: JobSpec,
  { datasetDigest }: CacheRecipe,
  { environment }: CliContext,
  body: (dataset: Dataset) => Promise<T>,
): Promise<T> {
  const places = placeOptionsOf(new Settings(environment));
  const datasets = new Datasets({ ...places, root: dataRoot(environment), allowPaths: true, mayAsk: () => true });
  try {
    const dataset = await openJobData(datasets, data);
    if (dataset.digest === datasetDigest) return await body(dataset);
    const message = `the data set ${dataset.name} is ${dataset.digest} here, and the answers are to ${datasetDigest}`;
    throw new StillhouseError('FAILED_PRECONDITION', message);
  } finally {
    await datasets.close();
  }
}

/** Of one view each. */
function* batches(keys: readonly RecordKey[]): Generator<[start: number, batch: RecordKey[]]> {
  const sorted = [...keys].sort((a, b) => a.view - b.view || a.id - b.id);
  for (let start = 0; start < sorted.length; ) {
    const { view } = sorted[start] as RecordKey;
    let end = start;
    while (end < sorted.length && end - start < BATCH && sorted[end]?.view === view) end++;
    yield [start, sorted.slice(start, end)];
    start = end;
  }
}

interface Sides {
  readonly recipe: CacheRecipe;
  readonly cache: LogitsCache;
  readonly dataset: Dataset;
  readonly teacher: TeacherModel;
}

async function compare(batch: readonly RecordKey[], { recipe, cache, dataset, teacher }: Sides): Promise<string[]> {
  const [{ view }] = batch as [RecordKey];
  const ids = batch.map(({ id }) => id);
  const partners = mixesImages(recipe) ? batch.map(({ partner }) => partner) : null;
  const { seed, rule } = recipe.views ?? { seed: 0, rule: NO_VIEWS };
  const images = await dataset.load(ids, { rule: { ...rule, seed, number: view }, partners });
  const live = await teacher.predict(images, ids.length);
  const { rows, missing } = cache.lookup({ view, ids, partners });
  const { format, classNames } = recipe;
  const [width, size] = [format.columns, rows.length / ids.length];
  return ids.flatMap((id, index) => {
    const where = `image ${id}${recipe.views === null ? '' : `, view ${view}`}`;
    if (missing.includes(index)) return [`${where}: its record is damaged`];
    const stored = decodeRows(rows.subarray(index * size, (index + 1) * size), 1, format, where);
    const difference = differenceOf(stored, live.subarray(index * width, (index + 1) * width), format, classNames);
    return difference === null ? [] : [`${where}: ${difference}`];
  });
}
