/** What the commands share: set-up first, then our own program in the same process. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describeSetupError, exitCodeOf } from './errors.mjs';
import { ROOT } from './paths.mjs';
import { runSetup } from './run-setup.mjs';
import { listenForStop, watchParent } from './signals.mjs';

/**
 * Runs `work` after set-up, both under the same signals, and resolves to the exit code; a failure is one line on
 * standard error.
 *
 * @param {'start' | 'test' | 'cli' | 'packages'} purpose
 * @param {(stop: {signal: AbortSignal, dispose: () => void}) => Promise<number>} work
 */
export async function afterSetup(purpose, work) {
  const stop = listenForStop();
  try {
    const { natsServer, tools } = await runSetup({ for: purpose, signal: stop.signal });
    if (natsServer?.path !== undefined) process.env.STILLHOUSE_NATS_SERVER ??= natsServer.path;
    if (tools.grpcurl !== undefined) process.env.STILLHOUSE_GRPCURL ??= tools.grpcurl;
    if (tools.tensorboard !== undefined) process.env.STILLHOUSE_TENSORBOARD ??= tools.tensorboard;
    if (tools.moto !== undefined) process.env.STILLHOUSE_MOTO ??= tools.moto;
    if (tools.mlserver !== undefined) process.env.STILLHOUSE_MLSERVER ??= tools.mlserver;
    return await work(stop);
  } catch (error) {
    console.error(`stillhouse: ${describeSetupError(error)}`);
    return exitCodeOf(error);
  } finally {
    stop.dispose();
  }
}

/** Runs the command line after set-up; it handles the signals itself as soon as it runs. */
export function runCommandLine(purpose, args) {
  return afterSetup(purpose, async (stop) => {
    const main = await loadMain();
    stop.signal.throwIfAborted();
    // The command line installs its own handlers before its first await, so there is no moment without any.
    const running = main(args);
    stop.dispose();
    const stopWatching = watchParent(() => process.kill(process.pid, 'SIGTERM'));
    return running.finally(stopWatching);
  });
}

/** The command line's entry: TypeScript as it is in a checkout, JavaScript where it has been compiled. */
async function loadMain() {
  const source = join(ROOT, 'cli', 'main.ts');
  const compiled = join(ROOT, 'dist', 'cli', 'main.js');
  if (existsSync(source)) {
    // Not before set-up: it is one of the npm packages.
    const { register } = await import('tsx/esm/api');
    register();
    return (await import(pathToFileURL(source).href)).main;
  }
  return (await import(pathToFileURL(compiled).href)).main;
}
