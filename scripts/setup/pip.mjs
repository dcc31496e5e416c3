/** Fetching pinned wheels with pip. Of a user's pip settings only those about where to fetch from count. */
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { discardDownload, downloadedBytes, isWhole, openDownload } from './downloads.mjs';
import { SetupError } from './errors.mjs';
import { isMissing } from './files.mjs';
import { lastLine, run } from './process.mjs';

/**
 * Settings that say where and how to fetch. All others (user, target, require-virtualenv, no-binary, constraint, …) are
 * left out: they are about installing, and what we install goes into folders of our own.
 */
const NETWORK_SETTINGS = new Set([
  'index-url',
  'extra-index-url',
  'no-index',
  'find-links',
  'trusted-host',
  'proxy',
  'cert',
  'client-cert',
  'timeout',
  'default-timeout',
  'retries',
  'resume-retries',
  'keyring-provider',
  'use-feature',
  'use-deprecated',
]);

const RESUMING_PIP = join(import.meta.dirname, 'pip-resume.py');

/** In the staging folder: all that pip has to say, which its output has only a part of. */
const PIP_LOG = 'pip.log';

const WHERE_FROM = '`python3 -m pip config list` for index-url, proxy and no-index';

/**
 * Downloads a wheel. What an interrupted run has of it is not fetched again.
 *
 * @param {{requirement: string, sha256: string, pipPlatform: string, bytes: number, python?: string}} wheel
 * @param {string} folder an empty staging folder; pip's temporary files go there too
 * @param {{cache: string, signal?: AbortSignal, update: Function, env?: NodeJS.ProcessEnv}} options
 * @returns {Promise<string>} where it is, with the pinned content: in the cache's `downloads`, until the caller discards
 *   it (`discardDownload`) when it has what it wants of it
 */
export async function downloadWheel(wheel, folder, { cache, signal, update, env = process.env }) {
  const file = await openDownload(cache, wheel.sha256);
  if (await isWhole(file, wheel.sha256)) return file;
  const settings = await networkSettings(env, signal);
  await writeFile(join(folder, 'requirements.txt'), `${wheel.requirement} --hash=sha256:${wheel.sha256}\n`);
  update('downloading', () => downloadedBytes(file), wheel.bytes);
  const fetchIt = () =>
    run('python3', [RESUMING_PIP, file, ...downloadArgs(wheel, folder)], {
      cwd: folder,
      signal,
      env: { ...settings, TMPDIR: folder },
    });
  const heldBytes = await downloadedBytes(file);
  let result = await fetchIt();
  if (result.code !== 0 && isWrongHash(result.output)) {
    await discardDownload(cache, wheel.sha256);
    // The damage may be in what an earlier run has left; a second time it is the index's.
    if (heldBytes > 0) result = await fetchIt();
  }
  if (result.code !== 0) throw pipError(wheel.requirement, result.output, await textIfAny(join(folder, PIP_LOG)));
  const name = (await readdir(folder)).find((entry) => entry.endsWith('.whl'));
  if (name === undefined) {
    throw new SetupError(`pip left no wheel of ${wheel.requirement}`, { hint: lastLine(result.output) });
  }
  await rename(join(folder, name), file);
  return file;
}

function downloadArgs(wheel, folder) {
  const python = wheel.python ?? '3.11';
  return [
    'download',
    ...['--requirement', join(folder, 'requirements.txt'), '--require-hashes', '--no-deps', '--only-binary=:all:'],
    ...['--platform', wheel.pipPlatform, '--python-version', python],
    ...['--implementation', 'cp', '--abi', `cp${python.replace('.', '')}`, '--abi', 'abi3', '--abi', 'none'],
    // Our own cache keeps what is needed of it.
    ...['--no-cache-dir', '--disable-pip-version-check', '--no-input', '--progress-bar=off', '--no-color'],
    ...['--dest', folder, '--log', join(folder, PIP_LOG)],
  ];
}

/**
 * Installs a list of pinned wheels into a folder for PYTHONPATH, and nothing else.
 *
 * @param {string} requirements a requirements file with all hashes
 * @param {string} folder an empty one
 * @param {{staging: string, name: string, signal?: AbortSignal, env?: NodeJS.ProcessEnv}} options `staging` takes pip's temporary
 *   files; `name` is for errors
 */
export async function installRequirements(requirements, folder, { staging, name, signal, env = process.env }) {
  const settings = await networkSettings(env, signal);
  const args = [
    ...['-m', 'pip', 'install', '--requirement', requirements, '--require-hashes', '--no-deps'],
    ...['--only-binary=:all:', '--no-compile', '--target', folder, '--no-warn-script-location', '--no-cache-dir'],
    ...['--disable-pip-version-check', '--no-input', '--progress-bar=off', '--no-color'],
    ...['--log', join(staging, PIP_LOG)],
  ];
  const { code, output } = await run('python3', args, { cwd: staging, signal, env: { ...settings, TMPDIR: staging } });
  if (code !== 0) throw pipError(name, output, await textIfAny(join(staging, PIP_LOG)));
}

/** The environment for pip: the user's, with pip's own settings cut down to those about the network. */
async function networkSettings(env, signal) {
  // Verbose, because a user's `quiet` would silence the list.
  const listed = await runPip(['-vvv', 'config', 'list'], { ...env, PIP_QUIET: '' }, signal);
  const plain = Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('PIP_')));
  return { ...plain, ...pipVariables(listed), PIP_CONFIG_FILE: '/dev/null' };
}

