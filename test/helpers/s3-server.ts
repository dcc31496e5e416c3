/** A real S3 server for tests: moto's, on a free loopback port, its objects in memory. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import { realCacheRoot } from './data-root.ts';
import { listenOnLoopback } from './loopback.ts';

export interface S3Server {
  readonly url: string;
  stop(): Promise<void>;
}

/** Where the set-up of `npm test` has put it; undefined where it could not be had. */
function findMoto(): string | undefined {
  const named = process.env.STILLHOUSE_MOTO;
  if (named !== undefined && named !== '') return named;
  const versions = path.join(realCacheRoot(), 'tools', 'moto');
  const found = existsSync(versions) ? readdirSync(versions).sort().at(-1) : undefined;
  return found === undefined ? undefined : path.join(versions, found);
}

/**
 * Undefined where set-up could not provide it, which the tests then have to say.
 *
 * @throws Error for that in continuous integration, where a test that ran nothing would look like a proof
 */
export async function startS3Server(): Promise<S3Server | undefined> {
  const moto = findMoto();
  if (moto === undefined) {
    if (!process.env.CI) return undefined;
    throw new Error(
      'no moto, an S3 server: run npm test, or npm run setup -- --for-tests, which fetch it or say why not',
    );
  }
  const env = { ...process.env, PYTHONPATH: moto, PYTHONDONTWRITEBYTECODE: '1', PYTHONUNBUFFERED: '1' };
  const child = spawn('python3', ['-s', '-m', 'moto.server', '-H', '127.0.0.1', '-p', '0'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env,
  });
  const url = await announcedUrl(child);
  return {
    url,
    stop: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    },
  };
}

function announcedUrl(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      // All of it is read, so that the server never waits for us.
      if (said.length < 10_000) said += chunk.toString();
      const url = /Running on (http:\/\/127\.0\.0\.1:\d+)/.exec(said)?.[1];
      if (url !== undefined) resolve(url);
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`moto ended with code ${code}: ${said}`)));
  });
}

/** A way to a server that cuts connections when it is told to. */
export interface CuttingWay {
  readonly url: string;
  /** For the next connections, each after so many bytes of the answer, once `before` is done. */
  readonly cuts: { readonly afterBytes: number; readonly before?: () => Promise<void> }[];
  /** Bytes of answers that were let through, by connection. */
  readonly passed: number[];
  close(): void;
}

export async function cuttingWay(target: string): Promise<CuttingWay> {
  const cuts: CuttingWay['cuts'] = [];
  const passed: number[] = [];
  const { hostname, port } = new URL(target);
  const server = createServer((client) => {
    const connection = passed.push(0) - 1;
    const { afterBytes: limit, before } = cuts.shift() ?? { afterBytes: Number.POSITIVE_INFINITY };
    const upstream = connect(Number(port), hostname);
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    const cut = async () => {
      await before?.();
      end();
    };
    upstream.on('data', (chunk: Buffer) => {
      const bytes = Math.min(chunk.length, limit - (passed[connection] as number));
      passed[connection] = (passed[connection] as number) + bytes;
      client.write(chunk.subarray(0, bytes), () => passed[connection] === limit && cut());
    });
    client.pipe(upstream);
    upstream.on('end', () => client.end());
    client.on('error', end);
    upstream.on('error', end);
  });
  return { url: await listenOnLoopback(server), cuts, passed, close: () => server.close() };
}
