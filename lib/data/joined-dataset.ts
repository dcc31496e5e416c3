/**
 * A pair of domains as one data set: a target, whose labels a job may not know, and a source of the same classes, whose labels
 * it does.
 */
import { sha256 } from '../base/digest.ts';
import { invariant, StillhouseError } from '../base/errors.ts';
import { canonicalJson } from './canonical-json.ts';
import type { ClassSubset } from './class-map.ts';
import type { BadSample, ChannelStatistics, Dataset, LabelArray, ShardRange } from './dataset.ts';
import type { ImageShape, SplitName } from './manifest.ts';
import { type LentRecords, loadLent, type RecordDataset } from './record-dataset.ts';
import type { View } from './views.ts';

export interface MatchRequest {
  /** Of the target, as it is, and the classes of it that are wanted; null for all. */
  readonly target: Pick<Dataset, 'name' | 'classNames'>;
  readonly wanted: ClassSubset | null;
  readonly source: Pick<Dataset, 'name' | 'classNames'>;
  /** By the classes' names, or by their numbers. */
  readonly match: 'name' | 'position';
}

/**
 * The classes of the source that are those of the target, in the target's order. Where no classes were chosen, none of
 * either may be left over.
 *
 * @throws StillhouseError INVALID_ARGUMENT, field `data.source.match`, naming the classes without a counterpart
 */
export function matchClasses({ target, wanted, source, match }: MatchRequest): ClassSubset {
  const { classNames } = source;
  if (match === 'position') {
    if (classNames.length !== target.classNames.length) {
      const counts = `${source.name} has ${classNames.length} classes, ${target.name} has ${target.classNames.length}`;
      throw unmatched(`classes are matched by position, but ${counts}`);
    }
    const classIds = wanted?.classIds ?? Int32Array.from(classNames.keys());
    return { classIds, classNames: Array.from(classIds, (id) => classNames[id] as string) };
  }
  const names = wanted?.classNames ?? target.classNames;
  const missing = names.filter((name) => !classNames.includes(name));
  if (missing.length > 0) throw unmatched(`${source.name} has no class ${listed(missing)}, which ${target.name} has`);
  const extra = wanted === null ? classNames.filter((name) => !names.includes(name)) : [];
  if (extra.length > 0) throw unmatched(`${target.name} has no class ${listed(extra)}, which ${source.name} has`);
  return { classIds: Int32Array.from(names, (name) => classNames.indexOf(name)), classNames: [...names] };
}

const LISTED = 5;

function listed(names: readonly string[]): string {
  const more = names.length - LISTED;
  return `${names.slice(0, LISTED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function unmatched(problem: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', `data.source.match: ${problem}`, {
    field: 'data.source.match',
    hint: 'name the classes that both have in data.classes, or match them by position',
  });
}

/**
 * Joins two data sets of the same classes, class by class. The ids of the source follow those of the target, its images take
 * the target's size, its training samples become `sourceIds`; its test samples are in no split. The digest follows from both.
 *
 * @param source its classes in the target's order, as `matchClasses` finds them
 * @throws StillhouseError INVALID_ARGUMENT when both together have more samples than ids can number
 */
export function joinDomains(target: RecordDataset, source: RecordDataset): Dataset {
  invariant(target.classNames.length === source.classNames.length, 'classes of both domains have been matched');
  if (target.sampleCount + source.sampleCount > 0xffff_ffff) {
    const message = `${target.name} and ${source.name} together have more samples than 32-bit ids can number`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { field: 'data.source' });
  }
  return new JoinedDataset(target, source);
}

class JoinedDataset implements Dataset {
  readonly name: string;
  readonly digest: string;
  readonly labels: LabelArray;
  readonly shards: readonly ShardRange[];
  readonly badSamples: readonly BadSample[];
  readonly sourceIds: Uint32Array;
  readonly synthetic: string | null;
  /** Nobody has looked at the images of both. */
  readonly statistics: ChannelStatistics | null = null;
  readonly #target: RecordDataset;
  readonly #source: RecordDataset;

  constructor(target: RecordDataset, source: RecordDataset) {
    this.#target = target;
    this.#source = source;
    const first = target.sampleCount;
    this.name = `${target.name} from ${source.name}`;
    this.digest = sha256(canonicalJson({ target: target.digest, source: source.digest }));
    this.labels = joinLabels(target, source);
    this.shards = [
      ...target.shards,
      ...source.shards.map(({ firstId, records }) => ({ firstId: first + firstId, records })),
    ];
    this.badSamples = [
      ...target.badSamples,
      ...source.badSamples.map((sample) => ({ ...sample, id: first + sample.id })),
    ];
    const made = new Set([target.synthetic, source.synthetic].filter((text) => text !== null));
    this.synthetic = made.size === 0 ? null : [...made].join('; ');
    this.sourceIds = source.idsOf('train').map((id) => first + id);
  }

  get classNames(): readonly string[] {
    return this.#target.classNames;
  }

  get image(): ImageShape {
    return this.#target.image;
  }

  get sampleCount(): number {
    return this.#target.sampleCount + this.#source.sampleCount;
  }

  idsOf(split: SplitName): Uint32Array {
    return this.#target.idsOf(split);
  }

  /** One reader makes all of them, at the size and by the ids that everyone else knows. */
  async load(ids: ArrayLike<number>, view?: View): Promise<Float32Array> {
    return await loadLent({ ids, view, image: this.image, reader: this.#target }, (all, use) => this.#lend(all, use));
  }

  prefetch(ids: ArrayLike<number>): void {
    const first = this.#target.sampleCount;
    const all = Array.from(ids);
    this.#target.prefetch(all.filter((id) => id < first));
    this.#source.prefetch(all.filter((id) => id >= first).map((id) => id - first));
  }

  async close(): Promise<void> {
    await Promise.all([this.#target.close(), this.#source.close()]);
  }

  async #lend<T>(ids: ArrayLike<number>, use: (records: LentRecords) => Promise<T>): Promise<T> {
    const first = this.#target.sampleCount;
    const all = Array.from(ids);
    const ofTarget = all.filter((id) => id < first);
    const ofSource = all.filter((id) => id >= first).map((id) => id - first);
    return await this.#target.lend(ofTarget, (target) =>
      this.#source.lend(ofSource, (source) =>
        use(
          joinRecords(
            all.map((id) => id < first),
            target,
            source,
          ),
        ),
      ),
    );
  }
}

/** @param isTarget whose sample each one is */
function joinRecords(isTarget: readonly boolean[], target: LentRecords, source: LentRecords): LentRecords {
  const fileOf = new Uint32Array(isTarget.length);
  const recordOf = new Uint32Array(isTarget.length);
  let [targetRow, sourceRow] = [0, 0];
  for (const [row, ofTarget] of isTarget.entries()) {
    const [from, at, firstFile] = ofTarget ? [target, targetRow++, 0] : [source, sourceRow++, target.files.length];
    fileOf[row] = firstFile + (from.fileOf[at] as number);
    recordOf[row] = from.recordOf[at] as number;
  }
  return { files: [...target.files, ...source.files], fileOf, recordOf };
}

function joinLabels(target: Dataset, source: Dataset): LabelArray {
  const count = target.sampleCount + source.sampleCount;
  const labels = target.labels instanceof Uint8Array ? new Uint8Array(count) : new Uint16Array(count);
  labels.set(target.labels);
  labels.set(source.labels, target.sampleCount);
  return labels;
}
