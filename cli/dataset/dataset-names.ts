/** Which data sets are in the folder of data sets. */
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';

/** Names of the folders with a manifest, sorted; none when the folder itself is not there. */
export async function datasetNames(root: string): Promise<readonly string[]> {
  const names: string[] = [];
  for (const name of await visibleNames(root)) {
    if (await isThere(path.join(root, name, 'manifest.json'))) names.push(name);
  }
  return names;
}

async function visibleNames(root: string): Promise<readonly string[]> {
  if (!(await isThere(root))) return [];
  return (await readdir(root)).filter((name) => !name.startsWith('.')).sort();
}

async function isThere(location: string): Promise<boolean> {
  try {
    await stat(location);
    return true;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}
