/** Opens a data set, wherever it lies: labels in memory, images read by sample id when they are asked for. */
import path from 'node:path';
import { StillhouseError } from '../base/errors.ts';
import { decodeUtf8 } from './json-document.ts';
import { readLabels, scanLabels } from './label-files.ts';
import { type DatasetManifest, type OfficialManifest, parseManifest } from './manifest.ts';
import { isAddress, type OpenFile, openPlace, type Place, type PlaceOptions } from './places/place.ts';
import type { RecordDataset } from './record-dataset.ts';
import { StoredDataset } from './stored-dataset.ts';

export interface OpenOptions extends PlaceOptions {
  /**
   * Threads that read, decode and augment beside the calling one; they start with the first `load`. 0, the default: the calling
   * thread does it, which is for programs that have nothing else to do meanwhile.
   */
  readonly threads?: number;
}

/** Of a manifest: those of tens of millions of samples take a few MB. */
const MAX_MANIFEST_BYTES = 64 * 2 ** 20;

/**
 * Opens a data set: reads its manifest and its labels. Shards are looked at when samples of them are asked for; official files,
 * which have their labels among the pixels, are read once from beginning to end.
 *
 * @param dataRoot the folder of data sets.
 * @param nameOrPath a folder in it by name; when it has a path separator, any folder with a `manifest.json`; or the address of one.
 * @throws StillhouseError FAILED_PRECONDITION when it is not there; DATA_LOSS when a file is missing, has the wrong size or
 *   content, or holds a label out of range (the message names file and offset); UNAVAILABLE when its place does not answer; what
 *   `parseManifest` throws.
 */
export async function openDataset(
  dataRoot: string,
  nameOrPath: string,
  options: OpenOptions = {},
): Promise<RecordDataset> {
  const place = placeOf(dataRoot, nameOrPath, options);
  const manifest = await manifestAt(place, nameOrPath);
  const threads = options.threads ?? 0;
  if (manifest.formatVersion !== 1) {
    return new StoredDataset({ manifest, labels: await readLabels(manifest, place), place, threads });
  }
  // While they are read from beginning to end, local files are compared with their digests.
  const unchecked = openPlace(place.address, { ...options, verifyContent: false });
  const verifyContent = !isAddress(nameOrPath) && (options.verifyContent ?? true);
  const opened = await openAll(manifest, unchecked);
  try {
    const labels = await scanLabels(manifest, opened, verifyContent);
    return new StoredDataset({ manifest, labels, place, threads, opened });
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
}

/** The folder of a data set, whether it is there or not. Arguments and INVALID_ARGUMENT as for `openDataset`. */
export function datasetFolder(dataRoot: string, nameOrPath: string): string {
  if (nameOrPath.includes('/') || nameOrPath.includes(path.sep)) return path.resolve(nameOrPath);
  if (/^[A-Za-z0-9][\w.-]*$/.test(nameOrPath)) return path.join(dataRoot, nameOrPath);
  throw new StillhouseError('INVALID_ARGUMENT', `"${nameOrPath}" is neither the name of a data set nor a path`, {
    field: 'data.dataset',
  });
}

/** The manifest alone: cheap, to see whether a data set is another one by now. Arguments and errors as for `openDataset`. */
export async function readDatasetManifest(
  dataRoot: string,
  nameOrPath: string,
  options: PlaceOptions = {},
): Promise<DatasetManifest> {
  return await manifestAt(placeOf(dataRoot, nameOrPath, options), nameOrPath);
}

function placeOf(dataRoot: string, nameOrPath: string, options: PlaceOptions): Place {
  return openPlace(isAddress(nameOrPath) ? nameOrPath : datasetFolder(dataRoot, nameOrPath), options);
}

async function manifestAt(place: Place, nameOrPath: string): Promise<DatasetManifest> {
  const where = isAddress(nameOrPath) ? `${place.address}/manifest.json` : path.join(place.address, 'manifest.json');
  return parseManifest(decodeUtf8(await place.readFile('manifest.json', MAX_MANIFEST_BYTES), where), where);
}

async function openAll(manifest: OfficialManifest, place: Place): Promise<OpenFile[]> {
  const opened: OpenFile[] = [];
  try {
    for (const file of manifest.files) opened.push(await place.openFile(file.path, file));
    return opened;
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
}

async function closeAll(opened: readonly OpenFile[]): Promise<void> {
  for (const file of opened) await file.close();
}
