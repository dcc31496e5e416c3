/** A data set whose samples lie in files: finds the files of samples, and has them read here or by threads. */
import { setMaxListeners } from 'node:events';
import { StillhouseError } from '../base/errors.ts';
import type { BadSample, ChannelStatistics, LabelArray, ShardRange } from './dataset.ts';
import { HeldFiles } from './held-files.ts';
import { ImageReader } from './image-reader.ts';
import { type DatasetFile, type DatasetManifest, type ImageShape, type SplitName, sampleFiles } from './manifest.ts';
import type { OpenFile, Place } from './places/place.ts';
import type { ReadRequest } from './read-request.ts';
import { ReaderPool } from './reader-pool.ts';
import { type LentRecords, loadLent, type RecordDataset } from './record-dataset.ts';
import type { View } from './views.ts';

export interface StoredOptions {
  readonly manifest: DatasetManifest;
  readonly labels: LabelArray;
  readonly place: Place;
  /** That read beside the calling one; 0: the calling one reads. */
  readonly threads: number;
  /** The first of the manifest's files of samples, where they are open already; their content has been checked. */
  readonly opened?: readonly OpenFile[];
}

export class StoredDataset implements RecordDataset {
  readonly labels: LabelArray;
  readonly shards: readonly ShardRange[];
  readonly sourceIds = new Uint32Array(0);
  readonly #manifest: DatasetManifest;
  readonly #place: Place;
  readonly #files: readonly DatasetFile[];
  /** Id of the first sample of each file. */
  readonly #firstIds: Uint32Array;
  readonly #bad: ReadonlyMap<number, BadSample>;
  readonly #closing = new AbortController();
  readonly #held: HeldFiles;
  readonly #reader: ImageReader | null;
  readonly #pool: ReaderPool | null;
  /** Reads that go on. */
  readonly #reads = new Set<Promise<unknown>>();

