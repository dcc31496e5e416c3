/** tfjs-node's own N-API binding, compiled against TensorFlow's libraries in the cache. */
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SetupError } from './errors.mjs';
import { makeStaging, readJsonIfAny, statIfAny, writeJsonAtomically } from './files.mjs';
import { nodeHeaders } from './headers.mjs';
import { lastLine, run } from './process.mjs';
import { tensorflowFolder } from './tensorflow.mjs';

/** The newest N-API version that tfjs-node 4.22 knows; its loader looks in `lib/napi-v<this>`. */
const NAPI_VERSION = 8;
const COMPILER_FLAGS = ['-O2', '-std=c++17', '-shared', '-fPIC', `-DNAPI_VERSION=${NAPI_VERSION}`];

/** The npm package whose binding it is. */
export function enginePackage(root) {
  return join(root, 'node_modules', '@tensorflow', 'tfjs-node-gpu');
}

/** Where tfjs-node looks for it. */
export function bindingPath(root) {
  return join(enginePackage(root), 'lib', `napi-v${NAPI_VERSION}`, 'tfjs_binding.node');
}

/** What decides over the compiled result: sources, compiler flags, TensorFlow, and where its libraries are (the rpath). */
export async function bindingKey(root, cache, wheel) {
  const hash = createHash('sha256');
  const sources = join(enginePackage(root), 'binding');
  for (const name of (await readdir(sources)).sort()) hash.update(name).update(await readFile(join(sources, name)));
  hash.update(
    JSON.stringify([COMPILER_FLAGS, process.platform, process.arch, wheel.sha256, tensorflowFolder(cache, wheel)]),
  );
  return hash.digest('hex').slice(0, 24);
}

/** The compiled binding of that key in the cache. */
export function cachedBinding(cache, key) {
  return join(cache, 'binding', key, 'tfjs_binding.node');
}

/** Compiles it into the cache. */
export async function compileBinding(root, cache, wheel, key, { signal, progress }) {
  await progress.step('TensorFlow binding', async (update) => {
    const include = await nodeHeaders(cache, { signal });
    const staging = await makeStaging(cache, 'binding');
    try {
      update('compiling');
      await compile(root, tensorflowFolder(cache, wheel), join(staging, 'tfjs_binding.node'), { signal, include });
      const target = cachedBinding(cache, key);
      await mkdir(dirname(target), { recursive: true });
      await rename(join(staging, 'tfjs_binding.node'), target);
      return 'compiled';
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  });
}

async function compile(root, tensorflow, output, { signal, include }) {
  const compiler = process.env.CXX || 'g++';
  const sources = join(enginePackage(root), 'binding');
  const args = [
    ...[...COMPILER_FLAGS, `-I${include}`, `-I${join(tensorflow, 'include')}`, `-I${sources}`],
    ...[join(sources, 'tfjs_backend.cc'), join(sources, 'tfjs_binding.cc'), '-o', output],
    ...[`-L${tensorflow}`, '-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2', `-Wl,-rpath,${tensorflow}`],
  ];
  // The compiler's temporary files vanish with the staging folder, also when it is killed.
  const env = { ...process.env, TMPDIR: dirname(output), LC_ALL: 'C' };
  let result;
  try {
    result = await run(compiler, args, { signal, env });
  } catch (error) {
    if (error.cause?.code !== 'ENOENT') throw error;
    throw missingCompiler(compiler);
  }
  if (result.code === 0) return;
  const said = result.output.split('\n').find((line) => /error:|undefined reference|cannot find/.test(line));
  throw new SetupError(
    `${compiler} could not compile the TensorFlow binding (${said?.trim() ?? lastLine(result.output)})`,
    {
      hint: 'g++ 9 or later is needed, with the C++ standard library; install it and start again',
    },
  );
}

/** Told before the big download when it can be. */
export function missingCompiler(compiler = process.env.CXX || 'g++') {
  return new SetupError(`${compiler} is missing`, {
    hint: 'install it (Debian, Ubuntu: `sudo apt-get install g++`) and start again',
  });
}

/** Copies a binding to where tfjs-node looks, in one move. */
export async function installBinding(root, from) {
  const target = bindingPath(root);
  await mkdir(dirname(target), { recursive: true });
  const temporary = `${target}.${process.pid}.tmp`;
  try {
    await copyFile(from, temporary);
    await rename(temporary, target);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Removes a compiled binding from the cache. */
export async function removeCachedBinding(cache, key) {
  await rm(dirname(cachedBinding(cache, key)), { recursive: true, force: true });
}

/** Removes the installed binding and its stamp. */
export async function removeBinding(root) {
  await rm(bindingPath(root), { force: true });
  await rm(stampPath(root), { force: true });
}

/** The stamp beside the installed binding: what it is, and that it has been seen to load. */
export async function writeBindingStamp(root, fields) {
  await writeJsonAtomically(stampPath(root), { ...fields, ...(await describe(root)) });
}

/**
 * Says whose the binding is before it is there, so that an interrupted run's is never taken for the user's own. It does
 * not describe a binding, so `readBindingStamp` gives undefined.
 */
export async function announceBinding(root, fields) {
  await writeJsonAtomically(stampPath(root), fields);
}

/** Whose the installed binding is, also when it has changed since: `source` of its stamp, undefined without one. */
export async function bindingSource(root) {
  return (await readJsonIfAny(stampPath(root)))?.source;
}

/** The stamp if it still describes the installed binding and this Node, else undefined. */
export async function readBindingStamp(root) {
  const stamp = await readJsonIfAny(stampPath(root));
  const now = await describe(root);
  if (stamp === undefined || now === undefined) return undefined;
  return Object.entries(now).every(([name, value]) => stamp[name] === value) ? stamp : undefined;
}

async function describe(root) {
  const info = await statIfAny(bindingPath(root));
  return info && { bytes: info.size, mtimeMs: info.mtimeMs, node: process.version, arch: process.arch };
}

function stampPath(root) {
  return `${bindingPath(root)}.stillhouse.json`;
}

/** A tiny computation in a fresh process, so that a crash of the native library is an answer and not our end. */
const PROBE = `
const tf = require('@tensorflow/tfjs-node-gpu');
const sum = tf.tidy(() => tf.matMul(tf.ones([2, 3]), tf.ones([3, 2])).dataSync()[0]);
if (sum !== 3) throw new Error('1+1+1 is ' + sum + ' there');
console.log('engine-version ' + tf.backend().binding.TF_Version);
`;

/**
 * Loads the engine once.
 *
 * @returns {Promise<{version: string, problem?: undefined} | {problem: string}>}
 */
export async function probeEngine(root, { signal }) {
  const env = { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3', NODE_OPTIONS: '' };
  const { code, signalName, output } = await run(process.execPath, ['-e', PROBE], { cwd: root, env, signal });
  const version = /^engine-version (\S+)$/m.exec(output)?.[1];
  if (code === 0 && version !== undefined) return { version };
  if (signalName === 'SIGILL') return { problem: 'this processor lacks instructions that TensorFlow needs (AVX)' };
  if (signalName !== null) return { problem: `it was ended by ${signalName}` };
  return { problem: /^(?:\w*Error): (.*)$/m.exec(output)?.[1] ?? lastLine(output) };
}
