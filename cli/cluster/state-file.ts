/** The note that a running local cluster leaves, so that other commands find it. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { StillhouseError } from '../../lib/base/errors.ts';
import { cacheRoot } from '../../lib/base/folders.ts';
import { isAlive } from '../../lib/base/process-alive.ts';
import type { Environment } from '../../lib/base/settings.ts';
import type { Endpoints } from './local-cluster.ts';

const stateSchema = z.object({
  /** Of the process that holds the cluster. */
  pid: z.int(),
  coordinator: z.string(),
  router: z.object({ grpc: z.string(), http: z.string() }),
  nats: z.string(),
  metrics: z.record(z.string(), z.string()).default({}),
});

/** Writes the note; the returned function removes it, unless another cluster has written its own since. */
export function writeStateFile(environment: Environment, endpoints: Endpoints): () => void {
  const path = statePath(environment);
  mkdirSync(dirname(path), { recursive: true });
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify({ pid: process.pid, ...endpoints })}\n`);
  renameSync(draft, path);
  return () => {
    if (readState(path)?.pid === process.pid) rmSync(path, { force: true });
  };
}

/** The endpoints of the local cluster that runs now; undefined for none. */
export function findLocalCluster(environment: Environment): Endpoints | undefined {
  const state = readState(statePath(environment));
  return state !== undefined && isAlive(state.pid) ? state : undefined;
}

function statePath(environment: Environment): string {
  return join(cacheRoot(environment), 'local-cluster.json');
}

function readState(path: string): z.infer<typeof stateSchema> | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new StillhouseError('FAILED_PRECONDITION', `cannot read ${path}`, { cause: error });
  }
  const parsed = stateSchema.safeParse(parseJson(text));
  return parsed.success ? parsed.data : undefined;
}

/** Undefined for what is no JSON: a broken note is as good as none. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
