/** What runs or can be run beside us: nats-server, a NATS server that the environment names, a coordinator. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { StillhouseError } from '../../lib/base/errors.ts';
import { createLogger } from '../../lib/base/log.ts';
import { connectNats } from '../../lib/wire/nats.ts';
import { findNatsServer } from '../cluster/nats-server.ts';
import { findLocalCluster } from '../cluster/state-file.ts';
import type { CliContext } from '../context.ts';
import { CoordinatorClient } from '../coordinator-client.ts';
import { counted } from '../text.ts';
import { type Check, fail, ok } from './check.ts';

/** Of one answer from a server or a program. */
export const ANSWER_LIMIT_MS = 4_000;

/** @throws FAILED_PRECONDITION when there is none */
export async function natsServerCheck(context: CliContext): Promise<Check> {
  const name = 'nats-server';
  if (context.environment.NATS_URL) return ok(name, 'not needed, NATS_URL names a server');
  const binary = findNatsServer(context.environment);
  try {
    const { stdout } = await promisify(execFile)(binary, ['--version'], {
      timeout: ANSWER_LIMIT_MS,
      killSignal: 'SIGKILL',
      signal: context.signal,
    });
    return ok(name, `${/v?(\d+\.\d+\.\d+\S*)/.exec(stdout)?.[1] ?? stdout.trim()} (${binary})`);
  } catch (error) {
    context.signal.throwIfAborted();
    return fail(name, `${binary} does not run: ${(error as Error).message.split('\n')[0]}`, 'run `npm run setup`');
  }
}

/** @throws UNAVAILABLE when it does not answer */
export async function natsUrlCheck(context: CliContext): Promise<Check> {
  const servers = context.environment.NATS_URL;
  if (!servers) return ok('NATS_URL', 'not set: a local cluster starts its own nats-server');
  const logger = createLogger('doctor', 'silent');
  const nats = await connectNats({
    servers,
    name: 'stillhouse-doctor',
    logger,
    timeoutMs: ANSWER_LIMIT_MS,
    signal: context.signal,
  });
  await nats.close();
  return ok('NATS_URL', 'a server answers');
}

/** The coordinator that commands would talk to. @throws what it answers; UNAVAILABLE when it does not */
export async function coordinatorCheck(context: CliContext): Promise<Check> {
  const { environment } = context;
  const address = environment.STILLHOUSE_COORDINATOR || findLocalCluster(environment)?.coordinator;
  if (address === undefined) return ok('coordinator', 'no local cluster is running');
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(ANSWER_LIMIT_MS)]);
  const client = new CoordinatorClient(address, signal);
  try {
    const jobs = await client.list();
    return ok('coordinator', `${address} answers, ${counted(jobs.length, 'job')}`);
  } catch (thrown) {
    context.signal.throwIfAborted();
    const { message } = StillhouseError.from(thrown);
    return fail(
      'coordinator',
      `${address} does not answer: ${message}`,
      'see its log; `stillhouse up` starts a cluster',
    );
  } finally {
    client.close();
  }
}
