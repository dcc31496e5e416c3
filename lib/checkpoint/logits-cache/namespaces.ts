/** What lies in a folder of stored logits: namespaces, their recipes, sizes and writers. */
import { readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import { wallClockMs } from '../../base/clock.ts';
import { describeError } from '../../base/errors.ts';
import { uniqueId } from '../../base/random.ts';
import { writeDurably } from '../../data/durable-file.ts';
import { ifThere, isAbsence } from './if-there.ts';
import { type CacheRecipe, decodeRecipe, encodeRecipe, isNamespace, namespaceOf } from './recipe.ts';
import { withoutWriters, writersOf } from './writer-locks.ts';

const RECIPE_FILE = 'recipe.json';

export interface Namespace {
  readonly name: string;
  readonly folder: string;
  /** Null when it cannot be read; `problem` then says why. */
  readonly recipe: CacheRecipe | null;
  readonly problem: string;
  /** Of all files. */
  readonly bytes: number;
  /** When it was last opened, in milliseconds since 1970. */
  readonly usedMs: number;
  /** Processes that write it now, for people. */
  readonly writers: readonly string[];
}

/** In the order of their names. A folder that is not there has none. */
export async function listNamespaces(root: string): Promise<Namespace[]> {
  const names = (await entriesOf(root)).filter(isNamespace).sort();
  return Promise.all(names.map((name) => describeNamespace(root, name)));
}

/** Of all namespaces together. */
export async function storedBytes(root: string): Promise<number> {
  const names = (await entriesOf(root)).filter(isNamespace);
  const sizes = await Promise.all(names.map((name) => sizeOf(path.join(root, name))));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Says what the namespace is of, unless that is said already. @param folder of the namespace, which is there */
export async function writeRecipe(folder: string, recipe: CacheRecipe): Promise<void> {
  const file = path.join(folder, RECIPE_FILE);
  if ((await readRecipe(folder)).recipe !== null) return;
  const fresh = path.join(folder, `${uniqueId('recipe')}.partial`);
  await writeDurably(fresh, encodeRecipe(recipe));
  await rename(fresh, file);
}

/** Notes that the namespace is used now. Who may only read there leaves no note. */
export async function noteUse(folder: string): Promise<void> {
  const nowS = wallClockMs() / 1000;
  await utimes(path.join(folder, RECIPE_FILE), nowS, nowS).catch((error: NodeJS.ErrnoException) => {
    if (!isAbsence(error) && !['EACCES', 'EPERM', 'EROFS'].includes(error.code ?? '')) throw error;
  });
}

/** @throws StillhouseError FAILED_PRECONDITION while a process writes there, or removes it */
export async function removeNamespace({ folder }: Pick<Namespace, 'folder'>): Promise<void> {
  // First out of sight: who opens it from now on begins anew, and nobody finds half of it.
  const gone = `${folder}.${uniqueId('removed')}`;
  await withoutWriters(folder, () => rename(folder, gone));
  await rm(gone, { recursive: true, force: true });
}

async function describeNamespace(root: string, name: string): Promise<Namespace> {
  const folder = path.join(root, name);
  const [{ recipe, problem }, bytes, writers, used] = await Promise.all([
    readRecipe(folder),
    sizeOf(folder),
    writersOf(folder),
    stat(path.join(folder, RECIPE_FILE)).catch(() => stat(folder)),
  ]);
  return { name, folder, recipe, problem, bytes, usedMs: used.mtimeMs, writers };
}

async function readRecipe(folder: string): Promise<Pick<Namespace, 'recipe' | 'problem'>> {
  const file = path.join(folder, RECIPE_FILE);
  try {
    const recipe = decodeRecipe(await readFile(file, 'utf8'), file);
    if (namespaceOf(recipe) === path.basename(folder)) return { recipe, problem: '' };
    return { recipe: null, problem: `${file} is the recipe of ${namespaceOf(recipe)}` };
  } catch (error) {
    if (isAbsence(error)) return { recipe: null, problem: `${file} is missing` };
    return { recipe: null, problem: describeError(error) };
  }
}

async function sizeOf(folder: string): Promise<number> {
  const files = await entriesOf(folder);
  const sizes = await Promise.all(files.map((file) => ifThere(stat(path.join(folder, file)))));
  return sizes.reduce((sum, stats) => sum + (stats?.size ?? 0), 0);
}

async function entriesOf(folder: string): Promise<string[]> {
  return (await ifThere(readdir(folder))) ?? [];
}
