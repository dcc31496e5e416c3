/**
 * Plain TensorFlow.js, the engine where TensorFlow's own library can't be had: it computes in JavaScript, orders of magnitude
 * slower. That it was fallen back to, and why, is kept in node_modules, so that not every command tries the other ways again.
 */
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { glibcVersion } from './dependencies.mjs';
import { SetupError } from './errors.mjs';
import { findOnPath, readJsonIfAny, writeJsonAtomically } from './files.mjs';
import { chooseGpuHere } from './gpu.mjs';
import { TENSORFLOW_GPU_WHEELS, TENSORFLOW_WHEELS } from './pins.mjs';

/** The file that says so; the product's `doctor` reads it too. */
export function fallbackPath(root) {
  return join(root, 'node_modules', '.stillhouse-engine.json');
}

/** The version of plain TensorFlow.js among the npm packages; undefined without it. */
export async function plainVersion(root) {
  return (await readJsonIfAny(join(root, 'node_modules', '@tensorflow', 'tfjs', 'package.json')))?.version;
}

/** Whether plain TensorFlow.js was fallen back to and nothing that decided over it has changed since. */
export async function isFallbackCurrent(root, env = process.env) {
  const stamp = await readJsonIfAny(fallbackPath(root));
  if (stamp === undefined || (await plainVersion(root)) === undefined) return false;
  return stamp.key === (await fallbackKey(env));
}

/** Why it was, in one line. */
export async function fallbackReason(root, env = process.env) {
  if (env.STILLHOUSE_ENGINE === 'plain') return 'STILLHOUSE_ENGINE is plain';
  const attempts = (await readJsonIfAny(fallbackPath(root)))?.attempts ?? [];
  return describe(attempts);
}

export async function forgetFallback(root) {
  await rm(fallbackPath(root), { force: true });
}

/**
 * @param {readonly {way: string, problem: string, hint?: string}[]} attempts what was tried before
 * @throws {SetupError} when only TensorFlow's library will do, or plain TensorFlow.js is not there either
 */
export async function fallBack(root, attempts, { choice, progress, env }) {
  const hint = attempts.find((attempt) => attempt.hint !== undefined)?.hint;
  if (choice === 'native') {
    throw new SetupError(`no native engine, and STILLHOUSE_ENGINE is native: ${describe(attempts)}`, { hint });
  }
  const version = await plainVersion(root);
  if (version === undefined) throw new SetupError(`no engine: ${describe(attempts)}`, { hint });
  await writeJsonAtomically(fallbackPath(root), { engine: 'plain', version, attempts, key: await fallbackKey(env) });
  for (const line of [
    '',
    `ENGINE: PLAIN TENSORFLOW.JS ${version}, which is ORDERS OF MAGNITUDE SLOWER than TensorFlow's library.`,
    'Good for a look around; not for training in earnest, benchmarks or CI (STILLHOUSE_ENGINE=native refuses it).',
    ...(hint === undefined ? [] : [`To have the fast one: ${hint}.`]),
    'Another try: `stillhouse setup --retry-engine`, which commands make by themselves once a compiler or Python is there.',
    '',
  ]) {
    progress.say(line);
  }
}

function describe(attempts) {
  return attempts.map(({ way, problem }) => `${way}: ${problem}`).join('; ');
}

/** What the other ways depend on, as far as this machine says it without the network. */
async function fallbackKey(env) {
  const compiler = env.CXX || 'g++';
  const facts = [
    ...[process.platform, process.arch, process.version, glibcVersion(), chooseGpuHere(env).gpu],
    ...[TENSORFLOW_WHEELS, TENSORFLOW_GPU_WHEELS, compiler, env.STILLHOUSE_CACHE],
    ...[await findOnPath(compiler, env), await findOnPath('python3', env)],
  ];
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 24);
}
