/** A data set on disk: labels in memory, images read by sample id when they are asked for. */
import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { invariant, StillhouseError } from '../base/errors.ts';
import { CIFAR_IMAGE_VALUES, CIFAR_RECORD_BYTES, decodeCifarImage } from './cifar10.ts';
import { type DatasetFile, type DatasetManifest, type ImageShape, parseManifest, type SplitName } from './manifest.ts';

export interface Dataset {
  readonly manifest: DatasetManifest;
  /** Names the content: equal digests mean equal pixels and labels under every sample id. */
  readonly digest: string;
  readonly classNames: readonly string[];
  readonly image: ImageShape;
  /** Sample ids are 0 .. `sampleCount - 1`. */
  readonly sampleCount: number;
  /** Class of every sample, by id: [sampleCount]. */
  readonly labels: Uint8Array;
  /** The ids of a split, ascending. */
  idsOf(split: SplitName): Uint32Array;
  /**
   * Pixels of the samples, in the order asked for: [ids, height, width, channels], RGB 0..255.
   *
   * @throws StillhouseError INVALID_ARGUMENT for an id that the data set lacks; DATA_LOSS when a file has shrunk.
   */
  readImages(ids: ArrayLike<number>): Float32Array;
  /** Closes the files; no image can be read afterwards. */
  close(): Promise<void>;
}

export interface OpenOptions {
  /** Compare every file with its SHA-256 in the manifest while reading its labels. Default true. */
  readonly verifyContent?: boolean;
}

/** An open file of the data set and the sample id of its first record. */
interface OpenFile {
  readonly file: DatasetFile;
  readonly location: string;
  readonly handle: FileHandle;
  readonly firstId: number;
}

const SETUP_HINT = 'run `npm run setup` to fetch it, or set STILLHOUSE_DATA to the folder that holds your data sets';

/** Records per read while the labels are scanned. */
const SCAN_RECORDS = 256;

/**
 * Opens a data set: reads its manifest, and every file once for its labels and its hash.
 *
 * @param dataRoot the folder of data sets.
 * @param nameOrPath a folder in it by name, or, when it has a path separator, any folder with a `manifest.json`.
 * @throws StillhouseError FAILED_PRECONDITION when it is not there; DATA_LOSS when a file is missing, has the wrong size or
 *   content, or holds a label out of range (the message names file and offset); what `parseManifest` throws.
 */
export async function openDataset(dataRoot: string, nameOrPath: string, options: OpenOptions = {}): Promise<Dataset> {
  const folder = datasetFolder(dataRoot, nameOrPath);
  const manifest = await readDatasetManifest(dataRoot, nameOrPath);
  const files: OpenFile[] = [];
  try {
    let sampleCount = 0;
    for (const file of manifest.files) {
      const location = path.join(folder, file.path);
      const opened = { file, location, handle: await openFile(location), firstId: sampleCount };
      files.push(opened);
      await checkSize(opened);
      sampleCount += file.records;
    }
    // Only now: what a manifest claims must not take memory before files of that size are there.
    const labels = new Uint8Array(sampleCount);
    for (const opened of files) {
      await readLabels(opened, labels, manifest.classNames.length, options.verifyContent ?? true);
    }
    return new FileDataset(manifest, labels, files);
  } catch (error) {
    for (const { handle } of files) await handle.close();
    throw error;
  }
}

class FileDataset implements Dataset {
  readonly manifest: DatasetManifest;
  readonly labels: Uint8Array;
  readonly #files: readonly OpenFile[];
  readonly #record = new Uint8Array(CIFAR_RECORD_BYTES);
  #closed = false;

  constructor(manifest: DatasetManifest, labels: Uint8Array, files: readonly OpenFile[]) {
    this.manifest = manifest;
    this.labels = labels;
    this.#files = files;
  }

  get digest(): string {
    return this.manifest.digest;
  }

  get classNames(): readonly string[] {
    return this.manifest.classNames;
  }

  get image(): ImageShape {
    return this.manifest.image;
  }

  get sampleCount(): number {
    return this.labels.length;
  }

  idsOf(split: SplitName): Uint32Array {
    const ids: number[] = [];
    for (const { file, firstId } of this.#files) {
      if (file.split !== split) continue;
      for (let record = 0; record < file.records; record++) ids.push(firstId + record);
    }
    return Uint32Array.from(ids);
  }

