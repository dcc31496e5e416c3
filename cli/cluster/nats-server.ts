/** Finding nats-server, and its configuration for a local cluster. */
import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { StillhouseError } from '../../lib/base/errors.ts';
import { cacheRoot } from '../../lib/base/folders.ts';
import type { Environment } from '../../lib/base/settings.ts';

/**
 * `STILLHOUSE_NATS_SERVER`, else the one that set-up has chosen, else the newest that it ever fetched, else the one on
 * PATH. FAILED_PRECONDITION for none.
 */
export function findNatsServer(environment: Environment): string {
  const named = environment.STILLHOUSE_NATS_SERVER;
  if (named) {
    if (isExecutable(named)) return named;
    throw new StillhouseError('FAILED_PRECONDITION', `STILLHOUSE_NATS_SERVER names ${named}, which is no program`, {
      field: 'STILLHOUSE_NATS_SERVER',
      hint: 'unset it, or set it to a nats-server binary',
    });
  }
  const onPath = (environment.PATH ?? '').split(':').filter((folder) => folder !== '');
  const cache = cacheRoot(environment);
  const candidates = [
    ...chosenBySetUp(cache),
    ...fetchedBySetUp(cache),
    ...onPath.map((folder) => join(folder, 'nats-server')),
  ];
  const found = candidates.find(isExecutable);
  if (found !== undefined) return found;
  throw new StillhouseError('FAILED_PRECONDITION', 'there is no nats-server', {
    hint: 'run `npm run setup`, put nats-server on PATH, or set NATS_URL to one that runs',
  });
}

/** `path` of `<cache>/nats-server.json`; none when that is missing or not readable as such. */
function chosenBySetUp(cache: string): string[] {
  const record = join(cache, 'nats-server.json');
  if (!existsSync(record)) return [];
  try {
    const { path } = JSON.parse(readFileSync(record, 'utf8')) as { path?: unknown };
    return typeof path === 'string' ? [path] : [];
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return []; // Cut off: set-up will write it anew.
    throw error;
  }
}

/** `<cache>/bin/nats-server-<version>`, newest first. */
function fetchedBySetUp(cache: string): string[] {
  const folder = join(cache, 'bin');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .map((name) => ({ name, version: /^nats-server-(\d+)\.(\d+)\.(\d+)$/.exec(name)?.slice(1).map(Number) }))
    .filter((found): found is { name: string; version: number[] } => found.version !== undefined)
    .sort((a, b) => compareVersions(b.version, a.version))
    .map(({ name }) => join(folder, name));
}

function compareVersions(a: readonly number[], b: readonly number[]): number {
  const differences = a.map((part, i) => part - (b[i] ?? 0));
  return differences.find((difference) => difference !== 0) ?? 0;
}

/** Loopback only; all state in `folder`, nothing outlives it. A port of -1 takes a free one. */
export function natsConfiguration(folder: string, port: number): string {
  return [
    'server_name: stillhouse-local',
    'host: "127.0.0.1"',
    `port: ${port}`,
    `ports_file_dir: ${JSON.stringify(join(folder, 'ports'))}`,
    // What a job has done is on disk before anyone acts on it.
    `jetstream { store_dir: ${JSON.stringify(join(folder, 'jetstream'))}, sync_interval: always }`,
    '',
  ].join('\n');
}

function isExecutable(path: string): boolean {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return false;
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // The question itself: a failure is the answer no.
  }
}
