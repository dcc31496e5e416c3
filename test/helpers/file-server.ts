/** A file server on loopback with ranges and entity tags, which misbehaves as it is told, answer by answer. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { ExecutionContext } from 'ava';
import { serveOnLoopback } from './loopback.ts';

export interface ServedAnswer {
  readonly path: string;
  readonly status: number;
  readonly from: number;
  /** Of the body, as far as it was sent. */
  readonly bytes: number;
  readonly ifRange: string | undefined;
}

/**
 * What becomes of one answer: another status, or the connection's end (or nothing more) after so many bytes, once `before` is done.
 */
export type Fault =
  | { readonly status: number; readonly location?: string }
  | { readonly afterBytes: number; readonly end: 'cut' | 'silence'; readonly before?: () => unknown }
  | { readonly wrong: true };

export interface FileServer {
  readonly url: string;
  readonly answers: readonly ServedAnswer[];
  /** To be served from now on, by path. */
  readonly files: Map<string, Buffer>;
  /** For the next answers, in order; `null` leaves one as it is. */
  readonly faults: (Fault | null)[];
  /** For every request of these paths. */
  readonly redirects: Map<string, string>;
  /** Resolves once a connection has gone silent. */
  readonly silent: Promise<void>;
}

export async function serveFiles(
  t: ExecutionContext,
  files: Readonly<Record<string, Buffer>> = {},
  { ranges = true } = {},
): Promise<FileServer> {
  let onSilent = () => {};
  const silent = new Promise<void>((resolve) => {
    onSilent = resolve;
  });
  const answers: ServedAnswer[] = [];
  const tags = new Map<Buffer, string>();
  const state = {
    files: new Map(Object.entries(files)),
    faults: [] as (Fault | null)[],
    redirects: new Map<string, string>(),
  };
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const path = decodeURI(request.url ?? '/');
    const ifRange = request.headers['if-range'];
    const log = (status: number, from = 0, bytes = 0) =>
      answers.push({ path, status, from, bytes, ifRange: typeof ifRange === 'string' ? ifRange : undefined });
    const refuse = (status: number, headers: Record<string, string> = {}) => {
      log(status);
      response.writeHead(status, headers).end('a page that explains it');
    };
    const location = state.redirects.get(path);
    if (location !== undefined) return refuse(302, { location });
    const fault = state.faults.shift() ?? undefined;
    if (fault !== undefined && 'status' in fault) return refuse(fault.status);
    const file = state.files.get(path);
    if (file === undefined) return refuse(404);
    const content = fault !== undefined && 'wrong' in fault ? Buffer.from(file.map((byte) => byte ^ 1)) : file;
    const tag = tags.get(file) ?? `"${createHash('sha256').update(file).digest('hex')}"`;
    tags.set(file, tag);
    const asked = ranges && (ifRange === undefined || ifRange === tag) ? rangeOf(request) : undefined;
    const from = asked?.from ?? 0;
    if (asked !== undefined && from >= content.length)
      return refuse(416, { 'content-range': `bytes */${content.length}` });
    const to = Math.min(asked?.to ?? content.length, content.length);
    const stop = fault !== undefined && 'end' in fault ? Math.min(to, from + fault.afterBytes) : to;
    log(asked === undefined ? 200 : 206, from, stop - from);
    response.writeHead(asked === undefined ? 200 : 206, {
      etag: tag,
      'content-length': to - from,
      ...(asked === undefined ? {} : { 'content-range': `bytes ${from}-${to - 1}/${content.length}` }),
    });
    response.write(content.subarray(from, stop), async () => {
      if (fault === undefined || !('end' in fault)) {
        response.end();
        return;
      }
      await fault.before?.();
      if (fault.end === 'cut') response.socket?.destroy();
      else onSilent();
    });
  };
  const server = createServer(answer);
  const url = await serveOnLoopback(t, server);
  return { url, answers, silent, ...state };
}

function rangeOf(request: IncomingMessage): { from: number; to: number } | undefined {
  const found = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  return found === null ? undefined : { from: Number(found[1]), to: Number(found[2]) + 1 };
}
