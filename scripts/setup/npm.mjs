/** Calling npm so that a user's own npm settings can't change what happens; where packages come from stays theirs. */
import { readdir, realpath, rename, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { discardDownload, downloadedBytes, openDownload } from './downloads.mjs';
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
  return run(command[0], [...command.slice(1), ...args], { cwd, signal, env: cleared(env) });
}

function cleared(env) {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !CLEARED_VARIABLES.test(name)));
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
 * Downloads a package's tarball and checks it. What an interrupted run has of it is not fetched again.
 *
 * @param {{spec: string, integrity: string}} pin `integrity` as `sha512-<base64>`
 * @param {string} folder an empty staging folder
 * @param {{cache: string, signal?: AbortSignal, update?: (file: string) => void, env?: NodeJS.ProcessEnv}} options
 *   `update` is told which file is growing
 * @returns {Promise<string>} where it is, with the pinned content: in the cache's `downloads`, until the caller discards
 *   it (`discardDownload` with `packName`) when it has what it wants of it
 */
export async function npmPack(pin, folder, { cache, signal, update, env = process.env }) {
  const file = await openDownload(cache, packName(pin));
  update?.(file);
  if ((await downloadedBytes(file)) > 0 && (await isIntact(file, pin))) return file;
  const npmRoot = await npmRootHere(env);
  if (npmRoot !== undefined && (await goOn(file, pin, npmRoot, { cache, cwd: folder, signal, env }))) return file;
  await rename(await packAnew(pin, folder, { signal, env }), file);
  return file;
}

/** Fetches the rest of the file; false when this npm's libraries aren't known. */
async function goOn(file, pin, npmRoot, { cache, cwd, signal, env }) {
  // The damage may be in what an earlier run has left; a second time it is the registry's.
  let mayBeOurs = (await downloadedBytes(file)) > 0;
  for (;;) {
    const args = [RESUMING_PACK, file, pin.spec, pin.integrity, npmRoot, ...COMMON_FLAGS];
    const { code, output } = await run(process.execPath, args, { cwd, signal, env: cleared(env) });
    if (code === UNKNOWN_NPM) return false;
    if (code !== 0) throw npmError(`npm could not download ${pin.spec}`, output);
    try {
      await checkIntegrity(file, pin);
      return true;
    } catch (error) {
      await discardDownload(cache, packName(pin));
      if (!mayBeOurs) throw error;
      mayBeOurs = false;
    }
  }
}

const FETCHING_PACKAGES = join(import.meta.dirname, 'npm-packages.cjs');

/**
 * Fetches packages into npm's cache, a few at a time: `npm ci` has all of them in flight at once, so that its interruption
 * costs nearly all. An npm whose libraries aren't known leaves it to `npm ci`.
 *
 * @param {readonly {spec: string, integrity: string}[]} pins
 * @param {string} folder a staging folder
 * @param {{signal?: AbortSignal, onBytes: (bytes: number) => void, env?: NodeJS.ProcessEnv}} options `onBytes` is told how
 *   much there is so far
 */
export async function fetchPackages(pins, folder, { signal, onBytes, env = process.env }) {
  const npmRoot = await npmRootHere(env);
  if (npmRoot === undefined || pins.length === 0) return;
  const file = join(folder, 'pins.json');
  await writeFile(file, JSON.stringify(pins));
  const { code, output } = await run(process.execPath, [FETCHING_PACKAGES, file, npmRoot, ...COMMON_FLAGS], {
    cwd: folder,
    signal,
    env: cleared(env),
    onLine: (line) => onBytes(JSON.parse(line).bytes),
  });
  if (code !== 0 && code !== UNKNOWN_NPM) throw npmError('the npm packages could not be downloaded', output);
}

/** Under what name the tarball is kept while it is downloaded. */
export function packName({ integrity }) {
  return Buffer.from(integrity.slice('sha512-'.length), 'base64').toString('hex').slice(0, 64);
}

const RESUMING_PACK = join(import.meta.dirname, 'npm-tarball.cjs');
/** What that program says of an npm whose libraries it doesn't know. */
const UNKNOWN_NPM = 3;

/** npm's own folder; undefined when its program is not the plain one. */
async function npmRootHere(env) {
  const program = await realpath((await npmCommand(env)).at(-1));
  return basename(program) === 'npm-cli.js' ? dirname(dirname(program)) : undefined;
}

async function packAnew(pin, folder, { signal, env }) {
  const args = ['pack', pin.spec, ...COMMON_FLAGS, `--pack-destination=${folder}`];
  const { code, output } = await npm(args, { cwd: folder, signal, env });
  if (code !== 0) throw npmError(`npm could not download ${pin.spec}`, output);
  const name = (await readdir(folder)).find((file) => file.endsWith('.tgz'));
  if (name === undefined) throw new SetupError(`npm pack ${pin.spec} left no file`, { hint: explainNpm(output) });
  const path = join(folder, name);
  await checkIntegrity(path, pin);
  return path;
}

async function isIntact(path, { integrity }) {
  return `sha512-${await hashFile(path, 'sha512', 'base64')}` === integrity;
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
