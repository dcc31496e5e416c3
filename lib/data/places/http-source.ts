/** Files behind HTTP(S): range requests, redirects within what is allowed, errors that say what to do. */
import { StillhouseError } from '../../base/errors.ts';
import { type AddressRule, addressOf, addressText } from './address.ts';
import { type Answer, limited, type RemoteSource, type Request, SilenceLimit } from './remote-source.ts';

export interface HttpOptions {
  /** Whether a redirect may be followed to there. */
  readonly mayAsk: AddressRule;
  /** Milliseconds without a byte after which a connection counts as lost. */
  readonly silenceMs: number;
}

const MAX_REDIRECTS = 5;
const REDIRECTS = [301, 302, 303, 307, 308];

/** Answers that another try may mend: timeout, too many requests, and the server's own errors but 501. */
const TRANSIENT = [408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524];

export class HttpSource implements RemoteSource {
  readonly address: string;
  readonly #place: URL;
  readonly #options: HttpOptions;

  constructor(place: URL, options: HttpOptions) {
    this.#place = place;
    this.address = addressText(place);
    this.#options = options;
  }

  nameOf(file: string): string {
    return addressOf(this.#place, file).href;
  }

  async get(request: Request): Promise<Answer> {
    const limit = new SilenceLimit(this.#options.silenceMs, request.signal);
    try {
      const response = await this.#follow(request, limit);
      const from = rangeStart(response, request, this.nameOf(request.file));
      const body = response.body ?? emptyBody();
      const explain = (cause: unknown) => connectionError(this.nameOf(request.file), cause, request.signal);
      const version = response.headers.get('etag') ?? undefined;
      return { from, isWhole: response.status !== 206, version, body: limited(body, limit, explain) };
    } catch (error) {
      limit.end();
      throw error;
    }
  }

  async #follow(request: Request, limit: SilenceLimit): Promise<Response> {
    const first = addressOf(this.#place, request.file);
    const headers = headersOf(request);
    let url = first;
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const response = await ask(url, headers, limit, request.signal);
      if (!REDIRECTS.includes(response.status)) {
        if (response.ok) return response;
        await response.body?.cancel();
        throw statusError(url.href, response, headers);
      }
      await response.body?.cancel();
      url = this.#redirected(url, response.headers.get('location'));
    }
    throw refused(first.href, `redirects more than ${MAX_REDIRECTS} times`);
  }

  #redirected(from: URL, location: string | null): URL {
    if (location === null || !URL.canParse(location, from.href)) throw refused(from.href, 'redirects to nowhere');
    const to = new URL(location, from);
    const isWeb = to.protocol === 'https:' || (to.protocol === 'http:' && from.protocol === 'http:');
    if (isWeb && this.#options.mayAsk(to)) return to;
    const hint = 'let STILLHOUSE_ALLOW_DATASET_URLS allow it, or name the address that it redirects to';
    throw refused(from.href, `redirects to ${to.origin}${to.pathname}, which is not allowed`, hint);
  }
}

async function ask(
  url: URL,
  headers: Record<string, string>,
  limit: SilenceLimit,
  signal?: AbortSignal,
): Promise<Response> {
  try {
    const response = await fetch(url, { headers, redirect: 'manual', signal: limit.signal });
    limit.heard();
    return response;
  } catch (cause) {
    throw connectionError(url.href, limit.signal.aborted ? limit.signal.reason : cause, signal);
  }
}

function headersOf({ range, version }: Request): Record<string, string> {
  const headers: Record<string, string> = { 'accept-encoding': 'identity' };
  if (range === undefined) return headers;
  headers.range = `bytes=${range.from}-${range.to - 1}`;
  // Only strong validators count here (RFC 9110, section 13.1.5).
  if (version?.startsWith('"') && range.from > 0) headers['if-range'] = version;
  return headers;
}

function rangeStart(response: Response, { range }: Request, name: string): number {
  if (response.status !== 206) return 0;
  const header = response.headers.get('content-range') ?? '';
  const from = Number(/^bytes (\d+)-\d+\/(?:\d+|\*)$/.exec(header)?.[1] ?? Number.NaN);
  if (range !== undefined && from === range.from) return from;
  throw refused(name, `answers with the range "${header}", which was not asked for`);
}

function statusError(name: string, response: Response, headers: Record<string, string>): StillhouseError {
  const { status } = response;
  const said = `answers ${status}${response.statusText === '' ? '' : ` ${response.statusText}`}`;
  if (status === 404 || status === 410) {
    return new StillhouseError('NOT_FOUND', `${name} is not there (${said})`, { field: name });
  }
  if (status === 416) {
    const size = /^bytes \*\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1];
    const what = size === undefined ? 'ends' : `ends at offset ${size},`;
    return new StillhouseError('DATA_LOSS', `${name} ${what} before ${headers.range}`, { field: name });
  }
  if (TRANSIENT.includes(status)) return new StillhouseError('UNAVAILABLE', `${name} ${said}`, { field: name });
  if (status === 401 || status === 403) return refused(name, `may not be read (${said})`, 'ask its owner for access');
  return refused(name, said);
}

/** A connection that could not be made or broke; for good when it is the certificate. */
function connectionError(name: string, cause: unknown, signal?: AbortSignal): StillhouseError {
  signal?.throwIfAborted();
  if (cause instanceof StillhouseError && cause.code !== 'UNAVAILABLE') throw cause;
  const inner = (cause as Error).cause instanceof Error ? ((cause as Error).cause as Error) : (cause as Error);
  const code = (inner as NodeJS.ErrnoException).code ?? '';
  if (/CERT|SSL|TLS|EPROTO/.test(code)) {
    const hint = 'check its certificate; NODE_EXTRA_CA_CERTS names a file with more authorities to trust';
    return refused(name, `cannot be asked safely: ${inner.message}`, hint, cause);
  }
  const reason = inner.message === '' ? code : inner.message;
  return new StillhouseError('UNAVAILABLE', `${name} cannot be fetched: ${reason}`, { field: name, cause });
}

function refused(name: string, what: string, hint?: string, cause?: unknown): StillhouseError {
  return new StillhouseError('FAILED_PRECONDITION', `${name} ${what}`, {
    field: name,
    ...(hint === undefined ? {} : { hint }),
    cause,
  });
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {
  // An answer without a body, as to a file of no bytes.
}
