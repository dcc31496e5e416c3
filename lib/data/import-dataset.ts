/** Makes a data set of our own of samples in someone else's format: every sample is looked at, shuffled and put into shards. */
import path from 'node:path';
import { digestHex, sha256 } from '../base/digest.ts';
import { StillhouseError } from '../base/errors.ts';
import { createRandom, hashName, shuffle } from '../base/random.ts';
import { checkedSamples } from './checked-samples.ts';
import type { BadSample } from './dataset.ts';
import { manifestDigest, type SplitName } from './manifest.ts';
import { PixelSums } from './pixel-sums.ts';
import type { SampleSource } from './sample-source.ts';
import { ShardWriter } from './shard-writer.ts';
import {
  BAD_SAMPLES_MAX,
  labelBytes,
  MAX_CLASSES,
  MAX_IMAGE_SIDE,
  SHARDED_VERSION,
  type ShardedManifest,
} from './sharded-manifest.ts';
import { StagedFolder } from './staged-folder.ts';

export interface ImportOptions {
  /** What people call the data set. */
  readonly name: string;
  /** Decides on the order of the samples within each split; 32 bits. Default 0. */
  readonly seed?: number;
  /** So many damaged samples are kept, listed in the manifest, never trained on; one more refuses the import. Up to 1000, default 0. */
  readonly badSamples?: number;
  /** Compute mean and standard deviation over all training images. Default false. */
  readonly statistics?: boolean;
  /** Take the place of a folder that is there already. Default false. */
  readonly replace?: boolean;
  /** What the samples were made from, where nobody has photographed or written them. */
  readonly synthetic?: string | undefined;
  readonly onProgress?: (samplesDone: number, samples: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Decoded and looked at, in samples. */
const PROGRESS_EVERY = 64;

/**
 * Writes a data set into `folder`. The folder is there when all of it is, and not before; after an error nothing is left.
 *
 * @throws StillhouseError INVALID_ARGUMENT for what is no data set (no training images, a class without any images or with damaged
 *   training images alone, more than 65,535 classes), and for more damaged samples to be kept than jobs may skip; DATA_LOSS naming file and place of a damaged sample beyond those that are kept; ALREADY_EXISTS;
 *   RESOURCE_EXHAUSTED when the disk is full; the signal's reason; what the source throws
 */
export async function importDataset(
  source: SampleSource,
  folder: string,
  options: ImportOptions,
): Promise<ShardedManifest> {
  checkSource(source, options);
  const staged = await StagedFolder.create(folder, options.replace ?? false);
  try {
    const manifest = await writeDataset(source, staged, options);
    options.signal?.throwIfAborted();
    await staged.commit();
    return manifest;
  } finally {
    await staged.discard();
  }
}

async function writeDataset(
  source: SampleSource,
  folder: StagedFolder,
  options: ImportOptions,
): Promise<ShardedManifest> {
  const { name, seed = 0, statistics = false, synthetic } = options;
  const { classNames, image, storage, format } = source;
  const order = importOrder(source, seed);
  const labels = new Uint8Array(order.length * labelBytes(classNames.length));
  const writer = new ShardWriter(folder, storage);
  const sums = new PixelSums();
  const badSamples: BadSample[] = [];
  const training = new TrainingImages(classNames);
  let id = 0;
  for await (const sample of checkedSamples(source, order, statistics, options.signal)) {
    const { index, record, pixels } = sample;
    const split = source.splitOf(index);
    const label = source.labelOf(index);
    putLabel(labels, classNames.length, id, label);
    if (split === 'train') training.count(label, record !== null);
    if (record === null) badSamples.push(keptBadSample(id, source.whereOf(index), sample.error, badSamples, options));
    else if (split === 'train' && pixels !== null) sums.add(pixels, storage.kind === 'raw' ? storage.channels : 3);
    await writer.add(split, record);
    if (++id % PROGRESS_EVERY === 0 || id === order.length) options.onProgress?.(id, order.length);
  }
  await writer.flush();
  training.check();
  await folder.write('labels.bin', labels);
  const content: Omit<ShardedManifest, 'digest'> = {
    formatVersion: SHARDED_VERSION,
    name,
    classNames,
    image,
    storage,
    labels: { path: 'labels.bin', bytes: labels.length, sha256: digestHex(sha256(labels)) },
    shards: writer.shards,
    badSamples: badSamples.map((sample) => withoutRoot(sample, source.root)),
    ...(statistics ? { statistics: sums.statistics() } : {}),
    origin: { format, seed, ...(synthetic === undefined ? {} : { synthetic }) },
  };
  const manifest = { ...content, digest: manifestDigest(content) };
  await folder.write('manifest.json', new TextEncoder().encode(`${JSON.stringify(manifest, null, 1)}\n`));
  return manifest;
}

/** All training samples, then all test samples, each shuffled: class-sorted sources give well-mixed shards. */
function importOrder(source: SampleSource, seed: number): Uint32Array {
  const order = new Uint32Array(source.count);
  let end = 0;
  for (const split of ['train', 'test'] satisfies SplitName[]) {
    const start = end;
    for (let index = 0; index < source.count; index++) if (source.splitOf(index) === split) order[end++] = index;
    shuffle(order.subarray(start, end), createRandom(seed, hashName('import'), hashName(split)));
  }
  return order;
}

function putLabel(labels: Uint8Array, classes: number, id: number, label: number): void {
  if (labelBytes(classes) === 1) labels[id] = label;
  else new DataView(labels.buffer).setUint16(2 * id, label, true);
}

/** @throws StillhouseError DATA_LOSS when it is one too many */
function keptBadSample(
  id: number,
  source: string,
  error: StillhouseError | null,
  before: readonly BadSample[],
  { badSamples: most = 0 }: ImportOptions,
): BadSample {
  const message = error?.message ?? 'is damaged';
  const reason = message.startsWith(`${source} `) ? message.slice(source.length + 1) : message;
  if (before.length < most) return { id, source, reason };
  const first = before[0];
  const many = `${before.length + 1} samples are damaged, the first: ${first?.source} ${first?.reason}`;
  throw new StillhouseError('DATA_LOSS', first === undefined ? `${source} ${reason}` : many, {
    field: first?.source ?? source,
    hint: `repair or remove it, or keep damaged samples, which jobs can then leave out (--bad-samples keep:N)`,
    cause: error,
  });
}

/** The same wherever the folder is put: the manifest, and so its digest, does not depend on that. */
function withoutRoot({ id, source, reason }: BadSample, root: string): BadSample {
  if (root === '') return { id, source, reason };
  const prefix = root.endsWith(path.sep) ? root : root + path.sep;
  return { id, source: source.replaceAll(prefix, ''), reason: reason.replaceAll(prefix, '') };
}

/** What can be told before any sample is read. */
function checkSource(source: SampleSource, { name, badSamples = 0 }: ImportOptions): void {
  const { classNames, image, storage, count } = source;
  if (name === '') throw refusal('it has no name');
  if (badSamples > BAD_SAMPLES_MAX) {
    throw refusal(
      `${badSamples} damaged samples are more than may be kept, ${BAD_SAMPLES_MAX}: no job may skip so many`,
    );
  }
  if (classNames.length === 0) throw refusal('it has no classes');
  if (classNames.length > MAX_CLASSES) throw refusal(`it has ${classNames.length} classes, more than ${MAX_CLASSES}`);
  if (new Set(classNames).size < classNames.length) throw refusal('two of its classes have the same name');
  if (classNames.includes('')) throw refusal('one of its classes has no name');
  const sides = [image.height, image.width];
  if (sides.some((side) => !Number.isInteger(side) || side < 1 || side > MAX_IMAGE_SIDE)) {
    throw refusal(`its images are of ${sides.join('x')} pixels, expected 1 to ${MAX_IMAGE_SIDE} each way`);
  }
  if (storage.kind === 'raw' && (storage.height !== image.height || storage.width !== image.width)) {
    throw refusal(`its records are of ${storage.height}x${storage.width} pixels, its images of ${sides.join('x')}`);
  }
  if (count > 0xffffffff) throw refusal(`it has ${count} samples, more than 32-bit sample ids can number`);
  checkClasses(source);
}

function checkClasses(source: SampleSource): void {
  const { classNames, count } = source;
  const perClass = new Uint32Array(classNames.length);
  let train = 0;
  for (let index = 0; index < count; index++) {
    const label = source.labelOf(index);
    if (!Number.isInteger(label) || label < 0 || label >= classNames.length) {
      throw refusal(`${source.whereOf(index)} has label ${label}, but there are only ${classNames.length} classes`);
    }
    perClass[label] = (perClass[label] as number) + 1;
    if (source.splitOf(index) === 'train') train++;
  }
  if (train === 0) throw refusal('it has no training images');
  const empty = perClass.indexOf(0);
  if (empty >= 0) throw refusal(`its class ${JSON.stringify(classNames[empty])} has no images`);
}

/** What is left of each class to train on, known when all samples have been looked at. */
class TrainingImages {
  readonly #classNames: readonly string[];
  readonly #good: Uint32Array;
  readonly #damaged: Uint32Array;

  constructor(classNames: readonly string[]) {
    this.#classNames = classNames;
    this.#good = new Uint32Array(classNames.length);
    this.#damaged = new Uint32Array(classNames.length);
  }

  count(label: number, isGood: boolean): void {
    const counts = isGood ? this.#good : this.#damaged;
    counts[label] = (counts[label] as number) + 1;
  }

  /** @throws StillhouseError INVALID_ARGUMENT when all training images are damaged, or those of a class */
  check(): void {
    if (this.#good.every((count) => count === 0)) throw refusal('all training images are damaged');
    const lost = this.#classNames.find((_, label) => this.#good[label] === 0 && (this.#damaged[label] as number) > 0);
    if (lost !== undefined) throw refusal(`all training images of its class ${JSON.stringify(lost)} are damaged`);
  }
}

function refusal(what: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', `the data set cannot be imported: ${what}`, { field: 'source' });
}
