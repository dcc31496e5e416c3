/** Which folders of an ImageFolder hold which class for which split. */
import path from 'node:path';
import { StillhouseError } from '../../base/errors.ts';
import type { SplitName } from '../manifest.ts';
import type { FolderWalk, WalkedFolder } from './folder-walk.ts';
import { refusedSource, type SourceOptions } from './source-options.ts';

export interface ClassFolder {
  readonly folder: WalkedFolder;
  /** `by share`: a share of its pictures is for testing. */
  readonly split: SplitName | 'by share';
}

type SplitFolder = 'train' | 'val' | 'test';

/** What folders of splits are called, in lower case. */
const SPLIT_FOLDERS: ReadonlyMap<string, SplitFolder> = new Map([
  ['train', 'train'],
  ['training', 'train'],
  ['val', 'val'],
  ['valid', 'val'],
  ['validation', 'val'],
  ['test', 'test'],
  ['testing', 'test'],
]);

const PICTURE = /\.(jpe?g|png|webp)$/i;

/**
 * The class folders by class name.
 * @throws StillhouseError FAILED_PRECONDITION for a layout that means nothing: no classes, folders that differ by case alone, a
 *   class for testing alone, pictures beside the class folders.
 */
export async function listClasses(walk: FolderWalk, options: SourceOptions): Promise<Map<string, ClassFolder[]>> {
  const { folders, files } = await walk.list(walk.root);
  refusePictures(walk.root, files);
  const classes = new Classes();
  const bySplit = splitFolders(walk.root, folders);
  if (bySplit === null) {
    for (const [name, folder] of folders) classes.add(name, { folder, split: 'by share' });
  } else {
    for (const [part, root] of bySplit) {
      const inner = await walk.list(root);
      refusePictures(root, inner.files);
      const split = splitOf(part, bySplit, options.valAs);
      for (const [className, folder] of inner.folders) classes.add(className, { folder, split });
    }
  }
  checkClasses(walk.root.location, classes.byName, options);
  return classes.byName;
}

/** The folders of splits by what they are for, when that is what the folders are; null when they are classes. */
function splitFolders(
  root: WalkedFolder,
  folders: ReadonlyMap<string, WalkedFolder>,
): ReadonlyMap<SplitFolder, WalkedFolder> | null {
  const splits = new Map<SplitFolder, WalkedFolder>();
  const others: WalkedFolder[] = [];
  for (const [name, folder] of folders) {
    const part = SPLIT_FOLDERS.get(name.toLowerCase());
    const twin = part === undefined ? undefined : splits.get(part);
    if (part === undefined) others.push(folder);
    else if (twin === undefined) splits.set(part, folder);
    else throw refusedSource(folder.location, `and ${twin.location} are for the same split`, 'put both into one');
  }
  // A class may well be called "train": then it stands among other classes.
  const isSplit = splits.size >= 2 || (splits.size === 1 && others.length === 0);
  if (!isSplit) return null;
  if (!splits.has('train')) {
    throw refusedSource(
      root.location,
      `holds ${[...splits.keys()].join(' and ')}, but no train`,
      'add training images',
    );
  }
  if (others[0] !== undefined) {
    const names = [...splits.values()].map(({ location }) => path.basename(location)).join(' and ');
    throw refusedSource(others[0].location, `lies beside ${names}, but is no split`, 'move it elsewhere');
  }
  return splits;
}

function splitOf(
  part: SplitFolder,
  splits: ReadonlyMap<SplitFolder, WalkedFolder>,
  valAs: SplitName = splits.has('test') ? 'train' : 'test',
): ClassFolder['split'] {
  if (part === 'test') return 'test';
  if (part === 'val') return valAs;
  return splits.has('test') || (splits.has('val') && valAs === 'test') ? 'train' : 'by share';
}

/** Classes by name, and by what the name becomes where case does not count. */
class Classes {
  readonly byName = new Map<string, ClassFolder[]>();
  readonly #byFoldedName = new Map<string, { readonly name: string; readonly location: string }>();

  add(name: string, added: ClassFolder): void {
    const { location } = added.folder;
    const twin = this.#byFoldedName.get(folded(name));
    if (twin === undefined) this.#byFoldedName.set(folded(name), { name, location });
    else if (twin.name !== name) {
      throw refusedSource(
        location,
        `and ${twin.location} differ by upper and lower case alone`,
        'rename one of them, or put the pictures of both into one',
      );
    }
    this.byName.set(name, [...(this.byName.get(name) ?? []), added]);
  }
}

/** What a file system that does not tell case apart makes of a name; letters with accents are written in one way. */
function folded(name: string): string {
  return name.normalize('NFC').toLowerCase();
}

function checkClasses(root: string, classes: ReadonlyMap<string, ClassFolder[]>, { testShare }: SourceOptions): void {
  if (classes.size === 0)
    throw refusedSource(root, 'holds no class folders', 'put the pictures of each class in a folder');
  for (const [name, folders] of classes) {
    if (folders.some(({ split }) => split !== 'test')) continue;
    const location = (folders[0] as ClassFolder).folder.location;
    throw refusedSource(
      location,
      `is for testing alone: no folder for training has a class "${name}"`,
      'add its pictures',
    );
  }
  const byShare = [...classes.values()].flat().some(({ split }) => split === 'by share');
  if (testShare === undefined || byShare) return;
  throw new StillhouseError('INVALID_ARGUMENT', `testShare: ${root} has a test split already`, {
    field: 'testShare',
    hint: 'leave it out',
  });
}

function refusePictures(folder: WalkedFolder, files: readonly string[]): void {
  const picture = files.find((name) => PICTURE.test(name));
  if (picture === undefined) return;
  throw refusedSource(
    path.join(folder.location, picture),
    'lies in no class folder',
    'move it to the folder of its class',
  );
}