  readImages(ids: ArrayLike<number>): Float32Array {
    invariant(!this.#closed, 'images are read from an open data set');
    const images = new Float32Array(ids.length * CIFAR_IMAGE_VALUES);
    for (let index = 0; index < ids.length; index++) {
      this.#readRecord(ids[index] as number);
      decodeCifarImage(this.#record, images, index * CIFAR_IMAGE_VALUES);
    }
    return images;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const { handle } of this.#files) await handle.close();
  }

  #readRecord(id: number): void {
    if (!Number.isInteger(id) || id < 0 || id >= this.sampleCount) {
      throw new StillhouseError(
        'INVALID_ARGUMENT',
        `sample ${id} is not in the data set ${this.manifest.name}, whose ids are 0 to ${this.sampleCount - 1}`,
        { field: 'sample_ids' },
      );
    }
    const holder = this.#files.find(({ file, firstId }) => id < firstId + file.records);
    invariant(holder !== undefined, 'every sample id lies in a file');
    const offset = (id - holder.firstId) * CIFAR_RECORD_BYTES;
    const read = readSync(holder.handle.fd, this.#record, 0, CIFAR_RECORD_BYTES, offset);
    if (read !== CIFAR_RECORD_BYTES) throw endsEarly(holder, offset + read);
  }
}

/** The folder of a data set, whether it is there or not. Arguments and INVALID_ARGUMENT as for `openDataset`. */
export function datasetFolder(dataRoot: string, nameOrPath: string): string {
  if (nameOrPath.includes('/') || nameOrPath.includes(path.sep)) return path.resolve(nameOrPath);
  if (/^[A-Za-z0-9][\w.-]*$/.test(nameOrPath)) return path.join(dataRoot, nameOrPath);
  throw new StillhouseError('INVALID_ARGUMENT', `"${nameOrPath}" is neither the name of a data set nor a path`, {
    field: 'data.dataset',
  });
}

/** The manifest alone: cheap, to see whether a data set is another one by now. Arguments and errors as for `openDataset`. */
export async function readDatasetManifest(dataRoot: string, nameOrPath: string): Promise<DatasetManifest> {
  const location = path.join(datasetFolder(dataRoot, nameOrPath), 'manifest.json');
  let text: string;
  try {
    text = await readFile(location, 'utf8');
  } catch (cause) {
    throw new StillhouseError(
      'FAILED_PRECONDITION',
      `the data set ${nameOrPath} is not at hand: cannot read ${location}: ${(cause as Error).message}`,
      { field: 'data.dataset', hint: SETUP_HINT, cause },
    );
  }
  return parseManifest(text, location);
}

async function openFile(location: string): Promise<FileHandle> {
  try {
    return await open(location, 'r');
  } catch (cause) {
    throw new StillhouseError('DATA_LOSS', `cannot open ${location}: ${(cause as Error).message}`, {
      field: location,
      hint: 'set the data set up again',
      cause,
    });
  }
}

async function checkSize(opened: OpenFile): Promise<void> {
  const { file, location, handle } = opened;
  const { size } = await handle.stat();
  if (size < file.bytes) throw endsEarly(opened, size);
  if (size > file.bytes) throw damaged(location, `is ${size} bytes long, expected ${file.bytes}`);
}

/** Fills in the labels of one file, from beginning to end, and checks labels and content. */
async function readLabels(opened: OpenFile, labels: Uint8Array, classes: number, verify: boolean): Promise<void> {
  const { file, location, handle, firstId } = opened;
  const hash = createHash('sha256');
  const buffer = new Uint8Array(SCAN_RECORDS * CIFAR_RECORD_BYTES);
  for (let record = 0; record < file.records; record += SCAN_RECORDS) {
    const records = Math.min(SCAN_RECORDS, file.records - record);
    const offset = record * CIFAR_RECORD_BYTES;
    const chunk = buffer.subarray(0, records * CIFAR_RECORD_BYTES);
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, offset);
    if (bytesRead !== chunk.length) throw endsEarly(opened, offset + bytesRead);
    for (let index = 0; index < records; index++) {
      const label = chunk[index * CIFAR_RECORD_BYTES] as number;
      if (label >= classes) {
        const at = offset + index * CIFAR_RECORD_BYTES;
        throw damaged(location, `has label ${label} at offset ${at}, but there are only ${classes} classes`);
      }
      labels[firstId + record + index] = label;
    }
    if (verify) hash.update(chunk);
  }
  const actual = verify ? hash.digest('hex') : file.sha256;
  if (actual !== file.sha256) throw damaged(location, `has SHA-256 ${actual}, expected ${file.sha256}`);
}

function endsEarly({ file, location }: OpenFile, offset: number): StillhouseError {
  return damaged(location, `ends at offset ${offset}, expected ${file.bytes} bytes (${file.records} records)`);
}

function damaged(location: string, what: string): StillhouseError {
  return new StillhouseError('DATA_LOSS', `${location} ${what}`, {
    field: location,
    hint: 'set the data set up again',
  });
}
