/** Any file of weights, recognised by its content: safetensors, PyTorch's two formats, or a model artefact's folder. */
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { sha256 } from '../base/digest.ts';
import { StillhouseError } from '../base/errors.ts';
import { type ModelManifest, readArtefactFolder } from './artefact.ts';
import type { NumberType } from './number-types.ts';
import { decodeSafetensors, type NamedTensors, type SafetensorsMetadata } from './safetensors.ts';
import { decodeTorchLegacy, decodeTorchZip, isTorchLegacy, isTorchZip } from './torch-file.ts';

export interface WeightsFile {
  readonly format: 'safetensors' | 'torch-zip' | 'torch-legacy' | 'artefact';
  /** The file's own name, without its folder. */
  readonly name: string;
  /** SHA-256 of the file, or the artefact's digest. */
  readonly digest: string;
  /** Under the names that the file gives them, in PyTorch's layout. */
  readonly tensors: NamedTensors;
  /** What each tensor's numbers are in the file. */
  readonly types: ReadonlyMap<string, NumberType>;
  /** What a safetensors file says beside the tensors. */
  readonly metadata: SafetensorsMetadata;
  /** The entry of a PyTorch checkpoint that held the tensors; empty when they were at the top. */
  readonly stateDict: string;
  /** Names of what else was there and is left aside. */
  readonly others: readonly string[];
  /** Of an artefact; null for other formats. */
  readonly manifest: ModelManifest | null;
}

type Content = Omit<WeightsFile, 'name' | 'digest' | 'manifest'>;

/**
 * Reads and checks a file of weights, or the folder of an artefact.
 *
 * @throws StillhouseError NOT_FOUND when it cannot be read; INVALID_ARGUMENT when it is of no known format, damaged, hostile or
 *   empty, `field` naming the tensor or file at fault; what `readArtefactFolder` throws.
 */
export async function readWeightsFile(location: string): Promise<WeightsFile> {
  const name = path.basename(path.resolve(location));
  if (await isFolder(location)) {
    const { manifest, tensors, digest } = await readArtefactFolder(location);
    const types = new Map([...tensors.keys()].map((tensor) => [tensor, 'F32' as const]));
    return { format: 'artefact', name, digest, tensors, types, metadata: {}, stateDict: '', others: [], manifest };
  }
  const bytes = await readBytes(location);
  const content = await decodeWeights(bytes, location);
  if (content.tensors.size > 0) return { ...content, name, digest: sha256(bytes), manifest: null };
  throw new StillhouseError('INVALID_ARGUMENT', `${location} holds no tensors`, { field: location });
}

async function decodeWeights(bytes: Uint8Array, where: string): Promise<Content> {
  if (isTorchZip(bytes)) return { format: 'torch-zip', metadata: {}, ...(await decodeTorchZip(bytes, where)) };
  if (isTorchLegacy(bytes)) return { format: 'torch-legacy', metadata: {}, ...decodeTorchLegacy(bytes, where) };
  if (looksLikeSafetensors(bytes)) {
    return { format: 'safetensors', stateDict: '', others: [], ...decodeSafetensors(bytes, where) };
  }
  const hint = isPickle(bytes)
    ? 'it is a Python pickle: load it in PyTorch and save the weights with torch.save(model.state_dict(), file)'
    : 'read are safetensors, .pth files of torch.save, and the folders of Stillhouse models';
  throw new StillhouseError('INVALID_ARGUMENT', `${where} is not a file of weights`, { field: where, hint });
}

/** Eight bytes of header length, then an object. */
function looksLikeSafetensors(bytes: Uint8Array): boolean {
  return bytes[8] === 0x7b;
}

function isPickle(bytes: Uint8Array): boolean {
  return bytes[0] === 0x80 && (bytes[1] ?? 0) <= 5;
}

async function isFolder(location: string): Promise<boolean> {
  try {
    return (await stat(location)).isDirectory();
  } catch (cause) {
    throw unreadable(location, cause);
  }
}

async function readBytes(location: string): Promise<Uint8Array> {
  try {
    return await readFile(location);
  } catch (cause) {
    throw unreadable(location, cause);
  }
}

function unreadable(location: string, cause: unknown): StillhouseError {
  return new StillhouseError('NOT_FOUND', `cannot read the weights: ${(cause as Error).message}`, {
    field: location,
    cause,
  });
}
