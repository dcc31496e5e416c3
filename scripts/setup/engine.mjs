/**
 * The engine. In this order: a build that is there already, TensorFlow's wheel, the package's own installer (it reaches for
 * its vendor's storage), plain TensorFlow.js. Each way that fails is named with its reason; which one won is kept beside the
 * binding, or in `fallback.mjs`'s file.
 */
import { delimiter, join } from 'node:path';
import {
  announceBinding,
  bindingKey,
  bindingPath,
  bindingSource,
  cachedBinding,
  compileBinding,
  enginePackage,
  installBinding,
  missingCompiler,
  probeEngine,
  readBindingStamp,
  removeBinding,
  removeCachedBinding,
  writeBindingStamp,
} from './binding.mjs';
import { SetupError } from './errors.mjs';
import { fallBack, fallbackReason, forgetFallback, isFallbackCurrent, plainVersion } from './fallback.mjs';
import { findOnPath, statIfAny } from './files.mjs';
import { tilde } from './paths.mjs';
import { lastLine, run } from './process.mjs';
import { fetchTensorflow, tensorflowReady, tensorflowWheelHere } from './tensorflow.mjs';

/** The ways to TensorFlow's own library, in order. */
const NATIVE_WAYS = [
  { name: "TensorFlow's wheel", take: buildOnWheel },
  { name: 'the installer of tfjs-node-gpu', take: runOwnInstaller },
];

const WITHOUT_NATIVE =
  "set-up stops here, to go on with it next time (STILLHOUSE_ENGINE=plain goes without TensorFlow's library, far slower)";

/**
 * `STILLHOUSE_ENGINE`: `native` refuses plain TensorFlow.js, `plain` wants nothing else, `auto` falls back.
 *
 * @returns {'auto' | 'native' | 'plain'}
 * @throws {SetupError} for another value
 */
export function engineChoice(env = process.env) {
  const choice = env.STILLHOUSE_ENGINE || 'auto';
  if (['auto', 'native', 'plain'].includes(choice)) return choice;
  throw new SetupError(
    `the environment variable STILLHOUSE_ENGINE is "${choice}", expected one of auto, native, plain`,
  );
}

/** Whether there is one to go with; `retryEngine` does not take plain TensorFlow.js for one. */
export async function engineReady(root, cache, { retryEngine = false, env = process.env } = {}) {
  const choice = engineChoice(env);
  if (choice === 'plain') return (await plainVersion(root)) !== undefined;
  if (await nativeReady(root, cache)) return true;
  return choice === 'auto' && !retryEngine && (await isFallbackCurrent(root, env));
}

/** Whether the installed binding has been seen to load and what it needs is still there. */
async function nativeReady(root, cache) {
  const stamp = await readBindingStamp(root);
  if (stamp === undefined) return false;
  if (stamp.source !== 'wheel') return true;
  const { wheel } = tensorflowWheelHere();
  if (wheel === undefined || !(await tensorflowReady(cache, wheel))) return false;
  return stamp.key === (await bindingKey(root, cache, wheel));
}

/** What there is, for people: which of the ways, and its version. Undefined when there is nothing yet. */
export async function describeEngine(root, cache, env = process.env) {
  if (!(await engineReady(root, cache, { env }))) return undefined;
  const stamp = engineChoice(env) === 'plain' ? undefined : await readBindingStamp(root);
  if (stamp === undefined) {
    return `plain TensorFlow.js ${await plainVersion(root)}, slow: ${await fallbackReason(root, env)}`;
  }
  const from = { wheel: 'from its wheel', installer: 'by the installer of tfjs-node-gpu', existing: 'built before' };
  return `TensorFlow ${stamp.tensorflow} ${from[stamp.source]}`;
}

/** Makes it so. */
export async function installEngine(root, cache, context) {
  const { progress, env = process.env } = context;
  const choice = engineChoice(env);
  if (choice === 'plain') {
    throw new SetupError('STILLHOUSE_ENGINE is plain, but @tensorflow/tfjs is not among the npm packages', {
      hint: 'remove node_modules and start again',
    });
  }
  if (await adoptExisting(root, context)) {
    await forgetFallback(root);
    return;
  }
  const attempts = [];
  for (const way of NATIVE_WAYS) {
    try {
      await way.take(root, cache, context);
      await forgetFallback(root);
      return;
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      if (error.isFinal) {
        if (choice === 'auto') progress.say(`engine: not by ${way.name}; ${WITHOUT_NATIVE}`);
        throw error;
      }
      attempts.push({ way: way.name, problem: error.message, hint: error.hint });
      progress.say(`engine: not by ${way.name}: ${error.message}`);
    }
  }
  await fallBack(root, attempts, { choice, progress, env });
}