  constructor({ manifest, labels, place, threads, opened = [] }: StoredOptions) {
    this.labels = labels;
    this.#manifest = manifest;
    this.#place = place;
    this.#files = sampleFiles(manifest);
    this.#firstIds = new Uint32Array(this.#files.length);
    let firstId = 0;
    this.shards = this.#files.map(({ records }, index) => {
      this.#firstIds[index] = firstId;
      firstId += records;
      return { firstId: firstId - records, records };
    });
    this.#bad = new Map(this.badSamples.map((sample) => [sample.id, sample]));
    const layout = manifest.formatVersion === 1 ? ({ kind: 'cifar10' } as const) : manifest.storage;
    // Everyone who waits for a file listens to it, and a batch may wait for a hundred of them.
    setMaxListeners(0, this.#closing.signal);
    this.#held = new HeldFiles(place, layout, this.#closing.signal);
    for (const [number, file] of opened.entries()) this.#held.adopt(number, this.#files[number] as DatasetFile, file);
    this.#reader = threads === 0 ? new ImageReader({ mayBlock: false }) : null;
    this.#pool = threads === 0 ? null : new ReaderPool(threads);
  }

  get name(): string {
    return this.#manifest.name;
  }

  get digest(): string {
    return this.#manifest.digest;
  }

  get classNames(): readonly string[] {
    return this.#manifest.classNames;
  }

  get image(): ImageShape {
    return this.#manifest.image;
  }

  get sampleCount(): number {
    return this.labels.length;
  }

  get badSamples(): readonly BadSample[] {
    return this.#manifest.formatVersion === 1 ? [] : this.#manifest.badSamples;
  }

  get synthetic(): string | null {
    return this.#manifest.formatVersion === 1 ? null : (this.#manifest.origin.synthetic ?? null);
  }

  get statistics(): ChannelStatistics | null {
    return this.#manifest.formatVersion === 1 ? null : (this.#manifest.statistics ?? null);
  }

  idsOf(split: SplitName): Uint32Array {
    const inSplit = this.shards.filter((_, index) => this.#files[index]?.split === split);
    const ids = new Uint32Array(inSplit.reduce((sum, { records }) => sum + records, 0));
    const { badSamples } = this;
    let [count, bad] = [0, 0];
    for (const { firstId, records } of inSplit) {
      while (bad < badSamples.length && (badSamples[bad] as BadSample).id < firstId) bad++;
      for (let id = firstId; id < firstId + records; id++) {
        if (badSamples[bad]?.id === id) bad++;
        else ids[count++] = id;
      }
    }
    return ids.subarray(0, count);
  }

  async load(ids: ArrayLike<number>, view?: View): Promise<Float32Array> {
    return await loadLent({ ids, view, image: this.image, reader: this }, (all, use) => this.lend(all, use));
  }

  async lend<T>(ids: ArrayLike<number>, use: (records: LentRecords) => Promise<T>): Promise<T> {
    this.#closing.signal.throwIfAborted();
    const reading = this.#lend(Uint32Array.from(this.#checked(ids)), use);
    this.#reads.add(reading);
    try {
      return await reading;
    } finally {
      this.#reads.delete(reading);
    }
  }

  async read(request: ReadRequest): Promise<Float32Array> {
    this.#closing.signal.throwIfAborted();
    return await (this.#reader ?? (this.#pool as ReaderPool)).read(request);
  }

  prefetch(ids: ArrayLike<number>): void {
    if (this.#closing.signal.aborted) return;
    for (const number of new Set(Array.from(ids, (id) => this.#fileOf(id)))) {
      this.#held.openAhead(number, this.#files[number] as DatasetFile);
    }
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    const reason = new StillhouseError('CANCELLED', `the data set ${this.name} has been closed`);
    this.#closing.abort(reason);
    await this.#pool?.close(reason);
    await Promise.allSettled(this.#reads);
    await this.#held.close();
  }

  async #lend<T>(ids: Uint32Array, use: (records: LentRecords) => Promise<T>): Promise<T> {
    const files = new Map<number, number>();
    const places = this.#placesOf(ids, files);
    const leases = [...files.keys()].map((number) => this.#held.acquire(number, this.#files[number] as DatasetFile));
    const opening = leases.map(({ file }) => file);
    try {
      const records = { ...places, files: await Promise.all(opening) };
      this.#closing.signal.throwIfAborted();
      return await use(records);
    } finally {
      // Each was asked for, also when one of them could not be had.
      await Promise.allSettled(opening);
      for (const lease of leases) lease.release();
    }
  }

  /** @throws StillhouseError INVALID_ARGUMENT, DATA_LOSS */
  #checked(ids: ArrayLike<number>): ArrayLike<number> {
    for (let index = 0; index < ids.length; index++) {
      const id = ids[index] as number;
      if (!Number.isInteger(id) || id < 0 || id >= this.sampleCount) {
        const range = `whose ids are 0 to ${this.sampleCount - 1}`;
        const message = `sample ${id} is not in the data set ${this.name}, ${range}`;
        throw new StillhouseError('INVALID_ARGUMENT', message, { field: 'sample_ids' });
      }
      const bad = this.#bad.get(id);
      if (bad === undefined) continue;
      const file = this.#files[this.#fileOf(id)] as DatasetFile;
      const message = `sample ${id} (${this.#place.address}/${file.path}) cannot be read: ${bad.source} ${bad.reason}`;
      throw new StillhouseError('DATA_LOSS', message, { field: 'sample_ids', hint: 'it was damaged when imported' });
    }
    return ids;
  }

  /** @param files the files that are lent, and their places in the list; is added to */
  #placesOf(ids: Uint32Array, files: Map<number, number>): Pick<LentRecords, 'fileOf' | 'recordOf'> {
    const places = { fileOf: new Uint32Array(ids.length), recordOf: new Uint32Array(ids.length) };
    for (let index = 0; index < ids.length; index++) {
      const id = ids[index] as number;
      const file = this.#fileOf(id);
      const number = files.get(file) ?? files.size;
      files.set(file, number);
      places.fileOf[index] = number;
      places.recordOf[index] = id - (this.#firstIds[file] as number);
    }
    return places;
  }

  #fileOf(id: number): number {
    let low = 0;
    let high = this.#firstIds.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.#firstIds[middle] as number) <= id) low = middle;
      else high = middle;
    }
    return low;
  }
}
