/** A stored model as it is written to a folder. */
import { invariant } from '../lib/base/errors.ts';
import { loadModel } from '../lib/checkpoint/models.ts';
import type { ObjectStore } from '../lib/checkpoint/store.ts';
import { type EncodedArtefact, encodeArtefact } from '../lib/model/artefact.ts';

/** The model as the bytes of its files. @throws what `loadModel` throws */
export async function fetchModel(objects: ObjectStore, digest: string): Promise<EncodedArtefact> {
  const { manifest, tensors } = await loadModel(objects, digest);
  const { weights: _, ...described } = manifest;
  const artefact = encodeArtefact(described, tensors);
  invariant(artefact.digest === digest, 'a model that is written again is the same');
  return artefact;
}
