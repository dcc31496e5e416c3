/** A file server on loopback that knows byte ranges and ends chosen answers early, as a bad network does. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { ExecutionContext } from 'ava';
import { serveOnLoopback } from './loopback.ts';

export interface ServedRequest {
  readonly path: string;
  /** Where the answer began; 0 without a range. */
  readonly from: number;
  /** Of the body, as far as it was sent. */
  readonly bytes: number;
}

/**
 * What becomes of one answer: after so many bytes, once `before` is done, the connection is cut, or stays open with nothing more to
 * come.
 */
export interface Cut {
  readonly afterBytes: number;
  readonly end: 'cut' | 'silence';
  readonly before?: () => Promise<void>;
}

export interface CuttingServer {
  readonly url: string;
  /** Requests for files in the order in which they were answered. */
  readonly requests: readonly ServedRequest[];
  /** Resolves once a connection has gone silent, with a promise of its end. */
  readonly silent: Promise<{ closed: Promise<void> }>;
}

/**
 * @param files by path; texts are served as HTML or JSON by their first character, and never cut
 * @param cuts one for each of the first answers with bytes; further ones are whole
 */
export async function serveCut(
  t: ExecutionContext,
  files: (url: string) => Record<string, string | Buffer>,
  cuts: readonly Cut[],
  { ranges = true } = {},
): Promise<CuttingServer> {
  const requests: ServedRequest[] = [];
  const left = [...cuts];
  let onSilent: (connection: { closed: Promise<void> }) => void;
  const silent = new Promise<{ closed: Promise<void> }>((resolve) => {
    onSilent = resolve;
  });
  let content: Record<string, string | Buffer> = {};
  const sendBytes = (path: string, bytes: Buffer, request: IncomingMessage, response: ServerResponse) => {
    const asked = ranges ? /^bytes=(\d+)-$/.exec(request.headers.range ?? '') : null;
    const from = Number(asked?.[1] ?? 0);
    if (asked !== null && from >= bytes.length) {
      requests.push({ path, from, bytes: 0 });
      response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
      return;
    }
    const cut = left.shift();
    const end = Math.min(bytes.length, from + (cut?.afterBytes ?? bytes.length));
    requests.push({ path, from, bytes: end - from });
    response.writeHead(asked === null ? 200 : 206, {
      'content-length': bytes.length - from,
      ...(asked === null ? {} : { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
    });
    response.write(bytes.subarray(from, end), async () => {
      await cut?.before?.();
      if (cut === undefined) response.end();
      else if (cut.end === 'cut') response.socket?.destroy();
      else onSilent({ closed: new Promise((resolve) => response.once('close', resolve)) });
    });
  };
  const server = createServer((request, response) => {
    const path = decodeURI(request.url ?? '/');
    const found = content[path];
    if (found === undefined) response.writeHead(404).end();
    else if (typeof found !== 'string') sendBytes(path, found, request, response);
    else response.setHeader('content-type', found.startsWith('{') ? 'application/json' : 'text/html').end(found);
  });
  const url = await serveOnLoopback(t, server);
  content = files(url);
  return { url, requests, silent };
}
