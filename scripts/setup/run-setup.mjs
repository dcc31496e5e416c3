/** Brings the machine to where Stillhouse can run: what is there stays, what is missing is made, part by part. */
import { cleanDownloads } from './downloads.mjs';
import { engineChoice } from './engine.mjs';
import { SetupError } from './errors.mjs';
import { cleanStaging } from './files.mjs';
import { acquireLock } from './lock.mjs';
import { mlserverFolder, mlserverReady } from './mlserver.mjs';
import { natsServerReady } from './nats.mjs';
import { requireNodeVersion } from './node-version.mjs';
import { partsFor } from './parts.mjs';
import { cacheRoot, dataRoot, ROOT } from './paths.mjs';
import { freeAt, lookAt, planLines, requireRoom } from './plan.mjs';
import { Progress } from './progress.mjs';
import { findGrpcurl, motoFolder, motoReady, tensorboardFolder } from './tools.mjs';

/**
 * @param {object} [options]
 * @param {'start' | 'test' | 'cli' | 'packages'} [options.for] `packages` does the npm packages only (for `--help`), `test`
 *   also what only the tests need
 * @param {boolean} [options.retryEngine] tries to have TensorFlow's library where plain TensorFlow.js was fallen back to
 * @param {AbortSignal} [options.signal] stops it: every child ends, nothing half-made stays but what the next run goes on
 *   with
 * @returns {Promise<{root: string, cache: string, data: string, natsServer: object | undefined, tools: {grpcurl?: string,
 *   tensorboard?: string, moto?: string, mlserver?: string}}>} `natsServer` as `natsServerReady` says; `tools` are the tests'
 * @throws {import('./errors.mjs').SetupError | import('./errors.mjs').StoppedError}
 */
export async function runSetup({ for: purpose = 'start', retryEngine = false, signal } = {}) {
  const context = { ...setupContext(), retryEngine, signal };
  const { root, cache, data } = context;
  await requireNodeVersion(root);
  if (purpose !== 'packages') engineChoice();
  const parts = partsFor(purpose);
  if (!(await allReady(parts, context))) await makeMissing(parts, context);
  signal?.throwIfAborted();
  const tools = purpose === 'test' ? await testTools(cache) : {};
  return { root, cache, data, natsServer: await natsServerReady(cache), tools };
}

async function testTools(cache) {
  return {
    tensorboard: tensorboardFolder(cache),
    grpcurl: await findGrpcurl(cache),
    moto: (await motoReady(cache)) ? motoFolder(cache) : undefined,
    mlserver: (await mlserverReady(cache)) ? mlserverFolder(cache) : undefined,
  };
}

/** Where set-up works, and how it shows what it does. */
export function setupContext() {
  const cache = cacheRoot();
  return { root: ROOT, cache, data: dataRoot(), progress: new Progress(cache) };
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
    // Another one may have made it all while we waited.
    const missing = (await lookAt(parts, context)).filter(({ ready }) => !ready);
    if (missing.length > 0) {
      for (const line of planLines(missing, await freeAt(cache))) progress.say(line);
      await requireRoom(missing, cache);
    }
    // Asked again one by one: new npm packages take the engine's binding with them.
    for (const part of parts) if (!(await part.ready(context))) await makePart(part, context);
    progress.say(`set-up is complete, ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
  } finally {
    await cleanStaging(cache);
    await cleanDownloads(cache);
    await release();
  }
}

/** An optional part may be missing: then it is said. */
async function makePart(part, context) {
  try {
    await part.make(context);
  } catch (error) {
    if (!part.isOptional || !(error instanceof SetupError) || error.isFinal) throw error;
    context.progress.say(`without ${part.title}: ${error.message}`);
  }
}
