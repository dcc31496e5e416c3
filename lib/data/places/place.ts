/** Where a data set lies: a local folder, a folder behind HTTP(S), or a prefix in S3. The data set never knows which. */
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { StillhouseError } from '../../base/errors.ts';
import { type AddressRule, isAddress, parseAddress } from './address.ts';
import { HttpSource } from './http-source.ts';
import { LocalPlace } from './local-place.ts';
import { RemotePlace } from './remote-place.ts';
import type { RemoteSource } from './remote-source.ts';
import { S3Source } from './s3-source.ts';
import { openShardCache, type ShardCacheOptions } from './shard-cache.ts';

export { isAddress } from './address.ts';

/** What a manifest says of a file. */
export interface FileContent {
  readonly bytes: number;
  /** SHA-256 of the content, 64 hex digits. */
  readonly sha256: string;
}

/** A file that stays readable, whatever becomes of its name, until it is closed. */
export interface OpenFile {
  /** To be read by position. Its number, `fd`, serves all threads of this process. */
  readonly handle: FileHandle;
  /** For people and for errors: the file's path, or its URL. */
  readonly location: string;
  /** Once. Nobody may be reading from it. */
  close(): Promise<void>;
}

export interface Place {
  /** For people and for errors: a folder's absolute path, or the URL without a trailing slash. */
  readonly address: string;
  /**
   * A small file that no digest is known of: the manifest.
   *
   * @param file relative to the place, `/` between its parts
   * @throws StillhouseError FAILED_PRECONDITION when it is not there or may not be read; DATA_LOSS when it is longer than
   *   `maxBytes`; UNAVAILABLE when the place does not answer
   */
  readFile(file: string, maxBytes: number, signal?: AbortSignal): Promise<Uint8Array>;
  /**
   * Opens a file; one of another place is fetched into the shard cache first. The size and SHA-256 of just what has been opened
   * were checked, once in a process: what takes the place of its name meanwhile is another file.
   *
   * @throws StillhouseError DATA_LOSS, naming the file and what was expected, when it is missing, too short, too long or
   *   damaged; UNAVAILABLE when the place does not answer; RESOURCE_EXHAUSTED when the disk of the shard cache is full, or this
   *   process may not open so many files
   */
  openFile(file: string, content: FileContent, signal?: AbortSignal): Promise<OpenFile>;
  /** Bytes of files that may stay open while nobody reads from them: what is open cannot make room in the shard cache. */
  readonly idleBytes: number;
}

export interface PlaceOptions {
  /** Compare files of local folders with their SHA-256, not only their size. Default true; others always are. */
  readonly verifyContent?: boolean;
  /** Where files of other places are kept. Needed for these only. */
  readonly shardCache?: ShardCacheOptions | undefined;
  /** Address buckets of S3 by path, as most stores but Amazon's want it. Default false. */
  readonly s3PathStyle?: boolean;
  /** What may be asked, redirects too. Default: everything, for who asks for nobody else. */
  readonly mayAsk?: AddressRule;
}

/** After which time without a byte a connection counts as lost. */
const SILENCE_MS = 30_000;

/**
 * @param address a folder's path, or an address; nothing is looked at before the first file is asked for
 * @throws StillhouseError INVALID_ARGUMENT for an address of another kind, or with a user, query or fragment in it;
 *   for any address without a shard cache
 */
export function openPlace(address: string, options: PlaceOptions = {}): Place {
  if (!isAddress(address)) return new LocalPlace(path.resolve(address), options.verifyContent ?? true);
  const url = parseAddress(address);
  if (options.shardCache === undefined) {
    const message = `${address} is an address, and here only data sets on this machine can be used`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { field: 'data.dataset' });
  }
  return new RemotePlace(openSource(url, options), openShardCache(options.shardCache));
}

function openSource(url: URL, { s3PathStyle = false, mayAsk = () => true }: PlaceOptions): RemoteSource {
  if (url.protocol === 's3:') return new S3Source(url, { pathStyle: s3PathStyle, silenceMs: SILENCE_MS });
  return new HttpSource(url, { mayAsk, silenceMs: SILENCE_MS });
}
