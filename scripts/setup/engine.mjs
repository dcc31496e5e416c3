/**
 * The engine: TensorFlow through tfjs-node-gpu. In this order: a build that is there already, TensorFlow's wheel, the
 * package's own installer (it reaches for the vendor's storage host, so only where there is no wheel).
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
import { findOnPath, statIfAny } from './files.mjs';
import { tilde } from './paths.mjs';
import { lastLine, run } from './process.mjs';
import { fetchTensorflow, tensorflowReady, tensorflowWheelHere } from './tensorflow.mjs';

/** Whether the installed binding has been seen to load and what it needs is still there. */
export async function engineReady(root, cache) {
  const stamp = await readBindingStamp(root);
  if (stamp === undefined) return false;
  if (stamp.source !== 'wheel') return true;
  const { wheel } = tensorflowWheelHere();
  if (wheel === undefined || !(await tensorflowReady(cache, wheel))) return false;
  return stamp.key === (await bindingKey(root, cache, wheel));
}

/** Makes it so. */
export async function installEngine(root, cache, context) {
  if (await adoptExisting(root, context)) return;
  const { wheel, reason } = tensorflowWheelHere();
  if (wheel !== undefined) await buildOnWheel(root, cache, wheel, context);
  else await runOwnInstaller(root, reason, context);
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

async function buildOnWheel(root, cache, wheel, context) {
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
}

/** Loads what has just been installed; what doesn't load is not kept, in the cache (`forget`) neither. */
async function verify(root, stamp, { signal, progress }, forget) {
  const { version, problem } = await probeEngine(root, { signal });
  if (version === undefined) {
    await removeBinding(root);
    await forget?.();
    throw new SetupError(`the engine (TensorFlow through tfjs-node-gpu) can't load: ${problem}`, {
      hint: 'start again to build it anew; if it stays, remove the cache folder of Stillhouse, or this machine lacks something',
    });
  }
  await writeBindingStamp(root, { ...stamp, tensorflow: version });
  progress.say(`engine: TensorFlow ${version} loads`);
}

async function runOwnInstaller(root, reason, context) {
  const { signal, progress } = context;
  const stamp = { source: 'installer' };
  await announceBinding(root, stamp);
  await progress.step(`TensorFlow by the installer of tfjs-node-gpu (${reason})`, async (update) => {
    update('downloading from its vendor');
    const env = { ...process.env, PATH: `${join(root, 'node_modules', '.bin')}${delimiter}${process.env.PATH}` };
    const args = [join('scripts', 'install.js'), 'gpu', 'download'];
    const { code, output } = await run(process.execPath, args, { cwd: enginePackage(root), signal, env });
    if (code === 0) return 'installed';
    throw new SetupError(`no engine: ${reason}, and the installer of tfjs-node-gpu failed (${lastLine(output)})`, {
      hint: 'use Linux with glibc on x64 or arm64 (a container will do), or put a tfjs_binding.node built by yourself there',
    });
  });
  await verify(root, stamp, context);
}
