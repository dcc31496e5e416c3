/** Opens a data set in someone else's format, whichever it is. */
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { StillhouseError } from '../../base/errors.ts';
import { looksLikeCifar, openCifar10, openCifar100 } from './cifar.ts';
import { looksLikeIdx, openIdx } from './idx.ts';
import { openImageFolder } from './image-folder.ts';
import {
  checkOptions,
  type OpenedSource,
  refusedSource,
  SOURCE_FORMATS,
  type SourceFormat,
  type SourceOptions,
} from './source-options.ts';
import { looksLikeSvhn, openSvhn } from './svhn.ts';

const ARCHIVE = /\.(tar|tgz|zip|7z|rar)$|\.tar\.\w+$/i;

/** Folders that the official archives unpack to: one level above will do. */
const UNPACKED_FOLDERS = ['cifar-10-batches-bin', 'cifar-100-binary'];

/**
 * Opens the folder of a data set: CIFAR-10 and CIFAR-100 (binary), IDX and IDX.gz, SVHN (format 2), ImageFolder.
 *
 * @throws StillhouseError FAILED_PRECONDITION for files that are not there or cannot be read, and folders that mean nothing;
 *   INVALID_ARGUMENT for an option or a variant of a format that is not known; DATA_LOSS, naming file and offset, for a file that is
 *   damaged as a whole: cut off, too long, contradicting itself; RESOURCE_EXHAUSTED when the scratch folder's disk is full. A
 *   single damaged sample surfaces when it is read.
 */
export async function openSource(location: string, options: SourceOptions): Promise<OpenedSource> {
  const { folder, files, folders } = await readFolder(path.resolve(location));
  const format = options.format ?? detectFormat(folder, files, folders);
  checkOptions(format, options);
  switch (format) {
    case 'cifar10':
      return openCifar10(folder, files);
    case 'cifar100':
      return openCifar100(folder, files, options);
    case 'idx':
      return openIdx(folder, files, options);
    case 'svhn':
      return openSvhn(folder, files, options);
    case 'imagefolder':
      return openImageFolder(folder, options);
  }
}

interface FolderContent {
  readonly folder: string;
  /** Names of everything that is no folder. */
  readonly files: readonly string[];
  readonly folders: readonly string[];
}

async function readFolder(location: string): Promise<FolderContent> {
  let isFolder: boolean;
  try {
    isFolder = (await stat(location)).isDirectory();
  } catch (cause) {
    throw refusedSource(
      location,
      `cannot be read: ${(cause as Error).message}`,
      'name the folder of a data set',
      cause,
    );
  }
  if (!isFolder) {
    const hint = ARCHIVE.test(location) ? 'unpack it first, and name the folder' : 'name the folder that it lies in';
    throw refusedSource(location, 'is a file, expected the folder of a data set', hint);
  }
  const entries = await readdir(location, { withFileTypes: true }).catch((cause) => {
    throw refusedSource(location, `cannot be read: ${cause.message}`, 'let the folder be read', cause);
  });
  const visible = entries.filter(({ name }) => !name.startsWith('.'));
  const unpacked = visible.find((entry) => entry.isDirectory() && UNPACKED_FOLDERS.includes(entry.name));
  if (unpacked !== undefined) return readFolder(path.join(location, unpacked.name));
  return {
    folder: location,
    files: visible.filter((entry) => !entry.isDirectory()).map(({ name }) => name),
    folders: visible.filter((entry) => entry.isDirectory()).map(({ name }) => name),
  };
}

function detectFormat(folder: string, files: readonly string[], folders: readonly string[]): SourceFormat {
  const looksLike: Readonly<Record<SourceFormat, boolean>> = {
    cifar10: looksLikeCifar('cifar10', files),
    cifar100: looksLikeCifar('cifar100', files),
    idx: looksLikeIdx(files),
    svhn: looksLikeSvhn(files),
    imagefolder: false,
  };
  const found = SOURCE_FORMATS.filter((format) => looksLike[format]);
  if (found.length > 1) {
    throw new StillhouseError('INVALID_ARGUMENT', `${folder} looks like ${found.join(' and ')}`, {
      field: 'format',
      hint: 'name the format, or put each data set into a folder of its own',
    });
  }
  if (found[0] !== undefined) return found[0];
  if (folders.length > 0) return 'imagefolder';
  const archive = files.find((name) => ARCHIVE.test(name));
  throw refusedSource(
    folder,
    'holds no data set: expected class folders of pictures, or the files of CIFAR (binary), IDX or SVHN',
    archive === undefined ? 'name the folder that holds them' : `unpack ${archive} first`,
  );
}
