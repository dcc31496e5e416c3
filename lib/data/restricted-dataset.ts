/** Some classes of a data set, as a data set of its own. */
import { sha256 } from '../base/digest.ts';
import { canonicalJson } from './canonical-json.ts';
import { type ClassSubset, restrictToClasses } from './class-map.ts';
import type { BadSample, ChannelStatistics, LabelArray, ShardRange } from './dataset.ts';
import type { ImageShape, SplitName } from './manifest.ts';
import type { ReadRequest } from './read-request.ts';
import type { LentRecords, RecordDataset } from './record-dataset.ts';
import type { View } from './views.ts';

/**
 * The data set with these classes alone, numbered in their order; sample ids stay what they are. Its digest follows from the
 * data set's and the classes. All classes in the data set's own order: the data set itself.
 */
export function restrictDataset(dataset: RecordDataset, classes: ClassSubset): RecordDataset {
  const isWhole =
    classes.classIds.length === dataset.classNames.length && classes.classIds.every((id, index) => id === index);
  return isWhole ? dataset : new RestrictedDataset(dataset, classes);
}

class RestrictedDataset implements RecordDataset {
  readonly digest: string;
  readonly classNames: readonly string[];
  readonly labels: LabelArray;
  readonly sourceIds: Uint32Array;
  /** Of another set of images. */
  readonly statistics: ChannelStatistics | null = null;
  readonly #whole: RecordDataset;
  readonly #classIds: Int32Array;

  constructor(whole: RecordDataset, { classIds, classNames }: ClassSubset) {
    this.#whole = whole;
    this.#classIds = classIds;
    this.digest = sha256(canonicalJson({ dataset: whole.digest, classes: [...classIds] }));
    this.classNames = classNames;
    // Samples of other classes are in no split: nobody looks at the 0 that they get.
    const numbers = new Uint16Array(whole.classNames.length);
    for (const [number, classId] of classIds.entries()) numbers[classId] = number;
    this.labels = whole.labels.map((label) => numbers[label] as number);
    this.sourceIds = restrictToClasses(whole.sourceIds, whole.labels, classIds);
  }

  get name(): string {
    return this.#whole.name;
  }

  get image(): ImageShape {
    return this.#whole.image;
  }

  get sampleCount(): number {
    return this.#whole.sampleCount;
  }

  get shards(): readonly ShardRange[] {
    return this.#whole.shards;
  }

  get synthetic(): string | null {
    return this.#whole.synthetic;
  }

  get badSamples(): readonly BadSample[] {
    return this.#whole.badSamples;
  }

  idsOf(split: SplitName): Uint32Array {
    return restrictToClasses(this.#whole.idsOf(split), this.#whole.labels, this.#classIds);
  }

  load(ids: ArrayLike<number>, view?: View): Promise<Float32Array> {
    return this.#whole.load(ids, view);
  }

  lend<T>(ids: ArrayLike<number>, use: (records: LentRecords) => Promise<T>): Promise<T> {
    return this.#whole.lend(ids, use);
  }

  read(request: ReadRequest): Promise<Float32Array> {
    return this.#whole.read(request);
  }

  prefetch(ids: ArrayLike<number>): void {
    this.#whole.prefetch(ids);
  }

  close(): Promise<void> {
    return this.#whole.close();
  }
}
