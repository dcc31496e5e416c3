/**
 * The engine: TensorFlow through tfjs-node-gpu. In this order: a build that is there already, TensorFlow's wheel, the
 * package's own installer (it reaches for the vendor's storage host, so only where there is no wheel).
 */
import { rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import {
  bindingKey,
  bindingPath,
  cachedBinding,
  compileBinding,
  enginePackage,
  installBinding,
  missingCompiler,
  probeEngine,
  readBindingStamp,
  writeBindingStamp,
} from './binding.mjs';
import { SetupError } from './errors.mjs';
import { findOnPath, statIfAny } from './files.mjs';
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

/** Takes a binding that someone else has put there, if it loads; one of ours is made anew from the cache. */
async function adoptExisting(root, { signal, progress }) {
  if ((await statIfAny(bindingPath(root))) === undefined) return false;
  if ((await statIfAny(`${bindingPath(root)}.stillhouse.json`)) !== undefined) return false;
  const { version } = await probeEngine(root, { signal });
  if (version === undefined) return false;
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
  if (!isCompiled) await compileBinding(root, cache, key, context);
  await installBinding(root, cachedBinding(cache, key));
  await verify(root, { source: 'wheel', key }, context);
}

/** Loads what has just been installed; a compiled binding that doesn't load is not kept. */
async function verify(root, stamp, { signal, progress }) {
  const { version, problem } = await probeEngine(root, { signal });
  if (version === undefined) {
    await rm(bindingPath(root), { force: true });
    throw new SetupError(`the engine (TensorFlow through tfjs-node-gpu) can't load: ${problem}`, {
      hint: 'remove the cache folder of Stillhouse to build it anew; if it stays, this machine lacks something it names',
    });
  }
  await writeBindingStamp(root, { ...stamp, tensorflow: version });
  progress.say(`engine: TensorFlow ${version} loads`);
}

async function runOwnInstaller(root, reason, context) {
  const { signal, progress } = context;
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
  await verify(root, { source: 'installer' }, context);
}
