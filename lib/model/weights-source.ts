/** Where a model may start from: a file of weights, the folder of a model, or `pretrained:<name>`. */
import path from 'node:path';
import { StillhouseError } from '../base/errors.ts';
import type { ImageShape } from '../data/manifest.ts';
import type { ArchitectureSpec } from './architecture-choice.ts';
import { architectureOf, networkInput } from './manifest-network.ts';
import { type Preprocessing, pretrainedNamed } from './pretrained.ts';
import type { NamedTensors } from './safetensors.ts';
import { toZooNames } from './weight-names.ts';
import { readWeightsFile, type WeightsFile } from './weights-file.ts';

/** Weights under the zoo's names, and what is known of how they are to be used. */
export interface WeightsSource {
  readonly file: WeightsFile;
  readonly tensors: NamedTensors;
  /** Null where the file does not say; the same holds for what follows. */
  readonly architecture: ArchitectureSpec | null;
  /** The images that the model is given. */
  readonly input: ImageShape | null;
  /** The images that the network takes; differs from `input` where the model scales them. */
  readonly networkInput: ImageShape | null;
  readonly preprocessing: Preprocessing | null;
  readonly classNames: readonly string[] | null;
}

const PRETRAINED_PREFIX = 'pretrained:';

/**
 * Reads weights from where a user says.
 *
 * @param source a path, or `pretrained:<name>` for what the set-up has put into the cache.
 * @param cache the cache's folder, see `cacheRoot`.
 * @throws StillhouseError FAILED_PRECONDITION when the set-up has not brought the pre-trained weights; DATA_LOSS when they are not
 *   what it brought; NOT_FOUND for an unknown name; what `readWeightsFile` and `toZooNames` throw.
 */
export async function openWeights(source: string, cache: string): Promise<WeightsSource> {
  if (source.startsWith(PRETRAINED_PREFIX)) return await openPretrained(source.slice(PRETRAINED_PREFIX.length), cache);
  const file = await readWeightsFile(source);
  const { manifest } = file;
  return {
    file,
    tensors: toZooNames(file.tensors),
    architecture: manifest === null ? null : architectureOf(manifest),
    input: manifest?.input ?? null,
    networkInput: manifest === null ? null : networkInput(manifest),
    preprocessing: manifest?.preprocessing ?? null,
    classNames: manifest?.classNames ?? null,
  };
}

async function openPretrained(name: string, cache: string): Promise<WeightsSource> {
  const { file: place, digest, architecture, input, preprocessing, classNames } = pretrainedNamed(name);
  const file = await readFromCache(name, path.join(cache, place), digest);
  const tensors = toZooNames(file.tensors);
  return { file, tensors, architecture, input, networkInput: input, preprocessing, classNames };
}

async function readFromCache(name: string, location: string, digest: string): Promise<WeightsFile> {
  const hint = 'run `npm run setup` to fetch them';
  let file: WeightsFile;
  try {
    file = await readWeightsFile(location);
  } catch (thrown) {
    const error = StillhouseError.from(thrown);
    const code = error.code === 'NOT_FOUND' ? 'FAILED_PRECONDITION' : 'DATA_LOSS';
    const message = `the pre-trained weights ${name} are not in the cache: ${error.message}`;
    throw new StillhouseError(code, message, { field: location, hint, cause: error });
  }
  if (file.digest === digest) return file;
  throw new StillhouseError('DATA_LOSS', `${location} is damaged: its digest is ${file.digest}, expected ${digest}`, {
    field: location,
    hint,
  });
}