/**
 * Takes a binding that someone else has put there, if it loads; one of ours is made anew from the cache. One that was
 * taken once is the user's: should it no longer load, that is for them to decide.
 */
async function adoptExisting(root, { signal, progress }) {
  if ((await statIfAny(bindingPath(root))) === undefined) return false;
  const source = await bindingSource(root);
  if (source !== undefined && source !== 'existing') return false;
  const { version, problem } = await probeEngine(root, { signal });
  if (version === undefined) {
    if (source === undefined) return false;
    throw new SetupError(`the TensorFlow binding that you have put there can't load: ${problem}`, {
      hint: `mend it, or remove ${tilde(bindingPath(root))} to have set-up build one, and start again`,
    });
  }
  await writeBindingStamp(root, { source: 'existing', tensorflow: version });
  progress.say(`engine: TensorFlow ${version}, built before`);
  return true;
}

async function buildOnWheel(root, cache, context) {
  const { wheel, reason } = tensorflowWheelHere();
  if (wheel === undefined) throw new SetupError(reason, { hint: 'use Linux with glibc on x64 or arm64' });
  const key = await bindingKey(root, cache, wheel);
  const isCompiled = (await statIfAny(cachedBinding(cache, key))) !== undefined;
  const compiler = process.env.CXX || 'g++';
  if (!isCompiled && !compiler.includes('/') && (await findOnPath(compiler)) === undefined) throw missingCompiler();
  if (!(await tensorflowReady(cache, wheel))) await fetchTensorflow(cache, wheel, context);
  if (!isCompiled) await compileBinding(root, cache, wheel, key, context);
  const stamp = { source: 'wheel', key };
  await announceBinding(root, stamp);
  await installBinding(root, cachedBinding(cache, key));
  await verify(root, stamp, context, () => removeCachedBinding(cache, key));
  context.progress.say("engine: TensorFlow's wheel, loads");
}

/** Loads what has just been installed; what doesn't load is not kept, in the cache (`forget`) neither. */
async function verify(root, stamp, { signal }, forget) {
  const { version, problem } = await probeEngine(root, { signal });
  if (version === undefined) {
    await removeBinding(root);
    await forget?.();
    throw new SetupError(`the engine (TensorFlow through tfjs-node-gpu) can't load: ${problem}`, {
      hint: 'start again to build it anew; if it stays, remove the cache folder of Stillhouse, or this machine lacks something',
    });
  }
  await writeBindingStamp(root, { ...stamp, tensorflow: version });
}

async function runOwnInstaller(root, _cache, context) {
  const { signal, progress } = context;
  const script = join('scripts', 'install.js');
  if ((await statIfAny(join(enginePackage(root), script))) === undefined) {
    throw new SetupError('it is not among the npm packages');
  }
  const stamp = { source: 'installer' };
  await announceBinding(root, stamp);
  try {
    await progress.step('TensorFlow by the installer of tfjs-node-gpu', async (update) => {
      update('downloading from its vendor');
      const env = { ...process.env, PATH: `${join(root, 'node_modules', '.bin')}${delimiter}${process.env.PATH}` };
      const args = [script, 'gpu', 'download'];
      const { code, output } = await run(process.execPath, args, { cwd: enginePackage(root), signal, env });
      if (code !== 0) throw new SetupError(`it failed (${whyInstallerFailed(output)})`);
      return 'it says it is done';
    });
    await verify(root, stamp, context);
  } catch (error) {
    await removeBinding(root);
    throw error;
  }
  progress.say('engine: TensorFlow by the installer of tfjs-node-gpu, loads');
}

/** The line of its output that says why; Node's report of an uncaught error ends in the version of Node. */
function whyInstallerFailed(output) {
  return /^(?:\w*Error: |node-pre-gyp ERR! stack )(.*)$/m.exec(output)?.[1] ?? lastLine(output);
}
