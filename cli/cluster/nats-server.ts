/** Finding nats-server, and its configuration for a local cluster. */
import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';
import { StillhouseError } from '../../lib/base/errors.ts';
import { cacheRoot } from '../../lib/base/folders.ts';
import type { Environment } from '../../lib/base/settings.ts';

/** The version that the set-up installs. */
const SET_UP_BINARY = 'nats-server-2.15.1';

/** `STILLHOUSE_NATS_SERVER`, else what the set-up installed, else the one on PATH. FAILED_PRECONDITION for none. */
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
  const candidates = [
    join(cacheRoot(environment), 'bin', SET_UP_BINARY),
    ...onPath.map((folder) => join(folder, 'nats-server')),
  ];
  const found = candidates.find(isExecutable);
  if (found !== undefined) return found;
  throw new StillhouseError('FAILED_PRECONDITION', 'there is no nats-server', {
    hint: 'run `npm run setup`, put nats-server on PATH, or set NATS_URL to one that runs',
  });
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
