/** A real third-party server of the Open Inference Protocol for tests: MLServer, with a classifier of scikit-learn. */
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep } from '../../lib/base/clock.ts';
import { realCacheRoot } from './data-root.ts';
import { listenOnLoopback } from './loopback.ts';

export interface Mlserver {
  readonly grpc: string;
  readonly http: string;
  /** Probabilities of the rows, by version of the model `pixels`, as scikit-learn computes them. */
  readonly expected: Readonly<Record<'v1' | 'v2', readonly (readonly number[])[]>>;
  /** Has the server serve that version of the model. */
  serve(version: 'v1' | 'v2'): Promise<void>;
  kill(): Promise<void>;
}

interface SetUp {
  mlserverReady(cache: string): Promise<boolean>;
  mlserverFolder(cache: string): string;
}

/** Where the set-up of `npm test` has put it; undefined where it could not be had, or has been put for another Python. */
async function findMlserver(): Promise<string | undefined> {
  const named = process.env.STILLHOUSE_MLSERVER;
  if (named !== undefined && named !== '') return named;
  const setUp: SetUp = await import(new URL('../../scripts/setup/mlserver.mjs', import.meta.url).href);
  const cache = realCacheRoot();
  return (await setUp.mlserverReady(cache)) ? setUp.mlserverFolder(cache) : undefined;
}

/**
 * Undefined where set-up could not provide it, which the tests then have to say.
 *
 * @param features rows of numbers that the model is asked for in Python
 * @throws Error for that in continuous integration, where a test that ran nothing would look like a proof
 */
export async function startMlserver(
  folder: string,
  features: readonly (readonly number[])[],
): Promise<Mlserver | undefined> {
  const packages = await findMlserver();
  if (packages === undefined) {
    if (!process.env.CI) return undefined;
    throw new Error('no MLServer: run npm test, or npm run setup -- --for-tests, which fetch it or say why not');
  }
  const [httpPort, grpcPort] = [await freePort(), await freePort()];
  await writeFile(path.join(folder, 'request.json'), JSON.stringify({ features, httpPort, grpcPort }));
  const entry = fileURLToPath(new URL('mlserver_entry.py', import.meta.url));
  const env = { ...process.env, PYTHONPATH: packages, PYTHONUNBUFFERED: '1', OMP_NUM_THREADS: '1' };
  const child = spawn('python3', ['-s', entry, folder], { stdio: ['ignore', 'pipe', 'pipe'], env, cwd: folder });
  const http = `http://127.0.0.1:${httpPort}`;
  await untilReady(child, http);
  const place = path.join(folder, 'models', 'pixels');
  return {
    grpc: `grpc://127.0.0.1:${grpcPort}`,
    http,
    expected: JSON.parse(await readFile(path.join(folder, 'expected.json'), 'utf8')),
    serve: async (version) => {
      await copyFile(path.join(place, `settings-${version}.json`), path.join(place, 'model-settings.json'));
      const answer = await fetch(`${http}/v2/repository/models/pixels/load`, { method: 'POST' });
      if (!answer.ok) throw new Error(`MLServer did not load ${version}: ${await answer.text()}`);
    },
    kill: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  const { port } = new URL(await listenOnLoopback(server));
  await new Promise((resolve) => server.close(resolve));
  return Number(port);
}

/** It says nothing on its own when it serves all that it shall. */
async function untilReady(child: ChildProcess, http: string): Promise<void> {
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      // All of it is read, so that the server never waits for us.
      if (said.length < 20_000) said += chunk.toString();
    });
  }
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });
  for (;;) {
    if (failure !== undefined) throw failure;
    if (child.exitCode !== null) throw new Error(`MLServer ended with code ${child.exitCode}: ${said}`);
    const ready = await fetch(`${http}/v2/models/pixels/ready`).then(
      (answer) => answer.ok,
      () => false,
    );
    if (ready) return;
    await sleep(100);
  }
}
