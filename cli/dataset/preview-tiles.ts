/** Which images a contact sheet shows, and what stands under them. */
import { createRandom, hashName, shuffle } from '../../lib/base/random.ts';
import { resolveClasses } from '../../lib/data/class-map.ts';
import type { Dataset, LabelArray } from '../../lib/data/dataset.ts';
import type { SplitName } from '../../lib/data/manifest.ts';
import { selectSplits } from '../../lib/data/splits.ts';
import { areOff, mixShares, PartnerPools, partnersOf } from '../../lib/data/views.ts';
import { viewRule } from '../../lib/distill/training-plan.ts';
import type { JobSpec, StudentSpec } from '../../lib/wire/job-spec.ts';
import { type KnownLabels, knownLabels, samplesByTeacher } from '../../lib/wire/training-samples.ts';
import type { Tile } from './contact-sheet.ts';

export interface DrawRequest {
  readonly count: number;
  /** Decides on which images are drawn. */
  readonly seed: number;
}

/** Images of a split as they are. @throws what `Dataset.load` throws */
export async function plainTiles(dataset: Dataset, split: SplitName, request: DrawRequest): Promise<Tile[]> {
  const ids = draw(dataset.idsOf(split), request);
  const images = await dataset.load(ids);
  return tilesOf(dataset, ids, images, (id) => [nameOf(dataset, dataset.labels[id] as number)]);
}

export interface StudentView extends DrawRequest {
  readonly student: StudentSpec;
  /** From 0. */
  readonly epoch: number;
}

/**
 * Training images as a student of a job sees them in an epoch. Where the job deals images without labels by the teacher's answers,
 * their own labels stand in for these.
 *
 * @param dataset the job's, see `openJobData`
 * @throws INVALID_ARGUMENT when the job asks for more samples than there are; what `Dataset.load` throws
 */
export async function studentTiles(spec: JobSpec, dataset: Dataset, request: StudentView): Promise<Tile[]> {
  const { student, epoch } = request;
  const splits = selectSplits(dataset, { seed: spec.seed, ...spec.data });
  const known = await knownLabels(spec, dataset, splits.train);
  const pool = await studentSamples(spec, dataset, student, known, splits.train);
  const rule = viewRule({ seed: spec.seed, views: spec.data.views }, epoch);
  const ids = draw(pool, request);
  const partners = partnersOf(ids, new PartnerPools({ ids: pool, shards: dataset.shards }), rule);
  const images = await dataset.load(ids, areOff(rule) ? undefined : { rule, partners });
  const shares = partners === null ? null : mixShares(ids, rule, dataset.image);
  return tilesOf(dataset, ids, images, (id, index) => {
    const own = labelLine(dataset, known.labels, id);
    const partner = partners?.[index];
    const share = shares?.[index];
    if (partner === undefined || share === undefined) return [own];
    return [`${percentOf(share)} ${own}`, `${percentOf(1 - share)} ${labelLine(dataset, known.labels, partner)}`];
  });
}

/** Ascending. */
async function studentSamples(
  spec: JobSpec,
  dataset: Dataset,
  { classes, dustbin, dustbinShare }: StudentSpec,
  known: KnownLabels,
  train: Uint32Array,
): Promise<Uint32Array> {
  const { classIds } = resolveClasses(classes ?? dataset.classNames, dataset.classNames, 'students');
  const choice = { seed: spec.seed, classIds, dustbin, dustbinShare };
  const answers = (id: number) => dataset.labels[id] as number;
  return (await samplesByTeacher(known, choice, train, answers)).ids;
}

/** So many of the ids, by a seeded lot, in the order in which they are drawn. */
function draw(ids: Uint32Array, { count, seed }: DrawRequest): Uint32Array {
  return shuffle(ids.slice(), createRandom(seed, hashName('preview'))).subarray(0, count);
}

function tilesOf(
  { image }: Dataset,
  ids: Uint32Array,
  images: Float32Array,
  captionOf: (id: number, index: number) => string[],
): Tile[] {
  const values = image.height * image.width * image.channels;
  return Array.from(ids, (id, index) => ({
    pixels: images.subarray(index * values, (index + 1) * values),
    caption: captionOf(id, index),
  }));
}

function nameOf({ classNames }: Dataset, label: number): string {
  return classNames[label] as string;
}

/** The class, and the one that the job takes it for where it makes labels wrong. */
function labelLine(dataset: Dataset, labels: LabelArray, id: number): string {
  const [own, known] = [dataset.labels[id] as number, labels[id] as number];
  return own === known ? nameOf(dataset, own) : `${nameOf(dataset, own)} → ${nameOf(dataset, known)}`;
}

function percentOf(share: number): string {
  return `${Math.round(100 * share)} %`;
}
