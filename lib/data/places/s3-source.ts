/** Objects in S3 or a store that speaks its protocol. Credentials, region and endpoint are the SDK's own settings. */
import type { Readable } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';
import { StillhouseError } from '../../base/errors.ts';
import { withVariable } from '../../base/library-environment.ts';
import { addressText } from './address.ts';
import { type Answer, limited, type RemoteSource, type Request, SilenceLimit } from './remote-source.ts';

export interface S3Options {
  /** `endpoint/bucket/key` instead of `bucket.endpoint/key`, as most stores but Amazon's want it. */
  readonly pathStyle: boolean;
  /** Milliseconds without a byte after which a connection counts as lost. */
  readonly silenceMs: number;
}

const CONNECT_LIMIT_MS = 10_000;

/** By path style. They keep connections and credentials. */
const clients = new Map<boolean, Promise<S3Client>>();

/** The SDK takes a while to load, which only those wait for who use it. */
export function s3Client({ pathStyle, silenceMs }: S3Options): Promise<S3Client> {
  const known = clients.get(pathStyle) ?? createClient(pathStyle, silenceMs);
  clients.set(pathStyle, known);
  return known;
}

async function createClient(forcePathStyle: boolean, silenceMs: number): Promise<S3Client> {
  const { S3Client } = await import('@aws-sdk/client-s3');
  const create = () =>
    new S3Client({
      forcePathStyle,
      followRegionRedirects: true,
      // Trying again is done around it, with the bytes that have come.
      maxAttempts: 1,
      // Other stores know only the older checksums; content is compared with the manifest's SHA-256 in any case.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: { connectionTimeout: CONNECT_LIMIT_MS, requestTimeout: silenceMs },
    });
  // It warns of Node 20, which later versions of it will not run on: users have neither chosen.
  return withVariable('AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED', 'true', create);
}

/** Bucket and key prefix of an address; the prefix ends with a slash unless it is empty. */
export function bucketOf(place: URL): { bucket: string; prefix: string } {
  const prefix = place.pathname.replace(/^\/+|\/+$/g, '');
  return { bucket: place.host, prefix: prefix === '' ? '' : `${prefix}/` };
}

export class S3Source implements RemoteSource {
  readonly address: string;
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #options: S3Options;

  constructor(place: URL, options: S3Options) {
    const { bucket, prefix } = bucketOf(place);
    this.address = addressText(place);
    this.#bucket = bucket;
    this.#prefix = prefix;
    this.#options = options;
  }

  nameOf(file: string): string {
    return `${this.address}/${file}`;
  }

  async get({ file, range, version, signal }: Request): Promise<Answer> {
    const limit = new SilenceLimit(this.#options.silenceMs, signal);
    const explain = (cause: unknown) => {
      signal?.throwIfAborted();
      return s3Error(this.nameOf(file), limit.signal.aborted ? limit.signal.reason : cause);
    };
    try {
      const { GetObjectCommand } = await import('@aws-sdk/client-s3');
      const client = await s3Client(this.#options);
      const command = new GetObjectCommand({
        Bucket: this.#bucket,
        Key: `${this.#prefix}${file}`,
        ...(range === undefined ? {} : { Range: `bytes=${range.from}-${range.to - 1}` }),
        ...(version === undefined ? {} : { IfMatch: version }),
      });
      const { Body, ContentRange, ETag } = await client.send(command, { abortSignal: limit.signal });
      limit.heard();
      const from = Number(/^bytes (\d+)-/.exec(ContentRange ?? '')?.[1] ?? 0);
      const stream = Body as Readable;
      // The SDK looks at the signal only until the answer has begun.
      limit.signal.addEventListener('abort', () => stream.destroy(), { once: true });
      const body = limited(stream, limit, explain);
      return { from, isWhole: ContentRange === undefined, version: ETag, body };
    } catch (cause) {
      limit.end();
      throw explain(cause);
    }
  }
}

interface SdkError extends Error {
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** What the SDK has thrown, in our vocabulary. Its messages hold no credentials but may hold the id of a key. */
export function s3Error(name: string, cause: unknown): StillhouseError {
  if (cause instanceof StillhouseError && cause.code !== 'UNAVAILABLE') return cause;
  const error = cause as SdkError;
  const status = error.$metadata?.httpStatusCode;
  const make = (code: 'NOT_FOUND' | 'FAILED_PRECONDITION' | 'DATA_LOSS' | 'ABORTED', what: string, hint?: string) =>
    new StillhouseError(code, `${name} ${what}`, { field: name, ...(hint === undefined ? {} : { hint }), cause });
  if (error.name === 'NoSuchBucket') return make('NOT_FOUND', 'is not there (its bucket does not exist)');
  if (status === 404 || status === 410) return make('NOT_FOUND', `is not there (S3 answers ${status})`);
  if (status === 416) return make('DATA_LOSS', 'ends before the bytes that it should have');
  if (status === 412) return make('ABORTED', 'was changed while it was being fetched');
  if (status === 401 || status === 403) {
    const hint = 'check the credentials and that they may read and list the bucket';
    return make('FAILED_PRECONDITION', `may not be used (S3 answers ${status} ${error.name})`, hint);
  }
  if (error.name === 'CredentialsProviderError' || error.name === 'TokenProviderError') {
    const hint = 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the machine or pod a role';
    return make('FAILED_PRECONDITION', 'cannot be asked without credentials', hint);
  }
  if (/^Region is missing/.test(error.message)) {
    return make('FAILED_PRECONDITION', 'cannot be asked without a region', 'set AWS_REGION');
  }
  if (/CERT|SSL|TLS|EPROTO/.test(error.code ?? '')) {
    const hint = 'check its certificate; NODE_EXTRA_CA_CERTS names a file with more authorities to trust';
    return make('FAILED_PRECONDITION', `cannot be asked safely: ${error.message}`, hint);
  }
  const isRefusal = status !== undefined && status < 500 && status !== 408 && status !== 429;
  if (isRefusal) return make('FAILED_PRECONDITION', `cannot be used: S3 answers ${status} ${error.name}`);
  const what = status === undefined ? error.message : `S3 answers ${status} ${error.name}`;
  return new StillhouseError('UNAVAILABLE', `${name} cannot be reached: ${what}`, { field: name, cause });
}
