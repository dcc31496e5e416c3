/** Data sets as commands name them: by name, folder or address, or as a job makes one. */
import { dataRoot } from '../../lib/base/folders.ts';
import { Settings } from '../../lib/base/settings.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import type { DatasetManifest } from '../../lib/data/manifest.ts';
import { datasetFolder, type OpenOptions, openDataset, readDatasetManifest } from '../../lib/data/open-dataset.ts';
import { isAddress, openPlace, type Place } from '../../lib/data/places/place.ts';
import { placeOptionsOf } from '../../lib/data/places/place-settings.ts';
import { Datasets } from '../../lib/wire/datasets.ts';
import { openJobData } from '../../lib/wire/job-data.ts';
import type { JobSpec } from '../../lib/wire/job-spec.ts';
import type { CliContext } from '../context.ts';
import { readJob } from '../job-input.ts';

/** Only looked at, not trained on: files are taken as they are, unless they have to be fetched. */
function openOptions({ environment }: CliContext): OpenOptions {
  return { ...placeOptionsOf(new Settings(environment)), verifyContent: false };
}

export interface OpenedDataset {
  readonly manifest: DatasetManifest;
  /** The folder, or the address. */
  readonly address: string;
  readonly dataset: Dataset;
}

/** The folder of a data set, or its address. @throws INVALID_ARGUMENT for what is neither a name nor a path */
export function datasetAddress(name: string, { environment }: CliContext): string {
  return isAddress(name) ? name : datasetFolder(dataRoot(environment), name);
}

/** @throws what `readDatasetManifest` throws */
export function manifestOf(name: string, context: CliContext): Promise<DatasetManifest> {
  return readDatasetManifest(dataRoot(context.environment), name, openOptions(context));
}

/** Where its files are compared with their digests. @throws INVALID_ARGUMENT for what is no name, path or address */
export function verifyingPlace(name: string, context: CliContext): Place {
  return openPlace(datasetAddress(name, context), { ...openOptions(context), verifyContent: true });
}

/**
 * Runs `body` with an opened data set, which is closed afterwards.
 * @param threads that decode
 * @throws what `openDataset` throws
 */
export async function withDataset<T>(
  name: string,
  context: CliContext,
  body: (opened: OpenedDataset) => Promise<T>,
  threads = 0,
): Promise<T> {
  const manifest = await manifestOf(name, context);
  const address = datasetAddress(name, context);
  const dataset = await openDataset(dataRoot(context.environment), name, { ...openOptions(context), threads });
  try {
    return await body({ manifest, address, dataset });
  } finally {
    await dataset.close();
  }
}

/** Runs `body` with a job and its data set. @throws what `readJob` and `openJobData` throw */
export async function withJobDataset<T>(
  { job, set }: { readonly job: string; readonly set: readonly string[] },
  context: CliContext,
  body: (spec: JobSpec, dataset: Dataset) => Promise<T>,
): Promise<T> {
  const { spec } = await readJob(job, { set, quick: false });
  const root = dataRoot(context.environment);
  const datasets = new Datasets({ ...openOptions(context), root, allowPaths: true, mayAsk: () => true });
  try {
    return await body(spec, await openJobData(datasets, spec.data));
  } finally {
    await datasets.close();
  }
}
