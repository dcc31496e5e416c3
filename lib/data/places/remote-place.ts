/** A data set behind a server, file by file as they are asked for; what was fetched lies in the shard cache. */
import { StillhouseError } from '../../base/errors.ts';
import { retryUnavailable } from '../../base/retry.ts';
import { download } from './download.ts';
import type { FileContent, OpenFile, Place } from './place.ts';
import type { RemoteSource } from './remote-source.ts';
import type { ShardCache } from './shard-cache.ts';

/** For a manifest, which people wait for. */
const PATIENCE = { patienceMs: 10_000, retryMs: 250, maxRetryMs: 2_000 } as const;

/** Of the cache: what is open without being read is neither new nor can it make room. */
const IDLE_SHARE = 0.5;

export class RemotePlace implements Place {
  readonly address: string;
  readonly #source: RemoteSource;
  readonly #cache: ShardCache;

  constructor(source: RemoteSource, cache: ShardCache) {
    this.address = source.address;
    this.#source = source;
    this.#cache = cache;
  }

  async readFile(file: string, maxBytes: number, signal = new AbortController().signal): Promise<Uint8Array> {
    try {
      return await retryUnavailable(() => this.#readNow(file, maxBytes, signal), { ...PATIENCE, signal });
    } catch (cause) {
      if (!(cause instanceof StillhouseError) || !['NOT_FOUND', 'FAILED_PRECONDITION'].includes(cause.code))
        throw cause;
      throw new StillhouseError(
        'FAILED_PRECONDITION',
        `the data set ${this.address} is not at hand: ${cause.message}`,
        { field: 'data.dataset', hint: cause.hint ?? 'check the address: manifest.json lies directly below it', cause },
      );
    }
  }

  async openFile(file: string, content: FileContent, signal?: AbortSignal): Promise<OpenFile> {
    const fill = (partial: string, stop: AbortSignal) => download(this.#source, file, content, partial, stop);
    const cached = await this.#cache.open(content, fill, signal);
    return { ...cached, location: this.#source.nameOf(file) };
  }

  get idleBytes(): number {
    return this.#cache.limitBytes * IDLE_SHARE;
  }

  async #readNow(file: string, maxBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    const { body } = await this.#source.get({ file, signal });
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of body) {
      bytes += chunk.length;
      if (bytes > maxBytes) {
        const name = this.#source.nameOf(file);
        throw new StillhouseError('DATA_LOSS', `${name} is longer than ${maxBytes} bytes`, { field: name });
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }
}
