/** Looks at everything that a data set has: digests of all files, and every record once. */
import { StillhouseError } from '../../lib/base/errors.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { type DatasetFile, type DatasetManifest, sampleFiles } from '../../lib/data/manifest.ts';
import type { FileContent, Place } from '../../lib/data/places/place.ts';

export interface VerifyOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (doing: string, done: number, total: number) => void;
}

export interface VerifiedFiles {
  readonly files: number;
  readonly bytes: number;
  readonly problems: readonly string[];
  /** The files that the problems are of, by path. */
  readonly damaged: ReadonlySet<string>;
}

interface NamedContent extends FileContent {
  readonly path: string;
}

/**
 * Sizes and digests of all files. The files of another place are fetched for that.
 * @throws UNAVAILABLE when the place does not answer, RESOURCE_EXHAUSTED when the disk is full, the signal's reason
 */
export async function verifyFiles(
  manifest: DatasetManifest,
  place: Place,
  { signal, onProgress }: VerifyOptions,
): Promise<VerifiedFiles> {
  const labels: NamedContent[] = manifest.formatVersion === 1 ? [] : [manifest.labels];
  const files: NamedContent[] = [...labels, ...sampleFiles(manifest)];
  const problems = new Map<string, string>();
  for (const [index, file] of files.entries()) {
    signal.throwIfAborted();
    onProgress('checking digests', index, files.length);
    try {
      const opened = await place.openFile(file.path, file, signal);
      await opened.close();
    } catch (error) {
      problems.set(file.path, problemOf(error));
    }
  }
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return { files: files.length, bytes, problems: [...problems.values()], damaged: new Set(problems.keys()) };
}

/** Records that are asked for together. */
const BATCH = 64;
/** Batches on their way at the same time. */
const AHEAD = 8;

export interface RecordsRequest extends VerifyOptions {
  readonly manifest: DatasetManifest;
  readonly dataset: Dataset;
  /** Paths of files whose records are left out. */
  readonly without: ReadonlySet<string>;
}

export interface VerifiedRecords {
  /** Records that have been looked at. */
  readonly records: number;
  /** Each with file and offset, once. */
  readonly problems: readonly string[];
}

/** Reads and decodes every record that is not known to be bad. @throws as `verifyFiles` does */
export async function verifyRecords({
  manifest,
  dataset,
  without,
  ...options
}: RecordsRequest): Promise<VerifiedRecords> {
  const { signal, onProgress } = options;
  const problems = new Set<string>();
  const ids = goodIds(dataset, sampleFiles(manifest), without);
  let next = 0;
  let done = 0;
  const check = async (): Promise<void> => {
    while (next < ids.length) {
      signal.throwIfAborted();
      const batch = ids.subarray(next, next + BATCH);
      next += BATCH;
      for (const problem of await problemsOf(dataset, batch)) problems.add(problem);
      done += batch.length;
      onProgress('decoding', done, ids.length);
    }
  };
  await Promise.all(Array.from({ length: AHEAD }, check));
  return { records: ids.length, problems: [...problems] };
}

/** Ascending, so that every file is read from beginning to end. */
function goodIds(dataset: Dataset, files: readonly DatasetFile[], without: ReadonlySet<string>): Uint32Array {
  const bad = new Set(dataset.badSamples.map(({ id }) => id));
  const all = new Uint32Array(dataset.sampleCount);
  let count = 0;
  for (const [index, { firstId, records }] of dataset.shards.entries()) {
    if (without.has((files[index] as DatasetFile).path)) continue;
    for (let id = firstId; id < firstId + records; id++) if (!bad.has(id)) all[count++] = id;
  }
  return all.subarray(0, count);
}

/** One read for all is fast; who is to blame is found one by one. */
async function problemsOf(dataset: Dataset, ids: ArrayLike<number>): Promise<readonly string[]> {
  try {
    await dataset.load(ids);
    return [];
  } catch (error) {
    if (ids.length === 1) return [problemOf(error)];
    const problems: string[] = [];
    for (const id of Array.from(ids)) problems.push(...(await problemsOf(dataset, [id])));
    return problems;
  }
}

/** @throws the error when it says nothing about the data */
function problemOf(thrown: unknown): string {
  const error = StillhouseError.from(thrown);
  if (error.code === 'DATA_LOSS') return error.message;
  throw error;
}
