/** Fills shards with records until each is large enough, and writes them. */
import { createHash } from 'node:crypto';
import type { DatasetFile, SplitName } from './manifest.ts';
import type { SampleStorage } from './sample-source.ts';
import { encodeShardHeader, MAX_SHARD_RECORDS, rawRecordBytes, SHARD_BYTES } from './shard-file.ts';
import type { StagedFolder } from './staged-folder.ts';

/** Digits of a shard's number in its name. */
const DIGITS = 5;

export class ShardWriter {
  readonly shards: DatasetFile[] = [];
  readonly #folder: StagedFolder;
  readonly #storage: SampleStorage;
  #records: Uint8Array[] = [];
  #bytes = 0;
  #split: SplitName = 'train';

  constructor(folder: StagedFolder, storage: SampleStorage) {
    this.#folder = folder;
    this.#storage = storage;
  }

  /**
   * The next sample; those of one split come one after the other.
   * @param record null for a damaged one, which keeps its place
   * @throws what `StagedFolder.write` throws
   */
  async add(split: SplitName, record: Uint8Array | null): Promise<void> {
    const bytes = record ?? new Uint8Array(this.#storage.kind === 'raw' ? rawRecordBytes(this.#storage) : 0);
    const isFull = this.#records.length >= MAX_SHARD_RECORDS || this.#bytes + bytes.length > SHARD_BYTES;
    if (split !== this.#split || isFull) await this.flush();
    this.#split = split;
    this.#records.push(bytes);
    this.#bytes += bytes.length;
  }

  /** Writes what has been added so far. @throws as `add` does */
  async flush(): Promise<void> {
    const records = this.#records;
    if (records.length === 0) return;
    const parts =
      this.#storage.kind === 'raw' ? records : [encodeShardHeader(records.map(({ length }) => length)), ...records];
    const content = Buffer.concat(parts);
    const number = this.shards.filter(({ split }) => split === this.#split).length;
    const path = `${this.#split}-${String(number).padStart(DIGITS, '0')}.shard`;
    await this.#folder.write(path, content);
    const sha256 = createHash('sha256').update(content).digest('hex');
    this.shards.push({ path, split: this.#split, records: records.length, bytes: content.length, sha256 });
    this.#records = [];
    this.#bytes = 0;
  }
}
