/**
 * ImageFolder, as torchvision calls it: one folder per class, named after it, pictures below it at any depth.
 *
 * - `train/<class>/…` and `test/<class>/…`: those splits. `val` (`valid`, `validation`) is for training too where there is a `test`
 *   folder, since every job cuts its own calibration images from the training split; it is the test split where there is none, as
 *   for ImageNet. `valAs` decides otherwise.
 * - One folder of `<class>/…`, or `train` where nothing else is for testing: of each class a seeded share is the test split.
 *
 * Classes are in the order of their names by code point, as Python sorts them.
 */
import path from 'node:path';
import { StillhouseError } from '../../base/errors.ts';
import { createRandom, hashName, shuffle } from '../../base/random.ts';
import { imageFileFormat } from '../image-file-format.ts';
import type { SplitName } from '../manifest.ts';
import { MAX_RECORD_BYTES } from '../shard-file.ts';
import { type ClassFolder, listClasses } from './class-folders.ts';
import { byCodePoint, FolderWalk, type WalkedFolder } from './folder-walk.ts';
import { PathList } from './path-list.ts';
import { SourceFile } from './source-file.ts';
import { damagedSample, type OpenedSource, refusedSource, type SourceOptions } from './source-options.ts';

const SIZE = 224;
const TEST_SHARE = 0.2;

/** What certainly is no picture. Everything else is looked at, so that none is left out for its name. */
const NO_PICTURES = new Set(
  'txt md rst csv tsv json jsonl xml yaml yml toml ini cfg html htm pdf log db mat npy npz h5 pkl py ipynb sh zip gz tar'
    .split(' ')
    .map((extension) => `.${extension}`),
);

const OUT_OF_HANDLES = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);

/** Pictures of one class that lie side by side in the list. */
interface ClassRange {
  readonly label: number;
  readonly split: ClassFolder['split'];
  readonly first: number;
  readonly end: number;
}

/** @throws StillhouseError as `openSource` does. */
export async function openImageFolder(folder: string, options: SourceOptions): Promise<OpenedSource> {
  const walk = await FolderWalk.start(folder);
  const classes = await listClasses(walk, options);
  const classNames = [...classes.keys()].sort(byCodePoint);
  const paths = new PathList();
  const ignored = new Map<string, number>();
  const ranges: ClassRange[] = [];
  for (const [label, name] of classNames.entries()) {
    for (const { split, folder } of classes.get(name) as ClassFolder[]) {
      const first = paths.length;
      await listPictures(walk, folder, paths, ignored);
      const end = paths.length;
      if (end === first) throw emptyClass(folder.location);
      ranges.push({ label, split, first, end });
    }
  }
  const labels = new Uint16Array(paths.length);
  const isTest = new Uint8Array(paths.length);
  for (const { label, split, first, end } of ranges) {
    labels.fill(label, first, end);
    if (split === 'test') isTest.fill(1, first, end);
    if (split !== 'by share') continue;
    for (const at of heldOut(end - first, classNames[label] as string, options)) isTest[first + at] = 1;
  }
  const size = options.size ?? SIZE;
  return {
    format: 'imagefolder',
    root: folder,
    classNames,
    image: { height: size, width: size, channels: 3 },
    storage: { kind: 'encoded', fit: options.fit ?? 'squash' },
    count: paths.length,
    ignored,
    splitOf: (index): SplitName => (isTest[index] === 1 ? 'test' : 'train'),
    labelOf: (index) => labels[index] as number,
    whereOf: (index) => paths.at(index),
    read: (index) => readPicture(paths.at(index)),
    close: async () => undefined,
  };
}

async function listPictures(
  walk: FolderWalk,
  folder: WalkedFolder,
  paths: PathList,
  ignored: Map<string, number>,
): Promise<void> {
  const { folders, files } = await walk.list(folder);
  for (const name of files) {
    const extension = path.extname(name).toLowerCase();
    if (NO_PICTURES.has(extension)) ignored.set(extension, (ignored.get(extension) ?? 0) + 1);
    else paths.add(folder.location, name);
  }
  for (const inner of folders.values()) await listPictures(walk, inner, paths, ignored);
}

/** Which pictures of a class are for testing: at least one, but never all. */
function heldOut(count: number, className: string, { testShare = TEST_SHARE, seed = 0 }: SourceOptions): Uint32Array {
  const order = shuffle(
    new Uint32Array(count).map((_, at) => at),
    createRandom(seed, hashName(className)),
  );
  return order.subarray(0, Math.min(Math.max(Math.round(count * testShare), 1), count - 1));
}

async function readPicture(location: string): Promise<Uint8Array> {
  let file: SourceFile;
  try {
    file = await SourceFile.open(location);
  } catch (error) {
    const { message, cause } = StillhouseError.from(error);
    // That is the machine's fault, not the picture's.
    if (OUT_OF_HANDLES.has((cause as NodeJS.ErrnoException | undefined)?.code ?? '')) throw error;
    throw damagedSample(location, message.slice(location.length + 1), cause);
  }
  try {
    if (file.bytes === 0) throw damagedSample(location, 'is empty');
    if (file.bytes > MAX_RECORD_BYTES) {
      throw damagedSample(location, `is ${file.bytes} bytes long, expected at most ${MAX_RECORD_BYTES}`);
    }
    const bytes = await file.read(0, file.bytes);
    if (imageFileFormat(bytes) === null) throw damagedSample(location, 'is no JPEG, PNG or WebP file (offset 0)');
    return bytes;
  } finally {
    await file.close();
  }
}

function emptyClass(location: string): StillhouseError {
  return refusedSource(location, 'is a class without any picture', 'put pictures there, or remove the folder');
}
