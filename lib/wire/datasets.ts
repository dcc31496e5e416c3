/** The data sets of a service: opened once, opened anew when they have changed, and only where it is allowed to look. */
import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { StillhouseError } from '../base/errors.ts';
import { dataRoot } from '../base/folders.ts';
import type { Settings } from '../base/settings.ts';
import { type Dataset, datasetFolder, type OpenOptions, openDataset, readDatasetManifest } from '../data/dataset.ts';

export interface DatasetsOptions extends OpenOptions {
  /** The folder of data sets. */
  readonly root: string;
  /** Jobs may name folders outside the root: for a cluster whose users may read the same files as its services. */
  readonly allowPaths: boolean;
}

const ALLOW_PATHS = 'STILLHOUSE_ALLOW_DATASET_PATHS';

/** Whether jobs may name files outside the service's own folders. */
export function allowsPaths(settings: Settings): boolean {
  return settings.flag(ALLOW_PATHS);
}

export class Datasets {
  readonly #options: DatasetsOptions;
  /** By folder. */
  readonly #open = new Map<string, Dataset>();
  /** One after the other, so that no data set is opened twice. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: DatasetsOptions) {
    this.#options = options;
  }

  static of(settings: Settings, options: OpenOptions = {}): Datasets {
    return new Datasets({
      ...options,
      root: dataRoot(settings.environment),
      allowPaths: allowsPaths(settings),
    });
  }

  /**
   * The data set that a job names. It stays open, for the next job too, until it is closed here; when its manifest has
   * changed by the next call, it is closed and opened anew.
   *
   * @param nameOrPath a folder in the root by name, or a path, relative to the root.
   * @throws INVALID_ARGUMENT for a path that leaves the root, unless that is allowed; what `openDataset` throws
   */
  open(nameOrPath: string): Promise<Dataset> {
    const opening = this.#last.then(() => this.#openNow(nameOrPath));
    this.#last = opening.catch(() => undefined);
    return opening;
  }

  async close(): Promise<void> {
    await this.#last;
    for (const dataset of this.#open.values()) await dataset.close();
    this.#open.clear();
  }

  async #openNow(nameOrPath: string): Promise<Dataset> {
    const { root } = this.#options;
    const place = await this.#resolve(nameOrPath);
    const folder = datasetFolder(root, place);
    const known = this.#open.get(folder);
    if (known !== undefined) {
      const { digest } = await readDatasetManifest(root, place);
      if (digest === known.digest) return known;
      this.#open.delete(folder);
      await known.close();
    }
    const dataset = await openDataset(root, place, this.#options);
    this.#open.set(folder, dataset);
    return dataset;
  }

  /** A name as it is, and a path in absolute form. */
  async #resolve(nameOrPath: string): Promise<string> {
    // What lies in the root by name, a link for instance, was put there by whoever runs the service.
    if (!nameOrPath.includes('/') && !nameOrPath.includes(path.sep)) return nameOrPath;
    const { root, allowPaths } = this.#options;
    const folder = path.resolve(root, nameOrPath);
    if (allowPaths) return folder;
    const [realRoot, realFolder] = await Promise.all([realPath(root), realPath(folder)]);
    if (isBelow(realRoot, realFolder)) return folder;
    throw new StillhouseError('INVALID_ARGUMENT', `data.dataset: "${nameOrPath}" is outside the folder of data sets`, {
      field: 'data.dataset',
      hint: `name a data set that every service has there, or set ${ALLOW_PATHS}=1 for the coordinator and the workers`,
    });
  }
}

/** With all links followed; as it is when it is not there, or cannot be looked at. */
async function realPath(location: string): Promise<string> {
  return await realpath(location).catch(() => location);
}

function isBelow(root: string, folder: string): boolean {
  const way = path.relative(root, folder);
  return way !== '' && way !== '..' && !way.startsWith(`..${path.sep}`) && !path.isAbsolute(way);
}
