/**
 * Set-up: everything that Stillhouse needs and git does not hold. The commands call it themselves; when nothing is to be
 * done it says nothing and takes a moment. By hand: `node scripts/setup.mjs`.
 */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { cifar10Ready, installCifar10 } from './setup/cifar10.mjs';
import { dependenciesReady, installDependencies } from './setup/dependencies.mjs';
import { engineReady, installEngine } from './setup/engine.mjs';
import { describeSetupError, exitCodeOf } from './setup/errors.mjs';
import { cleanStaging } from './setup/files.mjs';
import { acquireLock } from './setup/lock.mjs';
import { installNatsServer, natsServerReady } from './setup/nats.mjs';
import { requireNodeVersion } from './setup/node-version.mjs';
import { cacheRoot, dataRoot, ROOT, tilde } from './setup/paths.mjs';
import { Progress } from './setup/progress.mjs';
import { listenForStop } from './setup/signals.mjs';
import { installWeights, weightsReady } from './setup/weights.mjs';

/** The parts in order; each says whether it is there and can make itself. */
const PARTS = [
  {
    ready: ({ root }) => dependenciesReady(root),
    make: (context) => installDependencies(context.root, context),
  },
  {
    ready: ({ root, cache }) => engineReady(root, cache),
    make: (context) => installEngine(context.root, context.cache, context),
  },
  {
    ready: async ({ cache }) => (await natsServerReady(cache)) !== undefined,
    make: (context) => installNatsServer(context.cache, context),
  },
  {
    ready: ({ data }) => cifar10Ready(data),
    make: (context) => installCifar10(context.root, context.cache, context.data, context),
  },
  {
    ready: ({ cache }) => weightsReady(cache),
    make: (context) => installWeights(context.cache, context),
  },
];

/**
 * Brings the machine to where Stillhouse can run.
 *
 * @param {object} [options]
 * @param {'start' | 'test' | 'cli' | 'packages'} [options.for] `packages` does the npm packages only (for `--help`)
 * @param {AbortSignal} [options.signal] stops it: every child ends, nothing half-made stays
 * @returns {Promise<{root: string, cache: string, data: string, natsServer: object | undefined}>} `natsServer` as
 *   `natsServerReady` says
 * @throws {import('./setup/errors.mjs').SetupError | import('./setup/errors.mjs').StoppedError}
 */
export async function runSetup({ for: purpose = 'start', signal } = {}) {
  const cache = cacheRoot();
  const context = { root: ROOT, cache, data: dataRoot(), signal, progress: new Progress(cache) };
  await requireNodeVersion(context.root);
  const parts = purpose === 'packages' ? PARTS.slice(0, 1) : PARTS;
  if (!(await allReady(parts, context))) await makeMissing(parts, context);
  signal?.throwIfAborted();
  return { root: ROOT, cache, data: context.data, natsServer: await natsServerReady(cache) };
}

async function allReady(parts, context) {
  for (const part of parts) if (!(await part.ready(context))) return false;
  return true;
}

async function makeMissing(parts, context) {
  const { cache, signal, progress } = context;
  const startedMs = performance.now();
  const onWait = ({ pid, host }) =>
    progress.say(`another set-up is running (process ${pid} on ${host}); waiting for it`);
  const release = await acquireLock(cache, { signal, onWait });
  try {
    await cleanStaging(cache);
    for (const part of parts) if (!(await part.ready(context))) await part.make(context);
    progress.say(`set-up is complete, ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
  } finally {
    await cleanStaging(cache);
    await release();
  }
}

/** The command line: exit code 0, 1 with one line on standard error, or 130/143 when stopped. */
async function main() {
  const stop = listenForStop();
  try {
    const { cache } = await runSetup({ signal: stop.signal });
    console.error(`set-up is complete (${tilde(cache)})`);
  } catch (error) {
    console.error(`set-up: ${describeSetupError(error)}`);
    process.exitCode = exitCodeOf(error);
  } finally {
    stop.dispose();
  }
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main();
