/**
 * Which samples a teacher or a student of a job trains on, and by which labels. Of millions of samples each of these takes up to
 * a second: whoever calls several lets others have a turn between them.
 */
import { nextTurn } from '../base/clock.ts';
import { StillhouseError } from '../base/errors.ts';
import { createRandom, hashName, shuffle } from '../base/random.ts';
import { classTable, labelWithin } from '../data/class-map.ts';
import type { Dataset, LabelArray } from '../data/dataset.ts';
import { withLabelNoise } from '../data/label-noise.ts';
import { drawLabelled } from '../data/labelled.ts';
import { IdSet, inOrderOf, joinIds, selectIds } from '../data/sample-ids.ts';
import { NO_LABEL } from '../distill/step-spec.ts';
import type { JobSpec } from './job-spec.ts';

export interface TrainingSamples {
  /** Ascending. */
  readonly ids: Uint32Array;
  /** Class number within the model; `NO_LABEL` for a sample whose label the job does not look at. */
  readonly labelOf: (id: number) => number;
  /** Whether there are such samples. */
  readonly unlabelled: boolean;
}

/** The teacher's answer to a training sample, a class of the data set. */
export type TeacherAnswers = (id: number) => number;

/** What a job knows of its training samples. */
export interface KnownLabels {
  /** The samples whose labels the job looks at, ascending. */
  readonly ids: Uint32Array;
  /** By sample id; those of `ids` with the job's label noise. */
  readonly labels: LabelArray;
}

/**
 * The training samples whose labels the job looks at: all, or those drawn; of a pair of domains the source's and those
 * drawn.
 *
 * @param train ascending, so that those of the source come last
 * @throws as `drawLabelled` does
 */
export function labelledSamples({ seed, data }: JobSpec, dataset: Dataset, train: Uint32Array): Uint32Array {
  const { sourceIds } = dataset;
  const { labelled: count } = data;
  if (count === undefined) return sourceIds.length === 0 ? train : sourceIds;
  const ofTarget = train.subarray(0, train.length - sourceIds.length);
  return joinIds(drawLabelled(ofTarget, dataset.labels, { seed, count }), sourceIds);
}

/** Also what is wrong in them, where the job asks for that. @throws as `labelledSamples` does */
export async function knownLabels(job: JobSpec, dataset: Dataset, train: Uint32Array): Promise<KnownLabels> {
  const ids = labelledSamples(job, dataset, train);
  await nextTurn();
  const noise = { seed: job.seed, rate: job.data.labelNoise, classes: dataset.classNames.length };
  return { ids, labels: withLabelNoise(dataset.labels, ids, noise) };
}

/** Of a model, what decides on its samples. */
export interface SampleChoice {
  /** The job's. */
  readonly seed: number;
  /** The model's classes, by their number in the data set. */
  readonly classIds: ArrayLike<number>;
  /** Whether it learns of other classes too, as one more output. */
  readonly dustbin: boolean;
  /** See `StudentSpec.dustbinShare`. */
  readonly dustbinShare?: number | undefined;
}

/** Of a model that learns by labels alone: the labelled samples of its classes, with a dustbin of others too. */
export async function samplesByLabel(known: KnownLabels, choice: SampleChoice): Promise<TrainingSamples> {
  const { labels } = known;
  const ids = await chosenIds(known.ids, (id) => labels[id] as number, choice);
  return { ids, labelOf: labelWithin(labels, choice.classIds, choice.dustbin), unlabelled: false };
}

/**
 * Of a student that learns from a teacher too. With a dustbin, all samples, or a share of those of other classes; without,
 * those of its classes: by their labels, and where the job looks at none by the teacher's answer.
 *
 * @param train all training samples, ascending
 * @param answers null where nobody has asked the teacher
 * @throws FAILED_PRECONDITION when the teacher's answers are needed and not at hand
 */
export async function samplesByTeacher(
  known: KnownLabels,
  choice: SampleChoice,
  train: Uint32Array,
  answers: TeacherAnswers | null,
): Promise<TrainingSamples> {
  const labelled = new IdSet(known.ids);
  const classOf = (id: number): number => {
    if (labelled.has(id)) return known.labels[id] as number;
    if (answers !== null) return answers(id);
    const message = 'images without labels are dealt by the teacher’s answers, and there are none';
    throw new StillhouseError('FAILED_PRECONDITION', message, { field: 'data.labelled' });
  };
  const ids = await chosenIds(train, classOf, choice);
  const within = labelWithin(known.labels, choice.classIds, choice.dustbin);
  const labelOf = (id: number) => (labelled.has(id) ? within(id) : NO_LABEL);
  return { ids, labelOf, unlabelled: ids.some((id) => !labelled.has(id)) };
}

/** @param pool ascending; so is the result */
async function chosenIds(
  pool: Uint32Array,
  classOf: (id: number) => number,
  choice: SampleChoice,
): Promise<Uint32Array> {
  const { seed, classIds, dustbin, dustbinShare } = choice;
  if (dustbin && dustbinShare === undefined) return pool;
  const isOwn = classTable(classIds);
  const ownIds = selectIds(pool, (id) => isOwn[classOf(id)] === 1);
  if (!dustbin || dustbinShare === undefined) return ownIds;
  const own = new IdSet(ownIds);
  const others = selectIds(pool, (id) => !own.has(id));
  await nextTurn();
  const wanted = Math.round((ownIds.length * dustbinShare) / (1 - dustbinShare));
  if (wanted >= others.length) return pool;
  const drawn = shuffle(others, createRandom(seed, hashName('dustbin share'))).subarray(0, wanted);
  return inOrderOf(pool, joinIds(ownIds, drawn));
}
