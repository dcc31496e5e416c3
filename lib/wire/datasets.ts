/** The data sets of a service: opened once, opened anew when they have changed, and only where it is allowed to look. */
import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { StillhouseError } from '../base/errors.ts';
import { dataRoot } from '../base/folders.ts';
import type { Settings } from '../base/settings.ts';
import { datasetFolder, type OpenOptions, openDataset, readDatasetManifest } from '../data/open-dataset.ts';
import { type AddressRule, addressRule, addressText, isAddress, parseAddress } from '../data/places/address.ts';
import { placeOptionsOf } from '../data/places/place-settings.ts';
import type { RecordDataset } from '../data/record-dataset.ts';

export interface DatasetsOptions extends OpenOptions {
  /** The folder of data sets. */
  readonly root: string;
  /** What jobs may name by address; redirects may lead there too. */
  readonly mayAsk: AddressRule;
  /** Jobs may name folders outside the root: for a cluster whose users may read the same files as its services. */
  readonly allowPaths: boolean;
}

const ALLOW_PATHS = 'STILLHOUSE_ALLOW_DATASET_PATHS';
const ALLOW_URLS = 'STILLHOUSE_ALLOW_DATASET_URLS';

/** Whether jobs may name files outside the service's own folders. */
export function allowsPaths(settings: Settings): boolean {
  return settings.flag(ALLOW_PATHS);
}

/** @throws INVALID_ARGUMENT for a prefix that is no address */
function allowedUrls(settings: Settings): AddressRule {
  try {
    return addressRule(settings.text(ALLOW_URLS, ''));
  } catch (cause) {
    const message = `the environment variable ${ALLOW_URLS}: ${StillhouseError.from(cause).message}`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { field: ALLOW_URLS, cause });
  }
}

export class Datasets {
  readonly #options: DatasetsOptions;
  /** By folder or address. */
  readonly #open = new Map<string, RecordDataset>();
  /** For each of them one after the other, so that none is opened twice; a server that is slow holds up its own only. */
  readonly #last = new Map<string, Promise<unknown>>();

  constructor(options: DatasetsOptions) {
    this.#options = options;
  }

  static of(settings: Settings, options: OpenOptions = {}): Datasets {
    return new Datasets({
      ...options,
      root: dataRoot(settings.environment),
      allowPaths: allowsPaths(settings),
      ...placeOptionsOf(settings),
      mayAsk: allowedUrls(settings),
    });
  }

  /**
   * The data set that a job names. It stays open, for the next job too, until it is closed here; when its manifest has
   * changed by the next call, it is closed and opened anew.
   *
   * @param nameOrPath a folder in the root by name, a path, relative to the root, or an address.
   * @throws INVALID_ARGUMENT for a path that leaves the root or an address, unless that is allowed; what `openDataset` throws
   */
  async open(nameOrPath: string): Promise<RecordDataset> {
    const place = await this.#resolve(nameOrPath);
    const key = isAddress(place) ? place : datasetFolder(this.#options.root, place);
    const opening = (this.#last.get(key) ?? Promise.resolve()).then(() => this.#openNow(place, key));
    const ended = opening.then(
      () => undefined,
      () => undefined,
    );
    this.#last.set(key, ended);
    try {
      return await opening;
    } finally {
      if (this.#last.get(key) === ended) this.#last.delete(key);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#last.values());
    for (const dataset of this.#open.values()) await dataset.close();
    this.#open.clear();
  }

  async #openNow(place: string, key: string): Promise<RecordDataset> {
    const { root } = this.#options;
    const known = this.#open.get(key);
    if (known !== undefined) {
      const { digest } = await readDatasetManifest(root, place, this.#options);
      if (digest === known.digest) return known;
      this.#open.delete(key);
      await known.close();
    }
    const dataset = await openDataset(root, place, this.#options);
    this.#open.set(key, dataset);
    return dataset;
  }

  /** A name as it is, a path in absolute form, an address in its one form. */
  async #resolve(nameOrPath: string): Promise<string> {
    if (isAddress(nameOrPath)) return this.#allowed(nameOrPath);
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

  #allowed(address: string): string {
    const url = parseAddress(address);
    if (this.#options.mayAsk(url)) return addressText(url);
    const message = `data.dataset: "${addressText(url)}" is not among the addresses that this service may ask`;
    throw new StillhouseError('INVALID_ARGUMENT', message, {
      field: 'data.dataset',
      hint: `name one that is, or add it to ${ALLOW_URLS} for the coordinator and the workers`,
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
