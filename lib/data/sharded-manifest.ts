/** What `manifest.json` says of a data set that an import has written: shards of samples, and one file of labels. */
import { z } from 'zod';
import type { BadSample, ChannelStatistics } from './dataset.ts';
import { digestSchema } from './json-document.ts';
import type { DatasetFile, ImageShape } from './manifest.ts';
import type { SampleStorage } from './sample-source.ts';
import { encodedShardMinBytes, MAX_SHARD_RECORDS, rawRecordBytes } from './shard-file.ts';

export const SHARDED_VERSION = 2;

/** Labels take one byte each up to here, else two. */
const BYTE_CLASSES = 256;
export const MAX_CLASSES = 65_535;
/** Damaged samples of a data set: jobs that leave them out list them all. */
export const BAD_SAMPLES_MAX = 1000;
/** Height and width of images: more than networks look at. */
export const MAX_IMAGE_SIDE = 4096;

export interface ShardedManifest {
  readonly formatVersion: typeof SHARDED_VERSION;
  /** What people call it; not part of the digest. */
  readonly name: string;
  /** Labels index this list. */
  readonly classNames: readonly string[];
  /** Of every image as it is delivered: three channels, whatever is stored. */
  readonly image: ImageShape;
  readonly storage: SampleStorage;
  /** Class of every sample in the order of ids: uint8 up to 256 classes, else little-endian uint16. */
  readonly labels: LabelFile;
  readonly shards: readonly DatasetFile[];
  /** Samples that the import found damaged, ascending by id. */
  readonly badSamples: readonly BadSample[];
  /** Over all training images. */
  readonly statistics?: ChannelStatistics | undefined;
  readonly origin: DatasetOrigin;
  /** `manifestDigest` of the rest. */
  readonly digest: string;
}

export interface LabelFile {
  readonly path: string;
  readonly bytes: number;
  /** SHA-256 of the content, 64 hex digits. */
  readonly sha256: string;
}

export interface DatasetOrigin {
  /** The format that the samples were found in. */
  readonly format: string;
  /** Decides on the order of samples. */
  readonly seed: number;
  /** What it was made from, for data that nobody has photographed or written. */
  readonly synthetic?: string | undefined;
}

const safePath = /^(?!\.{1,2}(?:\/|$))[\w.-]+(?:\/(?!\.{1,2}(?:\/|$))[\w.-]+)*$/;
const pathSchema = z.string().regex(safePath, 'expected a relative path without "." and ".." parts');
const hexDigest = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hex digits');

export const datasetFileSchema: z.ZodType<DatasetFile> = z.strictObject({
  path: pathSchema,
  split: z.enum(['train', 'test']),
  records: z.int().min(1).max(0xffffffff),
  bytes: z.int().min(1),
  sha256: hexDigest,
});

const side = z.int().min(1).max(MAX_IMAGE_SIDE);
const triple = (each: z.ZodType<number>) => z.array(each).length(3);

const storageSchema: z.ZodType<SampleStorage> = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('raw'),
    height: side,
    width: side,
    channels: z.union([z.literal(1), z.literal(3)]),
  }),
  z.strictObject({ kind: z.literal('encoded'), fit: z.enum(['squash', 'crop']) }),
]);

export const shardedManifestSchema: z.ZodType<ShardedManifest> = z.strictObject({
  formatVersion: z.literal(SHARDED_VERSION),
  name: z.string().min(1),
  classNames: z.array(z.string().min(1)).min(1).max(MAX_CLASSES),
  image: z.strictObject({ height: side, width: side, channels: z.literal(3) }),
  storage: storageSchema,
  labels: z.strictObject({ path: pathSchema, bytes: z.int().min(1), sha256: hexDigest }),
  shards: z.array(datasetFileSchema).min(1),
  badSamples: z.array(
    z.strictObject({ id: z.int().min(0).max(0xffffffff), source: z.string().min(1), reason: z.string().min(1) }),
  ),
  statistics: z
    .strictObject({ mean: triple(z.number().min(0).max(1)), std: triple(z.number().positive().max(1)) })
    .optional(),
  origin: z.strictObject({
    format: z.string().min(1),
    seed: z.int().min(0).max(0xffffffff),
    synthetic: z.string().min(1).optional(),
  }),
  digest: digestSchema,
});

/** Bytes of a label in the file of labels. */
export function labelBytes(classes: number): 1 | 2 {
  return classes <= BYTE_CLASSES ? 1 : 2;
}

/** Finds what contradicts itself. @param refuse throws */
export function checkShardedManifest(
  { classNames, image, storage, labels, shards, badSamples }: ShardedManifest,
  refuse: (field: string, message: string) => never,
): void {
  if (storage.kind === 'raw' && (storage.height !== image.height || storage.width !== image.width)) {
    refuse(
      'storage',
      `is of ${storage.height}x${storage.width} pixels, but images are of ${image.height}x${image.width}`,
    );
  }
  let samples = 0;
  for (const [index, { path, records, bytes }] of shards.entries()) {
    if (path === labels.path) refuse(`shards[${index}].path`, 'is the file of labels');
    if (records > MAX_SHARD_RECORDS) refuse(`shards[${index}].records`, `is above ${MAX_SHARD_RECORDS}`);
    const fixed = storage.kind === 'raw' ? records * rawRecordBytes(storage) : undefined;
    if (bytes !== (fixed ?? bytes) || bytes < encodedShardMinBytes(storage, records)) {
      const expected = fixed ?? `at least ${encodedShardMinBytes(storage, records)}`;
      refuse(`shards[${index}].bytes`, `is ${bytes}, but ${records} records take ${expected} bytes`);
    }
    samples += records;
  }
  const expected = samples * labelBytes(classNames.length);
  if (labels.bytes !== expected) {
    refuse('labels.bytes', `is ${labels.bytes}, but labels of ${samples} samples take ${expected} bytes`);
  }
  for (const [index, { id }] of badSamples.entries()) {
    if (id >= samples) refuse(`badSamples[${index}].id`, `is ${id}, but ids go up to ${samples - 1}`);
    const previous = badSamples[index - 1];
    if (previous !== undefined && previous.id >= id) refuse(`badSamples[${index}].id`, 'is not in ascending order');
  }
}
