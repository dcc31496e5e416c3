/** Writing below a prefix of a bucket in S3, so that every object is known to have arrived as it was sent. */
import { createHash } from 'node:crypto';
import type { S3Client } from '@aws-sdk/client-s3';
import { unlessAborted } from '../../base/clock.ts';
import { StillhouseError } from '../../base/errors.ts';
import { retryUnavailable } from '../../base/retry.ts';
import { addressText } from './address.ts';
import type { FileContent, OpenFile } from './place.ts';
import { bucketOf, s3Client, s3Error } from './s3-source.ts';

/** A file to be uploaded, by its name below the prefix. */
export interface PushedFile extends FileContent {
  readonly path: string;
}

export interface BucketOptions {
  readonly pathStyle: boolean;
  readonly signal: AbortSignal;
}

/** Of an upload in parts; S3 takes up to 10,000 of them. */
const PART_BYTES = 32 << 20;
const MAX_PARTS = 10_000;
const PATIENCE = { patienceMs: 60_000, retryMs: 250, maxRetryMs: 8_000 } as const;
const SILENCE_MS = 60_000;

export class Bucket {
  readonly #client: S3Client;
  readonly #sdk: typeof import('@aws-sdk/client-s3');
  readonly #url: URL;
  readonly #signal: AbortSignal;

  private constructor(client: S3Client, sdk: typeof import('@aws-sdk/client-s3'), url: URL, signal: AbortSignal) {
    this.#client = client;
    this.#sdk = sdk;
    this.#url = url;
    this.#signal = signal;
  }

  static async open(url: URL, { pathStyle, signal }: BucketOptions): Promise<Bucket> {
    const client = await s3Client({ pathStyle, silenceMs: SILENCE_MS });
    return new Bucket(client, await import('@aws-sdk/client-s3'), url, signal);
  }

  /** A small object; undefined when it is not there. @throws StillhouseError NOT_FOUND when the bucket is not */
  async text(name: string): Promise<string | undefined> {
    const command = new this.#sdk.GetObjectCommand(this.#key(name));
    try {
      return await this.#retry(name, async (abortSignal) => {
        const { Body } = await this.#client.send(command, { abortSignal });
        return await Body?.transformToString();
      });
    } catch (error) {
      if (error instanceof StillhouseError && error.code === 'NOT_FOUND' && !isBucketMissing(error)) return undefined;
      throw error;
    }
  }

  /** Whether it is there with the same size, and was uploaded as the same content. */
  async has({ path: name, bytes, sha256 }: PushedFile): Promise<boolean> {
    try {
      const { ContentLength, Metadata } = await this.#retry(name, (abortSignal) =>
        this.#client.send(new this.#sdk.HeadObjectCommand(this.#key(name)), { abortSignal }),
      );
      return ContentLength === bytes && Metadata?.sha256 === sha256;
    } catch (error) {
      if (error instanceof StillhouseError && error.code === 'NOT_FOUND') return false;
      throw error;
    }
  }

  /** From a file that has been opened with a check of its content. @throws StillhouseError DATA_LOSS when it is not there as it was sent */
  async upload(file: PushedFile, from: OpenFile): Promise<void> {
    const metadata = { sha256: file.sha256 };
    if (file.bytes <= PART_BYTES) await this.put(file.path, await readPart(from, 0, file.bytes), metadata);
    else await this.#putInParts(file, from, metadata);
    if (await this.has(file)) return;
    const name = this.#nameOf(file.path);
    throw new StillhouseError('DATA_LOSS', `${name} is not there as it was sent`, { field: name, hint: 'push again' });
  }

  async put(name: string, body: Uint8Array, metadata: Record<string, string>): Promise<void> {
    const input = { ...this.#key(name), Body: body, ContentMD5: md5(body), Metadata: metadata };
    await this.#retry(name, (abortSignal) => this.#client.send(new this.#sdk.PutObjectCommand(input), { abortSignal }));
  }

  async #putInParts(file: PushedFile, from: OpenFile, metadata: Record<string, string>): Promise<void> {
    const sdk = this.#sdk;
    const key = this.#key(file.path);
    const { UploadId } = await this.#retry(file.path, (abortSignal) =>
      this.#client.send(new sdk.CreateMultipartUploadCommand({ ...key, Metadata: metadata }), {
        abortSignal,
      }),
    );
    try {
      const partBytes = Math.max(PART_BYTES, Math.ceil(file.bytes / MAX_PARTS));
      const parts: { PartNumber: number; ETag: string | undefined }[] = [];
      for (let at = 0; at < file.bytes; at += partBytes) {
        const body = await readPart(from, at, Math.min(partBytes, file.bytes - at));
        const input = { ...key, UploadId, PartNumber: parts.length + 1, Body: body, ContentMD5: md5(body) };
        const { ETag } = await this.#retry(file.path, (abortSignal) =>
          this.#client.send(new sdk.UploadPartCommand(input), { abortSignal }),
        );
        parts.push({ PartNumber: input.PartNumber, ETag });
      }
      const input = { ...key, UploadId, MultipartUpload: { Parts: parts } };
      await this.#retry(file.path, (abortSignal) =>
        this.#client.send(new sdk.CompleteMultipartUploadCommand(input), { abortSignal }),
      );
    } catch (error) {
      // Parts of what was never completed cost their owner money. What went wrong before is what counts.
      const command = new sdk.AbortMultipartUploadCommand({ ...key, UploadId });
      await this.#client.send(command).catch(() => undefined);
      throw error;
    }
  }

  async #retry<T>(name: string, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return await retryUnavailable(() => this.#attempt(name, call), { ...PATIENCE, signal: this.#signal });
  }

  /** The SDK listens several times to the signal of each request: every one has its own, so that the caller's stays quiet. */
  async #attempt<T>(name: string, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#signal.throwIfAborted();
    const request = new AbortController();
    const stop = () => request.abort(this.#signal.reason);
    this.#signal.addEventListener('abort', stop, { once: true });
    try {
      return await unlessAborted(call(request.signal), request.signal);
    } catch (cause) {
      this.#signal.throwIfAborted();
      throw s3Error(this.#nameOf(name), cause);
    } finally {
      this.#signal.removeEventListener('abort', stop);
    }
  }

  #key(name: string): { Bucket: string; Key: string } {
    const { bucket, prefix } = bucketOf(this.#url);
    return { Bucket: bucket, Key: `${prefix}${name}` };
  }

  #nameOf(name: string): string {
    return `${addressText(this.#url)}/${name}`;
  }
}

function isBucketMissing({ cause }: StillhouseError): boolean {
  return (cause as Error | undefined)?.name === 'NoSuchBucket';
}

function md5(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('base64');
}

async function readPart({ handle, location }: OpenFile, from: number, bytes: number): Promise<Uint8Array> {
  const part = new Uint8Array(bytes);
  for (let done = 0; done < bytes; ) {
    const { bytesRead } = await handle.read(part, done, bytes - done, from + done);
    if (bytesRead === 0) {
      throw new StillhouseError('DATA_LOSS', `${location} ends at offset ${from + done} by now`, { field: location });
    }
    done += bytesRead;
  }
  return part;
}
