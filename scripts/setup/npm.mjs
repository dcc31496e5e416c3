/** Calling npm so that a user's own npm settings can't change what happens; where packages come from stays theirs. */
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { SetupError } from './errors.mjs';
import { findOnPath, hashFile } from './files.mjs';
import { run } from './process.mjs';

/**
 * The flags beat `npm_config_*` variables and every npmrc. Registry, proxies, certificates, cache, offline mode and
 * credentials are not among them: those are the user's to say.
 */
export const COMMON_FLAGS = [
  '--ignore-scripts',
  '--no-dry-run',
  '--no-global',
  '--location=project',
  '--no-workspaces',
  '--no-json',
  '--no-long',
  '--no-color',
  '--no-progress',
  '--no-timing',
  '--no-update-notifier',
  // What may be fetched is pinned by content, so its age says nothing.
  '--min-release-age=0',
  '--no-before',
  '--loglevel=error',
];

/** For `npm ci`: everything in the lock file for this machine, exactly, whatever is usual for the user. */
export const CI_FLAGS = [
  ...COMMON_FLAGS,
  '--include=prod',
  '--include=dev',
  '--include=optional',
  '--include=peer',
  `--os=${process.platform}`,
  `--cpu=${process.arch}`,
  '--package-lock',
  '--no-package-lock-only',
  '--no-legacy-peer-deps',
  '--no-strict-peer-deps',
  '--no-engine-strict',
  '--no-force',
  '--no-install-links',
  '--no-prefer-dedupe',
  '--bin-links',
  '--rebuild-bundle',
  '--install-strategy=hoisted',
  '--no-audit',
  '--no-fund',
];

/** Variables that set what no flag can unset (lists), or that bend where npm works. */
const CLEARED_VARIABLES =
  /^npm_config_(workspace|omit|only|also|production|optional|os|cpu|libc|local_prefix|prefix|call|package)$/i;

/**
 * Runs npm.
 *
 * @param {readonly string[]} args
 * @param {{cwd: string, signal?: AbortSignal, env?: NodeJS.ProcessEnv}} options
 */
export async function npm(args, { cwd, signal, env = process.env }) {
  const command = await npmCommand(env);
  const cleared = Object.fromEntries(Object.entries(env).filter(([name]) => !CLEARED_VARIABLES.test(name)));
  return run(command[0], [...command.slice(1), ...args], { cwd, signal, env: cleared });
}

/** The npm that started us, else the one on PATH. */
async function npmCommand(env) {
  const started = env.npm_execpath;
  if (started && basename(started) === 'npm-cli.js') return [process.execPath, started];
  const found = await findOnPath('npm', env);
  if (found === undefined)
    throw new SetupError('npm is missing', { hint: 'install it (it comes with Node) and start again' });
  return [found];
}

/**
 * Downloads a package's tarball into `folder` and checks it.
 *
 * @param {{spec: string, integrity: string}} pin `integrity` as `sha512-<base64>`
 * @returns {Promise<string>} its path
 */
export async function npmPack(pin, folder, { signal, env } = {}) {
  const args = ['pack', pin.spec, ...COMMON_FLAGS, `--pack-destination=${folder}`];
  const { code, output } = await npm(args, { cwd: folder, signal, env });
  if (code !== 0) throw npmError(`npm could not download ${pin.spec}`, output);
  const name = (await readdir(folder)).find((file) => file.endsWith('.tgz'));
  if (name === undefined) throw new SetupError(`npm pack ${pin.spec} left no file`, { hint: explainNpm(output) });
  const path = join(folder, name);
  await checkIntegrity(path, pin);
  return path;
}

/** @throws {SetupError} when a file is not what the pin says */
export async function checkIntegrity(path, { spec, integrity }) {
  const found = `sha512-${await hashFile(path, 'sha512', 'base64')}`;
  if (found === integrity) return;
  throw new SetupError(`wrong hash: ${spec} is ${found}, not ${integrity}`, {
    hint: 'your npm registry serves something else than the public one; check `npm config get registry`',
  });
}

/** npm's failure in one line, with what to do. */
export function npmError(what, output) {
  const text = explainNpm(output);
  const isNetwork =
    /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ENETUNREACH|ENOTCACHED)\b/.test(
      output,
    );
  const isHash = /\bEINTEGRITY\b/.test(output);
  if (isNetwork) {
    return new SetupError(`${what}, the registry can't be reached (${text})`, {
      hint: 'check the network, and behind a proxy or mirror `npm config set proxy` or `registry`; then start again',
    });
  }
  if (isHash) {
    return new SetupError(`${what}, wrong hash (${text})`, {
      hint: 'the registry or npm cache holds a damaged copy; try `npm cache verify`, then start again',
    });
  }
  return new SetupError(`${what} (${text})`, { hint: 'fix that and start again' });
}

/** The line of npm's output that says why. */
export function explainNpm(output) {
  const lines = output
    .split(/\r?\n/)
    .map((line) => line.match(/^npm (?:error|ERR!) ?(.*)$/)?.[1]?.trim())
    .filter((line) => line);
  const telling = lines.filter((line) => !/^(code|errno|syscall|path|A complete log|type|dest) ?/i.test(line));
  return (
    telling.find((line) => /reason:|integrity|EINTEGRITY/.test(line)) ?? telling[0] ?? lines[0] ?? 'npm said nothing'
  );
}
