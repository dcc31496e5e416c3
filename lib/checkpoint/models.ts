/** Models in an object store: two objects each, found again by the digest of the manifest. */
import { invariant } from '../base/errors.ts';
import {
  type DecodedArtefact,
  decodeArtefact,
  type EncodedArtefact,
  type ModelManifest,
  parseModelManifest,
} from '../model/artefact.ts';
import type { ObjectStore } from './store.ts';

/** Stores a model and answers its digest. The weights go first: whoever finds the manifest finds them too. */
export async function storeModel(store: ObjectStore, artefact: EncodedArtefact): Promise<string> {
  const weightsDigest = await store.put(artefact.weightsBytes);
  invariant(weightsDigest === artefact.manifest.weights.digest, 'the manifest names its weights');
  const digest = await store.put(artefact.manifestBytes);
  invariant(digest === artefact.digest, 'the digest of the manifest names the model');
  return digest;
}

/**
 * Loads and checks a model by its digest.
 *
 * @throws StillhouseError NOT_FOUND when the store lacks one of its objects; what `decodeArtefact` throws.
 */
export async function loadModel(store: ObjectStore, digest: string): Promise<DecodedArtefact> {
  const manifestBytes = await store.get(digest);
  const { weights } = parseModelManifest(manifestBytes, `model ${digest}`);
  return decodeArtefact(manifestBytes, await store.get(weights.digest), digest);
}

/**
 * Loads what a model says of itself, without its weights.
 *
 * @throws StillhouseError NOT_FOUND when the store lacks it; what `parseModelManifest` throws.
 */
export async function loadManifest(store: ObjectStore, digest: string): Promise<ModelManifest> {
  return parseModelManifest(await store.get(digest), `model ${digest}`);
}
