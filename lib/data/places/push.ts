/** Uploads a data set to S3. The manifest comes last, so that what can be opened there is whole. */
import path from 'node:path';
import { StillhouseError } from '../../base/errors.ts';
import { decodeUtf8 } from '../json-document.ts';
import { type DatasetManifest, parseManifest, sampleFiles } from '../manifest.ts';
import { addressText, parseAddress } from './address.ts';
import { LocalPlace } from './local-place.ts';
import type { PlaceOptions } from './place.ts';
import { Bucket, type PushedFile } from './s3-bucket.ts';

export interface PushProgress {
  readonly files: number;
  readonly totalFiles: number;
  readonly bytes: number;
  readonly totalBytes: number;
  /** Of `bytes`: what was there already. */
  readonly skippedBytes: number;
}

export interface PushOptions extends Pick<PlaceOptions, 's3PathStyle'> {
  /** After every file. */
  readonly onProgress?: (progress: PushProgress) => void;
  readonly signal?: AbortSignal;
  /** Files on their way at the same time, each with a part in memory. Default 4. */
  readonly concurrency?: number;
}

export interface PushResult {
  /** What `data.dataset` of a job takes. */
  readonly address: string;
  readonly digest: string;
  readonly uploadedFiles: number;
  readonly uploadedBytes: number;
  readonly skippedFiles: number;
  readonly skippedBytes: number;
}

const MAX_MANIFEST_BYTES = 64 << 20;

/**
 * Copies the data set in a folder to `s3://bucket/prefix`. Every file is compared with the manifest's digest before, and by S3
 * with its MD5 on the way. What is there with the same size and digest is not sent again, so that a push that was ended goes
 * on where it was.
 *
 * @throws StillhouseError ALREADY_EXISTS when another data set lies there; INVALID_ARGUMENT for another kind of destination;
 *   DATA_LOSS when a file of the folder is damaged; FAILED_PRECONDITION when there is no data set in the folder or the bucket
 *   may not be written; UNAVAILABLE when S3 does not answer; the signal's reason
 */
export async function pushDataset(folder: string, destination: string, options: PushOptions = {}): Promise<PushResult> {
  const url = parseAddress(destination);
  if (url.protocol !== 's3:') {
    throw new StillhouseError('INVALID_ARGUMENT', `${destination} is not in S3`, {
      hint: 'name it as s3://bucket/prefix',
    });
  }
  const place = new LocalPlace(path.resolve(folder), true);
  const manifestBytes = await place.readFile('manifest.json', MAX_MANIFEST_BYTES);
  const where = path.join(place.address, 'manifest.json');
  const manifest = parseManifest(decodeUtf8(manifestBytes, where), where);
  const { s3PathStyle = false, signal = new AbortController().signal } = options;
  const bucket = await Bucket.open(url, { pathStyle: s3PathStyle, signal });
  const files = filesOf(manifest);
  const isThere = await holds(bucket, url, manifest);
  const tally = new Tally(files, manifestBytes.length, options.onProgress);
  await inParallel(files, options.concurrency ?? 4, async (file) => {
    const opened = await place.openFile(file.path, file, signal);
    let isNew: boolean;
    try {
      isNew = !(await bucket.has(file));
      if (isNew) await bucket.upload(file, opened);
    } finally {
      await opened.close();
    }
    tally.count(file.bytes, isNew);
  });
  if (!isThere) await bucket.put('manifest.json', manifestBytes, {});
  tally.count(manifestBytes.length, !isThere);
  return { address: addressText(url), digest: manifest.digest, ...tally.result() };
}

/** Whether this data set is there already. @throws StillhouseError ALREADY_EXISTS when another one is */
async function holds(bucket: Bucket, url: URL, manifest: DatasetManifest): Promise<boolean> {
  const there = await bucket.text('manifest.json');
  if (there === undefined) return false;
  const { digest } = parseManifest(there, `${addressText(url)}/manifest.json`);
  if (digest === manifest.digest) return true;
  throw new StillhouseError('ALREADY_EXISTS', `another data set lies at ${addressText(url)}: ${digest}`, {
    hint: 'name another prefix, or remove what is there, once no job uses it',
  });
}

function filesOf(manifest: DatasetManifest): PushedFile[] {
  return [...sampleFiles(manifest), ...(manifest.formatVersion === 1 ? [] : [manifest.labels])];
}

class Tally {
  readonly #totalFiles: number;
  readonly #totalBytes: number;
  readonly #onProgress: ((progress: PushProgress) => void) | undefined;
  #uploaded = { files: 0, bytes: 0 };
  #skipped = { files: 0, bytes: 0 };

  constructor(files: readonly PushedFile[], manifestBytes: number, onProgress?: (progress: PushProgress) => void) {
    this.#totalFiles = files.length + 1;
    this.#totalBytes = files.reduce((sum, { bytes }) => sum + bytes, manifestBytes);
    this.#onProgress = onProgress;
  }

  count(bytes: number, isNew: boolean): void {
    const counted = isNew ? this.#uploaded : this.#skipped;
    counted.files++;
    counted.bytes += bytes;
    this.#onProgress?.({
      files: this.#uploaded.files + this.#skipped.files,
      totalFiles: this.#totalFiles,
      bytes: this.#uploaded.bytes + this.#skipped.bytes,
      totalBytes: this.#totalBytes,
      skippedBytes: this.#skipped.bytes,
    });
  }

  result() {
    return {
      uploadedFiles: this.#uploaded.files,
      uploadedBytes: this.#uploaded.bytes,
      skippedFiles: this.#skipped.files,
      skippedBytes: this.#skipped.bytes,
    };
  }
}

/** The first error ends it; what is on its way then is waited for. */
async function inParallel<T>(items: readonly T[], lanes: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  let failed = false;
  const lane = async () => {
    for (const item of left) {
      if (failed) return;
      try {
        await work(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const lanesDone = await Promise.allSettled(Array.from({ length: lanes }, lane));
  const failure = lanesDone.find((result) => result.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}
