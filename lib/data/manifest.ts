/** The manifest of a data set: what lies in which file, and the digest that names it all. */
import { z } from 'zod';
import { sha256 } from '../base/digest.ts';
import { StillhouseError } from '../base/errors.ts';
import { canonicalJson } from './canonical-json.ts';
import { CIFAR_RECORD_BYTES, CIFAR10_IMAGE } from './cifar10.ts';
import { checkDocument, digestSchema, parseJson } from './json-document.ts';
import {
  checkShardedManifest,
  datasetFileSchema,
  SHARDED_VERSION,
  type ShardedManifest,
  shardedManifestSchema,
} from './sharded-manifest.ts';

/** The parts that a data set comes in. Calibration images are cut from `train` by `selectSplits`. */
export type SplitName = 'train' | 'test';

/** Pixels of one image; channels are RGB when there are three. */
export interface ImageShape {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** One file of samples. Sample ids number the records of all files in manifest order, from 0. */
export interface DatasetFile {
  /** Relative to the manifest's folder, `/` between its parts. */
  readonly path: string;
  readonly split: SplitName;
  readonly records: number;
  readonly bytes: number;
  /** SHA-256 of the content, 64 hex digits. */
  readonly sha256: string;
}

/** `manifest.json` in a data set's folder: of official files in place, or of the shards of an import. */
export type DatasetManifest = OfficialManifest | ShardedManifest;

/** Official files of CIFAR-10, as they are. */
export interface OfficialManifest {
  readonly formatVersion: 1;
  /** What people call it; not part of the digest. */
  readonly name: string;
  /** The layout of every file: the official binary layout of CIFAR-10. */
  readonly format: 'cifar10-binary';
  /** Labels index this list. */
  readonly classNames: readonly string[];
  readonly image: ImageShape;
  readonly files: readonly DatasetFile[];
  /** `manifestDigest` of the rest. */
  readonly digest: string;
}

const manifestSchema: z.ZodType<OfficialManifest> = z.strictObject({
  formatVersion: z.literal(1),
  name: z.string().min(1),
  format: z.literal('cifar10-binary'),
  classNames: z.array(z.string().min(1)).min(1).max(256),
  image: z.strictObject({
    height: z.literal(CIFAR10_IMAGE.height),
    width: z.literal(CIFAR10_IMAGE.width),
    channels: z.literal(CIFAR10_IMAGE.channels),
  }),
  files: z.array(datasetFileSchema).min(1),
  digest: digestSchema,
});

/**
 * Parses and checks `manifest.json`.
 *
 * @param where names the file in errors.
 * @throws StillhouseError INVALID_ARGUMENT when it is malformed or contradicts itself; DATA_LOSS when its digest does not
 *   match its content.
 */
export function parseManifest(text: string, where: string): DatasetManifest {
  const manifest = checkContent(parseJson(text, where), where);
  const actual = manifestDigest(manifest);
  if (actual !== manifest.digest) {
    throw new StillhouseError('DATA_LOSS', `${where} has digest ${actual}, but says ${manifest.digest}`, {
      field: 'digest',
      hint: 'set the data set up again',
    });
  }
  return manifest;
}

/** Names the data set by content: SHA-256 of the canonical JSON of all fields but `digest` and `name`. */
export function manifestDigest(
  manifest: (Omit<OfficialManifest, Unnamed> | Omit<ShardedManifest, Unnamed>) &
    Partial<Pick<DatasetManifest, Unnamed>>,
): string {
  return sha256(canonicalJson({ ...manifest, digest: undefined, name: undefined }));
}

type Unnamed = 'digest' | 'name';

/** The files of samples, in the order of their ids. */
export function sampleFiles(manifest: DatasetManifest): readonly DatasetFile[] {
  return manifest.formatVersion === 1 ? manifest.files : manifest.shards;
}

function checkContent(value: unknown, where: string): DatasetManifest {
  const refuse = (field: string, message: string): never => {
    throw new StillhouseError('INVALID_ARGUMENT', `${where}: ${field}: ${message}`, { field });
  };
  const version =
    typeof value === 'object' && value !== null && 'formatVersion' in value ? value.formatVersion : undefined;
  if (version === SHARDED_VERSION) {
    const manifest = checkDocument(value, shardedManifestSchema, where);
    checkNames(manifest, 'shards', refuse);
    checkShardedManifest(manifest, refuse);
    return manifest;
  }
  const manifest = checkDocument(value, manifestSchema, where);
  checkNames(manifest, 'files', refuse);
  for (const [index, file] of manifest.files.entries()) {
    const bytes = file.records * CIFAR_RECORD_BYTES;
    if (file.bytes === bytes) continue;
    refuse(`files[${index}].bytes`, `is ${file.bytes}, but ${file.records} records take ${bytes} bytes`);
  }
  return manifest;
}

/** What holds for every manifest: no name occurs twice, and ids of samples have 32 bits. */
function checkNames(manifest: DatasetManifest, field: string, refuse: (field: string, message: string) => never): void {
  const classes = new Set<string>();
  for (const [index, name] of manifest.classNames.entries()) {
    if (classes.has(name)) refuse(`classNames[${index}]`, 'occurs twice');
    classes.add(name);
  }
  const paths = new Set<string>();
  let records = 0;
  for (const [index, file] of sampleFiles(manifest).entries()) {
    if (paths.has(file.path)) refuse(`${field}[${index}].path`, 'occurs twice');
    paths.add(file.path);
    records += file.records;
  }
  if (records > 0xffffffff) refuse(field, `hold ${records} records, more than 32-bit sample ids can number`);
}
