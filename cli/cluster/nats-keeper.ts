/**
 * Keeps a nats-server: starts it, says when it is ready and where, and ends it with itself. nats-server cannot watch a
 * pipe, so it would outlive a local cluster that is killed; this process can.
 *
 * Arguments: the binary, the configuration file, the folder where nats-server writes its ports.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, sleep, untilAborted } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { announceReady, runProcess } from '../../lib/base/process.ts';

const POLL_MS = 25;
const STOP_LIMIT_MS = 4000;

await runProcess('nats-keeper', async ({ signal }) => {
  const [binary = '', configFile = '', portsFolder = ''] = process.argv.slice(2);
  const server = spawn(binary, ['--config', configFile], { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = new Promise<string>((resolve) => {
    server.once('error', (error) => resolve(error.message));
    server.once('exit', (code, name) => resolve(name ?? `exit code ${code}`));
  });
  const stopped = untilAborted(signal);
  const failed = ended.then((how) => {
    if (!signal.aborted) throw new StillhouseError('UNAVAILABLE', `nats-server (${binary}) ended: ${how}`);
  });
  const announced = readAddress(portsFolder, signal).then((address) => announceReady({ service: 'nats', address }));
  try {
    await Promise.race([failed, announced.then(() => stopped), stopped]);
  } finally {
    await stop(server, ended);
  }
});

/** nats-server writes its ports when it listens: `{"nats": ["nats://127.0.0.1:4222"], …}`. */
async function readAddress(folder: string, signal: AbortSignal): Promise<string> {
  for (;;) {
    const file = (await readdir(folder)).find((name) => name.endsWith('.ports'));
    const text = file === undefined ? '' : await readFile(join(folder, file), 'utf8');
    // A file that is still being written does not end with the brace.
    if (text.trimEnd().endsWith('}')) {
      const { nats } = JSON.parse(text) as { nats?: string[] };
      if (nats?.[0] !== undefined) return nats[0];
    }
    await sleep(POLL_MS, signal);
  }
}

async function stop(server: ChildProcess, ended: Promise<string>): Promise<void> {
  if (server.pid === undefined || server.exitCode !== null || server.signalCode !== null) return;
  server.kill('SIGTERM');
  const cancel = after(STOP_LIMIT_MS, () => server.kill('SIGKILL'));
  await ended;
  cancel();
}