/**
 * `pip config list` as `PIP_*` variables, as far as it is about the network. Values are Python literals; a command's
 * own section beats `[global]`, and the environment beats both.
 */
export function pipVariables(listed) {
  const rank = { global: 0, download: 1, ':env:': 2 };
  const chosen = new Map();
  for (const line of listed.split('\n')) {
    const match = /^(global|download|:env:)\.([\w-]+)=(['"])(.*)\3$/.exec(line.trim());
    if (match === null || !NETWORK_SETTINGS.has(match[2])) continue;
    const [, section, name, , literal] = match;
    if ((chosen.get(name)?.rank ?? -1) <= rank[section])
      chosen.set(name, { rank: rank[section], value: unescapeLiteral(literal) });
  }
  return Object.fromEntries(
    [...chosen].map(([name, { value }]) => [`PIP_${name.toUpperCase().replaceAll('-', '_')}`, value.trim()]),
  );
}

/** A Python string literal's inside. Lists are written with line breaks, which pip's variables separate by spaces. */
function unescapeLiteral(literal) {
  return literal.replace(/\\(.)/g, (_, char) => ({ n: ' ', t: ' ', r: ' ' })[char] ?? char);
}

/** Runs `python3 -m pip`, telling a missing Python from a missing pip. */
async function runPip(args, env, signal) {
  let result;
  try {
    result = await run('python3', ['-m', 'pip', ...args], { env, signal });
  } catch (error) {
    if (error.cause?.code !== 'ENOENT') throw error;
    throw new SetupError('python3 is missing', {
      hint: 'install it with pip (Debian, Ubuntu: `sudo apt-get install python3 python3-pip`) and start again',
    });
  }
  if (result.code === 0) return result.stdout;
  if (/No module named '?pip/.test(result.output)) {
    throw new SetupError('pip is missing for python3', {
      hint: 'install it (Debian, Ubuntu: `sudo apt-get install python3-pip`; elsewhere `python3 -m ensurepip`) and start again',
    });
  }
  throw new SetupError(`python3 -m pip failed (${lastLine(result.output)})`, {
    hint: 'fix pip and start again',
  });
}

function isWrongHash(output) {
  return /DO NOT MATCH THE HASHES|HashMismatch|Got +[0-9a-f]{64}/.test(output);
}

/**
 * pip's failure in one line, with what to do. It is final, so that the next run goes on with the download, unless starting
 * again would not mend it: an index that answers and does not have the wheel.
 *
 * @param {string} requirement
 * @param {string} output what pip printed
 * @param {string} log pip's log; it alone names every index that did not answer
 */
export function pipError(requirement, output, log) {
  if (isWrongHash(output)) {
    const got = /Got +([0-9a-f]{64})/.exec(output)?.[1];
    return new SetupError(
      `wrong hash: ${requirement} from your package index is ${got ? `sha256:${got}` : 'not the pinned one'}`,
      {
        hint: 'it is damaged or not the one from PyPI; check `python3 -m pip config get global.index-url`, then start again',
        isFinal: true,
      },
    );
  }
  if (/No space left on device/.test(output)) {
    return new SetupError(`the disk is full while downloading ${requirement}`, {
      hint: 'free some space and start again',
      isFinal: true,
    });
  }
  if (/\(from versions: /.test(output)) return notFoundError(requirement, log);
  const reason = shorten(lastError(output));
  if (/^ *ERROR: HTTP error (?:404|410) /m.test(output)) return lackingError(requirement, reason);
  return new SetupError(`pip could not download ${requirement} (${reason})`, {
    hint: `check the network, and ${WHERE_FROM}; then start again, it goes on where it was`,
    isFinal: true,
  });
}

/** pip says the same of an index without the wheel and of one that it can't ask. */
function notFoundError(requirement, log) {
  const failures = [
    ...log.matchAll(/Could not fetch URL \S+: (.*) - skipping|(The repository located at .* is not a trusted)/g),
  ];
  const trouble = failures
    .map(([, fetching, asking]) => fetching ?? asking)
    .find((text) => !/^(?:404|410) /.test(text));
  if (trouble === undefined) return lackingError(requirement, 'no version of it that fits');
  return new SetupError(
    `pip could not download ${requirement}, the package index can't be reached (${shorten(trouble)})`,
    {
      hint: 'check the network, and behind a proxy or mirror PIP_PROXY or PIP_INDEX_URL; then start again, it goes on where it was',
      isFinal: true,
    },
  );
}

function lackingError(requirement, reason) {
  return new SetupError(`your package index does not have ${requirement} (${reason})`, {
    hint: `check ${WHERE_FROM}; then start again`,
  });
}

async function textIfAny(path) {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (!isMissing(error)) throw error;
    return '';
  }
}

function lastError(output) {
  const errors = output.split('\n').filter((line) => line.startsWith('ERROR: '));
  return errors.at(-1)?.slice('ERROR: '.length) ?? lastLine(output);
}

/** Python's nested exceptions are long; what matters stands at their end. */
function shorten(text) {
  const inner = /: ([^:]*(?:\[Errno[^\]]*\][^'")]*|timed out[^'")]*|refused[^'")]*))/.exec(text)?.[1] ?? text;
  return inner.length > 160 ? `${inner.slice(0, 157)}...` : inner;
}
