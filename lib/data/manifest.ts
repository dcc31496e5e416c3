/** The manifest of a data set: what lies in which file, and the digest that names it all. */
import { z } from 'zod';
import { sha256 } from '../base/digest.ts';
import { StillhouseError } from '../base/errors.ts';
import { canonicalJson } from './canonical-json.ts';
import { CIFAR_RECORD_BYTES, CIFAR10_IMAGE } from './cifar10.ts';
import { digestSchema, parseJsonDocument } from './json-document.ts';

/** The parts that a data set comes in. Calibration images are cut from `train` by `selectSplits`. */
export type SplitName = 'train' | 'test';

/** Pixels of one image; channels are RGB when there are three. */
export interface ImageShape {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** One file of a data set. Sample ids number the records of all files in manifest order, from 0. */
export interface DatasetFile {
  /** Relative to the manifest's folder, `/` between its parts. */
  readonly path: string;
  readonly split: SplitName;
  readonly records: number;
  readonly bytes: number;
  /** SHA-256 of the content, 64 hex digits. */
  readonly sha256: string;
}

/** `manifest.json` in a data set's folder. */
export interface DatasetManifest {
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

const safePath = /^(?!\.{1,2}(?:\/|$))[\w.-]+(?:\/(?!\.{1,2}(?:\/|$))[\w.-]+)*$/;

const manifestSchema: z.ZodType<DatasetManifest> = z.strictObject({
  formatVersion: z.literal(1),
  name: z.string().min(1),
  format: z.literal('cifar10-binary'),
  classNames: z.array(z.string().min(1)).min(1).max(256),
  image: z.strictObject({
    height: z.literal(CIFAR10_IMAGE.height),
    width: z.literal(CIFAR10_IMAGE.width),
    channels: z.literal(CIFAR10_IMAGE.channels),
  }),
  files: z
    .array(
      z.strictObject({
        path: z.string().regex(safePath, 'expected a relative path without "." and ".." parts'),
        split: z.enum(['train', 'test']),
        records: z.int().min(1).max(0xffffffff),
        bytes: z.int().min(1),
        sha256: z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hex digits'),
      }),
    )
    .min(1),
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
  const manifest = parseJsonDocument(text, manifestSchema, where);
  checkRelations(manifest, where);
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
export function manifestDigest(manifest: Omit<DatasetManifest, 'digest' | 'name'> & Partial<DatasetManifest>): string {
  return sha256(canonicalJson({ ...manifest, digest: undefined, name: undefined }));
}

function checkRelations(manifest: DatasetManifest, where: string): void {
  const refuse = (field: string, message: string) => {
    throw new StillhouseError('INVALID_ARGUMENT', `${where}: ${field}: ${message}`, { field });
  };
  const duplicateClass = manifest.classNames.findIndex((name, at) => manifest.classNames.indexOf(name) !== at);
  if (duplicateClass >= 0) refuse(`classNames[${duplicateClass}]`, 'occurs twice');
  const paths = new Set<string>();
  let records = 0;
  for (const [index, file] of manifest.files.entries()) {
    if (paths.has(file.path)) refuse(`files[${index}].path`, 'occurs twice');
    paths.add(file.path);
    const bytes = file.records * CIFAR_RECORD_BYTES;
    if (file.bytes !== bytes) {
      refuse(`files[${index}].bytes`, `is ${file.bytes}, but ${file.records} records take ${bytes} bytes`);
    }
    records += file.records;
  }
  if (records > 0xffffffff) refuse('files', `hold ${records} records, more than 32-bit sample ids can number`);
}
