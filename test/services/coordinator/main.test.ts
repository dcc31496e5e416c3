import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { dial, unary } from '../../../lib/wire/grpc.ts';
import { startNatsServer } from '../../helpers/nats-server.ts';

const MAIN = fileURLToPath(new URL('../../../services/coordinator/main.ts', import.meta.url));

/** The real process; ended with the test whatever happens. */
function run(t: ExecutionContext, environment: Record<string, string>) {
  const env = { PATH: process.env.PATH ?? '', HOME: '/nowhere', STILLHOUSE_HOST: '127.0.0.1', ...environment };
  const child = spawn(process.execPath, ['--import=tsx', MAIN], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const lines = createInterface({ input: child.stdout });
  return {
    ready: async () => JSON.parse(String((await once(lines, 'line'))[0])) as { address: string; health: string },
    signal: (name: NodeJS.Signals) => child.kill(name),
    ended: async () => {
      const [code] = await once(child, 'close');
      return { code, errors, lastError: errors.trimEnd().split('\n').at(-1) ?? '' };
    },
  };
}

test('says that it is ready, serves health on both ports, ends on SIGTERM', async (t) => {
  const server = await startNatsServer();
  t.teardown(() => server.stop());
  const coordinator = run(t, { NATS_URL: server.url });
  const { address, health } = await coordinator.ready();
  for (const at of [address, health]) {
    const client = dial('Health', at);
    const { status } = await unary(client, 'Check', { service: '' }, { timeoutMs: 10_000 });
    t.is(status, 'SERVING');
    client.close();
  }
  const client = dial('Coordinator', address);
  const { members } = await unary(client, 'GetCluster', {}, { timeoutMs: 10_000 });
  t.deepEqual(members, []);
  client.close();
  coordinator.signal('SIGTERM');
  t.is((await coordinator.ended()).code, 0);
});

test('a port in use, a NATS server that is not there, a setting that is missing: one line, exit code 1', async (t) => {
  const server = await startNatsServer();
  t.teardown(() => server.stop());
  const occupant = createServer().listen(0, '127.0.0.1');
  t.teardown(() => occupant.close());
  await once(occupant, 'listening');
  const { port } = occupant.address() as { port: number };
  const inUse = await run(t, { NATS_URL: server.url, STILLHOUSE_PORT: String(port) }).ended();
  t.is(inUse.code, 1);
  t.regex(inUse.lastError, new RegExp(`^coordinator: port ${port} on 127.0.0.1 is in use`));
  const unset = await run(t, {}).ended();
  t.is(unset.code, 1);
  t.regex(unset.lastError, /^coordinator: the environment variable NATS_URL is not set/);
  const loud = await run(t, { NATS_URL: server.url, STILLHOUSE_LOG_LEVEL: 'loud' }).ended();
  t.is(loud.code, 1);
  t.is(
    loud.errors,
    'coordinator: the environment variable STILLHOUSE_LOG_LEVEL is "loud", expected one of debug, info, warn, error, silent\n',
  );
  await server.kill();
  const dead = await run(t, { NATS_URL: server.url }).ended();
  t.is(dead.code, 1);
  t.regex(dead.lastError, /^coordinator: no NATS server answers at nats:\/\/127\.0\.0\.1:\d+: /);
});
