/** What lies on the disk: the cache, data sets, pretrained weights. */
import { constants } from 'node:fs';
import { access, lstat, readdir, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { digestHex } from '../../lib/base/digest.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { cacheRoot, dataRoot } from '../../lib/base/folders.ts';
import type { Environment } from '../../lib/base/settings.ts';
import { sampleFiles } from '../../lib/data/manifest.ts';
import { openDataset, readDatasetManifest } from '../../lib/data/open-dataset.ts';
import { datasetNames } from '../dataset/dataset-names.ts';
import { summarise } from '../dataset/dataset-view.ts';
import { counted, grouped } from '../text.ts';
import { type Check, fail, ok, warn } from './check.ts';

const FREE_WARN_BYTES = 2e9;
const SETUP_HINT = 'run `npm run setup`';

/** The cache folder: there, a folder, ours to write; its size; what is free beside it. */
export async function cacheCheck(environment: Environment): Promise<Check> {
  const folder = cacheRoot(environment);
  const info = await statIfAny(folder);
  if (info === undefined) return fail('cache', `${folder} is not there`, SETUP_HINT);
  if (!info.isDirectory()) return fail('cache', `${folder} is not a folder`, 'set STILLHOUSE_CACHE to one');
  const { bavail, bsize, blocks } = await statfs(folder);
  const free = bavail * bsize;
  const detail = `${folder}: ${gigabytes(await bytesBelow(folder))}; ${gigabytes(free)} free on its disk`;
  try {
    await access(folder, constants.W_OK);
  } catch {
    return warn('cache', `${detail}; it may not be written to`, 'set-up and `stillhouse up` need to'); // The question itself.
  }
  // Some network file systems report no blocks at all: unknown is not empty.
  if (blocks > 0 && free < FREE_WARN_BYTES) return warn('cache', detail, 'free some disk space');
  return ok('cache', detail);
}

/** One check per data set in the data folder, by its manifest; files are looked at for size and labels, not hashed. */
export async function datasetChecks(environment: Environment): Promise<readonly Check[]> {
  const root = dataRoot(environment);
  const checks: Check[] = [];
  for (const name of await datasetNames(root)) checks.push(await datasetCheck(root, name));
  const hint = `${SETUP_HINT}, \`stillhouse dataset import\` or \`dataset fetch\`, or set STILLHOUSE_DATA`;
  return checks.length > 0 ? checks : [warn('data set', `none in ${root}`, hint)];
}

async function datasetCheck(root: string, name: string): Promise<Check> {
  const label = `data set ${name}`;
  try {
    const manifest = await readDatasetManifest(root, name);
    await (await openDataset(root, name, { verifyContent: false })).close();
    for (const file of sampleFiles(manifest)) await checkSize(path.join(root, name, file.path), file.bytes);
    const { images, classNames, digest, synthetic, badSamples } = summarise(manifest, path.join(root, name));
    const notes = [
      ...(synthetic === null ? [] : ['synthetic']),
      ...(badSamples.length === 0 ? [] : [counted(badSamples.length, 'damaged sample')]),
    ];
    const facts = [`${grouped(images)} images`, `${grouped(classNames.length)} classes`, ...notes];
    return ok(label, `${facts.join(', ')}, ${digestHex(digest).slice(0, 12)}`);
  } catch (thrown) {
    const { message, hint } = StillhouseError.from(thrown);
    return fail(label, message, hint ?? SETUP_HINT);
  }
}

/** Shards are opened when they are read from, so what is missing would be noticed in the middle of a job only. */
async function checkSize(location: string, bytes: number): Promise<void> {
  const size = (await statIfAny(location))?.size;
  if (size === bytes) return;
  const what = size === undefined ? 'is missing' : `is ${size} bytes long`;
  throw new StillhouseError('DATA_LOSS', `${location} ${what}, expected ${bytes} bytes`, { hint: 'import it again' });
}

/** Pretrained weights that set-up has put into the cache. */
export async function weightsCheck(environment: Environment): Promise<Check> {
  const folder = path.join(cacheRoot(environment), 'weights');
  const entries: string[] = [];
  for (const name of await namesIn(folder)) {
    entries.push(`${name} (${gigabytes(await bytesBelow(path.join(folder, name)))})`);
  }
  return ok('weights', entries.length === 0 ? 'no pretrained weights in the cache' : entries.join(', '));
}

/** Visible names in a folder, sorted; none when it is not there. */
async function namesIn(folder: string): Promise<string[]> {
  if ((await statIfAny(folder))?.isDirectory() !== true) return [];
  return (await readdir(folder)).filter((name) => !name.startsWith('.')).sort();
}

async function bytesBelow(location: string): Promise<number> {
  const info = await lstat(location);
  if (!info.isDirectory()) return info.size;
  let bytes = 0;
  for (const entry of await readdir(location, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await statIfAny(path.join(entry.parentPath, entry.name)))?.size ?? 0;
  }
  return bytes;
}

async function statIfAny(location: string) {
  try {
    return await stat(location);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

function gigabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}
