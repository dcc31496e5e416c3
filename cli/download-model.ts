/** A model of a running cluster as a folder. */
import { writeArtefactFolder } from '../lib/model/artefact.ts';
import { withObjects } from './cluster-objects.ts';
import { fetchModel } from './fetch-model.ts';

/**
 * Writes the model to a new folder, which appears complete or not at all.
 *
 * @param nats the address of the server that has the model
 * @throws UNAVAILABLE when the server cannot be reached, NOT_FOUND when it does not have the model, ALREADY_EXISTS when
 *   something else than this model is in the folder's place.
 */
export async function downloadModel(nats: string, digest: string, folder: string, signal: AbortSignal): Promise<void> {
  await withObjects(nats, signal, async (objects) => writeArtefactFolder(folder, await fetchModel(objects, digest)));
}
