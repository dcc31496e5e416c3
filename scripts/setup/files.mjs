/** Small file helpers: results appear whole or not at all, and a stamp says what they are. */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { cp, lstat, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** True for the errors that mean "there is no such file". */
export function isMissing(error) {
  return error?.code === 'ENOENT' || error?.code === 'ENOTDIR';
}

/** `stat`, or undefined when there is no such file. */
export async function statIfAny(path) {
  try {
    return await stat(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** The same about a link itself, not what it points to. */
export async function lstatIfAny(path) {
  try {
    return await lstat(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** The parsed JSON of a file; undefined when it is missing or not JSON (a stamp that can't be read counts as none). */
export async function readJsonIfAny(path) {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (isMissing(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Writes a file so that readers see the old or the new content, never a part. */
export async function writeAtomically(path, content, { mode = 0o644 } = {}) {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(content);
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

export function writeJsonAtomically(path, value) {
  return writeAtomically(path, `${JSON.stringify(value, null, 2)}\n`);
}

/**
 * Moves a finished folder into place, replacing what was there: only for what set-up has written itself. From another
 * file system it comes by way of a copy beside the target.
 */
export async function replaceFolder(from, to) {
  await mkdir(dirname(to), { recursive: true });
  const beside = `${to}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await moveFolder(from, beside);
    await rm(to, { recursive: true, force: true });
    await rename(beside, to);
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
}

async function moveFolder(from, to) {
  try {
    await rename(from, to);
  } catch (error) {
    if (error.code !== 'EXDEV') throw error;
    await cp(from, to, { recursive: true });
  }
}

/** A fresh folder for half-made results, under the cache so that a rename suffices. */
export async function makeStaging(cache, name) {
  const folder = join(stagingRoot(cache), `${name}-${process.pid}-${randomBytes(4).toString('hex')}`);
  await mkdir(folder, { recursive: true });
  return folder;
}

/** Removes what interrupted runs left. Call it with the lock held: then nothing in there is in use. */
export async function cleanStaging(cache) {
  await rm(stagingRoot(cache), { recursive: true, force: true });
}

function stagingRoot(cache) {
  return join(cache, 'staging');
}

/** Digest of a file as `<algorithm hash>` in the given encoding. */
export async function hashFile(path, algorithm = 'sha256', encoding = 'hex') {
  const hash = createHash(algorithm);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk);
  return hash.digest(encoding);
}

/** Bytes in a folder, for progress. What vanishes meanwhile counts as nothing. */
export async function folderBytes(folder) {
  let entries;
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (isMissing(error)) return 0;
    throw error;
  }
  let total = 0;
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) total += await folderBytes(path);
    else if (entry.isFile()) total += (await statIfAny(path))?.size ?? 0;
  }
  return total;
}

/** The first executable file of that name on PATH, or undefined. */
export async function findOnPath(name, env = process.env) {
  for (const folder of (env.PATH ?? '').split(':')) {
    if (folder === '') continue;
    const info = await statIfAny(join(folder, name)).catch(() => undefined);
    if (info?.isFile() && (info.mode & 0o111) !== 0) return join(folder, name);
  }
  return undefined;
}

/** JSON with the keys sorted at every level and no spaces: the form that digests are taken of. */
export function canonicalJson(value) {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const fields = Object.keys(value).sort();
    return `{${fields.map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key])}`).join(',')}}`;
  }
  return JSON.stringify(value);
}
