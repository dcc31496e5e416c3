/**
 * The model artefact: `model.json` beside `weights.safetensors`. The digest of `model.json`'s bytes names the artefact, and
 * as the manifest holds the digest of the weights it names them too.
 */
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { sha256 } from '../base/digest.ts';
import { StillhouseError } from '../base/errors.ts';
import { uniqueId } from '../base/random.ts';
import { canonicalJson } from '../data/canonical-json.ts';
import { writeDurably } from '../data/durable-file.ts';
import { type ModelManifest, parseModelManifest } from './model-manifest.ts';
import { decodeSafetensors, encodeSafetensors, type NamedTensors } from './safetensors.ts';

export type { ModelManifest } from './model-manifest.ts';
export { outputCount, parseModelManifest } from './model-manifest.ts';

/** An artefact as bytes, to be stored. */
export interface EncodedArtefact {
  readonly manifest: ModelManifest;
  /** `model.json`: canonical JSON, UTF-8. */
  readonly manifestBytes: Uint8Array;
  /** `weights.safetensors`. */
  readonly weightsBytes: Uint8Array;
  /** SHA-256 of `manifestBytes`. */
  readonly digest: string;
}

/** An artefact that has been checked, to be loaded. Tensors have PyTorch's names and layouts. */
export interface DecodedArtefact {
  readonly manifest: ModelManifest;
  readonly tensors: NamedTensors;
  readonly digest: string;
}

const MANIFEST_FILE = 'model.json';
const WEIGHTS_FILE = 'weights.safetensors';

/**
 * Encodes a model. Equal manifests and tensors give equal bytes and so one digest.
 *
 * @param tensors in PyTorch's names and layouts: convolutions [out, in, h, w], linear [out, in].
 * @throws StillhouseError INVALID_ARGUMENT when the manifest contradicts itself.
 */
export function encodeArtefact(manifest: Omit<ModelManifest, 'weights'>, tensors: NamedTensors): EncodedArtefact {
  const weightsBytes = encodeSafetensors(tensors);
  const weights = { file: WEIGHTS_FILE, digest: sha256(weightsBytes), parameters: countValues(tensors) } as const;
  const manifestBytes = new TextEncoder().encode(canonicalJson({ ...manifest, weights }));
  return {
    // Parsed back, so that what is stored is what a reader will accept.
    manifest: parseModelManifest(manifestBytes, `the manifest of ${manifest.name}`),
    manifestBytes,
    weightsBytes,
    digest: sha256(manifestBytes),
  };
}

/**
 * Decodes and checks an artefact.
 *
 * @param expectedDigest the name under which it was asked for, if any.
 * @throws StillhouseError DATA_LOSS when a digest or the number of weights does not match; INVALID_ARGUMENT and
 *   UNIMPLEMENTED as `parseModelManifest` and `decodeSafetensors` do.
 */
export function decodeArtefact(
  manifestBytes: Uint8Array,
  weightsBytes: Uint8Array,
  expectedDigest?: string,
): DecodedArtefact {
  const digest = sha256(manifestBytes);
  if (expectedDigest !== undefined) requireEqual(`model ${expectedDigest}`, 'manifest', digest, expectedDigest);
  const where = `model ${digest}`;
  const manifest = parseModelManifest(manifestBytes, `${where}: ${MANIFEST_FILE}`);
  requireEqual(where, 'weights', sha256(weightsBytes), manifest.weights.digest);
  const { tensors } = decodeSafetensors(weightsBytes, `${where}: ${WEIGHTS_FILE}`);
  const values = countValues(tensors);
  if (values !== manifest.weights.parameters) {
    throw new StillhouseError(
      'DATA_LOSS',
      `${where} has ${values} numbers in its weights, but its manifest says ${manifest.weights.parameters}`,
      { field: 'weights.parameters' },
    );
  }
  return { manifest, tensors, digest };
}

/**
 * Writes an artefact into a new folder. The folder appears complete or not at all; one that holds the same artefact already
 * is left alone.
 *
 * @throws StillhouseError ALREADY_EXISTS when something else is there.
 */
export async function writeArtefactFolder(location: string, artefact: EncodedArtefact): Promise<void> {
  const folder = path.resolve(location);
  await mkdir(path.dirname(folder), { recursive: true });
  const draft = `${folder}.${uniqueId('draft')}`;
  try {
    await mkdir(draft);
    await writeDurably(path.join(draft, WEIGHTS_FILE), artefact.weightsBytes);
    await writeDurably(path.join(draft, MANIFEST_FILE), artefact.manifestBytes);
    await rename(draft, folder);
  } catch (cause) {
    await rm(draft, { recursive: true, force: true });
    const code = (cause as NodeJS.ErrnoException).code;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOTDIR') throw cause;
    await requireSameArtefact(folder, artefact.digest, cause);
  }
}

/**
 * Reads and checks an artefact's folder.
 *
 * @throws StillhouseError NOT_FOUND when a file of it cannot be read; what `decodeArtefact` throws.
 */
export async function readArtefactFolder(folder: string, expectedDigest?: string): Promise<DecodedArtefact> {
  const read = async (file: string): Promise<Uint8Array> => {
    const location = path.join(folder, file);
    try {
      return await readFile(location);
    } catch (cause) {
      const message = `cannot read the model in ${folder}: ${(cause as Error).message}`;
      throw new StillhouseError('NOT_FOUND', message, { field: location, cause });
    }
  };
  return decodeArtefact(await read(MANIFEST_FILE), await read(WEIGHTS_FILE), expectedDigest);
}

async function requireSameArtefact(folder: string, digest: string, cause: unknown): Promise<void> {
  try {
    await readArtefactFolder(folder, digest);
  } catch (difference) {
    throw new StillhouseError('ALREADY_EXISTS', `${folder} exists and does not hold the model ${digest}`, {
      field: folder,
      hint: 'remove it or choose another folder',
      cause: difference instanceof StillhouseError ? difference : cause,
    });
  }
}

function requireEqual(where: string, what: string, actual: string, expected: string): void {
  if (actual === expected) return;
  throw new StillhouseError(
    'DATA_LOSS',
    `${where} is damaged: its ${what} have digest ${actual}, expected ${expected}`,
    {
      field: what,
    },
  );
}

function countValues(tensors: NamedTensors): number {
  let count = 0;
  for (const { values } of tensors.values()) count += values.length;
  return count;
}
