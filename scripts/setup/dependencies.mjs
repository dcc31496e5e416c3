/** The npm packages of the lock file in node_modules, without running any of their scripts. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SetupError } from './errors.mjs';
import { hashFile, readJsonIfAny, statIfAny, writeJsonAtomically } from './files.mjs';
import { CI_FLAGS, npm, npmError } from './npm.mjs';
import { requireSpace } from './space.mjs';

const NEED_BYTES = 0.6e9;

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
export async function installDependencies(root, { signal, progress }) {
  await requireSpace(root, NEED_BYTES, 'the npm packages');
  await progress.step('npm packages', async (update) => {
    update('npm ci');
    const { code, output } = await npm(['ci', ...CI_FLAGS, `--prefix=${root}`], { cwd: root, signal });
    if (code !== 0) throw npmError('npm ci failed', output);
    const hidden = await readJsonIfAny(hiddenLockPath(root));
    if (hidden === undefined) {
      throw new SetupError('npm ci left no record of what it installed', { hint: 'start again' });
    }
    const [missing] = missingPackages(await readJson(join(root, 'package-lock.json')), hidden);
    if (missing !== undefined) {
      throw new SetupError(`npm ci left out ${missing}`, { hint: 'look for unusual settings with `npm config list`' });
    }
    await writeJsonAtomically(stampPath(root), await describeInstall(root));
    return `${Object.keys(hidden.packages ?? {}).length} installed`;
  });
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
