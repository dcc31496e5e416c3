/** Folders of pictures as people have them: which pictures are found, under which class and split, and what is refused. */
import { link, mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { decodeImage } from '../../../../lib/data/decode-image.ts';
import { openSource } from '../../../../lib/data/formats/open-source.ts';
import type { OpenedSource, SourceOptions } from '../../../../lib/data/formats/source-options.ts';
import { tempFolder } from '../../../helpers/temp-folder.ts';

const picture = await sharp({ create: { width: 4, height: 4, channels: 3, background: { r: 9, g: 99, b: 199 } } })
  .png()
  .toBuffer();

/** Writes pictures at the paths given, below a new folder. */
async function folderOf(t: ExecutionContext, files: readonly string[]): Promise<string> {
  const folder = await tempFolder(t);
  for (const file of files) {
    const location = path.join(folder, file);
    await mkdir(path.dirname(location), { recursive: true });
    await writeFile(location, picture);
  }
  return folder;
}

async function open(t: ExecutionContext, folder: string, options: Partial<SourceOptions> = {}): Promise<OpenedSource> {
  const source = await openSource(folder, { scratch: folder, ...options });
  t.teardown(() => source.close());
  return source;
}

/** `split class path` of every sample. */
function listing(source: OpenedSource, folder: string): string[] {
  return Array.from({ length: source.count }, (_, index) => {
    const location = path.relative(folder, source.whereOf(index)).split(path.sep).join('/');
    return `${source.splitOf(index)} ${source.classNames[source.labelOf(index)]} ${location}`;
  });
}

/** Pictures `0.png`, `1.png`, … in each class. */
const many = (count: number, ...classes: string[]) =>
  classes.flatMap((name) => Array.from({ length: count }, (_, index) => `${name}/${index}.png`));

test('train, val and test folders: val trains beside test, is the test split without it, and is what the user says', async (t) => {
  const folder = await folderOf(t, ['train/b/1.png', 'train/a/2.png', 'val/a/3.png', 'test/b/4.png']);
  t.deepEqual(listing(await open(t, folder), folder), [
    'train a train/a/2.png',
    'train a val/a/3.png',
    'test b test/b/4.png',
    'train b train/b/1.png',
  ]);
  t.is(listing(await open(t, folder, { valAs: 'test' }), folder)[1], 'test a val/a/3.png');
  const imagenet = await folderOf(t, ['Train/a/1.png', 'Validation/a/2.png']);
  t.deepEqual(listing(await open(t, imagenet), imagenet), ['train a Train/a/1.png', 'test a Validation/a/2.png']);
  const joined = await open(t, await folderOf(t, [...many(5, 'train/a'), 'val/a/x.png']), { valAs: 'train' });
  t.is(Array.from({ length: 6 }, (_, index) => joined.splitOf(index)).filter((split) => split === 'test').length, 1);
});

test('one folder of classes: a share of each is for testing, the same for the same seed', async (t) => {
  const folder = await folderOf(t, [...many(20, 'cat', 'dog'), ...many(2, 'rare'), 'single/1.png']);
  const held = async (options: Partial<SourceOptions>) => {
    const source = await open(t, folder, options);
    return listing(source, folder).filter((line) => line.startsWith('test'));
  };
  const count = (lines: readonly string[], name: string) => lines.filter((line) => line.includes(` ${name} `)).length;
  const first = await held({ testShare: 0.25, seed: 7 });
  t.deepEqual(await held({ testShare: 0.25, seed: 7 }), first);
  t.notDeepEqual(await held({ testShare: 0.25, seed: 8 }), first);
  t.deepEqual(
    ['cat', 'dog', 'rare', 'single'].map((name) => count(first, name)),
    [5, 5, 1, 0],
  );
  t.is(count(await held({}), 'dog'), 4);
  const train = await open(t, await folderOf(t, many(4, 'train/a', 'train/b')), { testShare: 0.5 });
  t.deepEqual(train.classNames, ['a', 'b']);
  t.is(Array.from({ length: 8 }, (_, index) => train.splitOf(index)).filter((split) => split === 'test').length, 4);
});

test('a class may be called train; its neighbours are classes then', async (t) => {
  const source = await open(t, await folderOf(t, many(2, 'car', 'train', 'boat')));
  t.deepEqual(source.classNames, ['boat', 'car', 'train']);
});

test('names in any script, in the order of code points; nested folders and hidden files', async (t) => {
  const folder = await folderOf(t, [
    'Ärger/ü.png',
    'zebra/deep/er/2.JPG',
    'zebra/deep/1.png',
    'zebra/.hidden.png',
    '.git/x.png',
    '猫/一.webp',
    '😀/a.png',
    'ﬀ/a.png',
    'Zebra2/no-extension',
  ]);
  const source = await open(t, folder);
  t.deepEqual(source.classNames, ['Zebra2', 'zebra', 'Ärger', '猫', 'ﬀ', '😀']);
  t.deepEqual(
    listing(source, folder)
      .map((line) => line.split(' ')[2])
      .sort(),
    [
      'Zebra2/no-extension',
      'zebra/deep/1.png',
      'zebra/deep/er/2.JPG',
      'Ärger/ü.png',
      'ﬀ/a.png',
      '猫/一.webp',
      '😀/a.png',
    ].sort(),
  );
  t.deepEqual(source.image, { height: 224, width: 224, channels: 3 });
  t.deepEqual(source.storage, { kind: 'encoded', fit: 'squash' });
});

test('the bytes of the files are delivered as they are; what is no picture by its content is a bad sample', async (t) => {
  const folder = await folderOf(t, many(3, 'a'));
  await writeFile(path.join(folder, 'a/notes.txt'), 'left aside');
  await writeFile(path.join(folder, 'a/list.CSV'), 'left aside');
  await writeFile(path.join(folder, 'a/x.jpg'), 'GIF89a, whatever it is called');
  await writeFile(path.join(folder, 'a/y.png'), '');
  await symlink('y.png', path.join(folder, 'a/z.png'));
  const source = await open(t, folder, { size: 8, fit: 'crop' });
  t.deepEqual(
    [...source.ignored],
    [
      ['.csv', 1],
      ['.txt', 1],
    ],
  );
  t.is(source.count, 6);
  const bytes = await source.read(0);
  t.deepEqual(Buffer.from(bytes), picture);
  t.is((await decodeImage(bytes, source.image, { fit: 'crop', where: source.whereOf(0) })).length, 8 * 8 * 3);
  for (const [index, message] of [
    [3, /a\/x\.jpg is no JPEG, PNG or WebP file \(offset 0\)$/],
    [4, /a\/y\.png is empty$/],
  ] as const) {
    await t.throwsAsync(source.read(index), { code: 'DATA_LOSS', message });
  }
});

test('a file that cannot be read later is a bad sample; a hard link is a file like any other', async (t) => {
  const folder = await folderOf(t, many(2, 'a'));
  await link(path.join(folder, 'a/0.png'), path.join(folder, 'a/00.png'));
  const source = await open(t, folder);
  t.is(source.count, 3);
  await rename(path.join(folder, 'a/1.png'), path.join(folder, 'gone'));
  await t.throwsAsync(source.read(2), { code: 'DATA_LOSS', message: /a\/1\.png cannot be opened: ENOENT/ });
});

test('links within the folder are followed; loops, dead ends and ways out are refused, naming the link', async (t) => {
  const inside = await folderOf(t, ['store/a/1.png', 'store/a/2.png']);
  await symlink('1.png', path.join(inside, 'store/a/3.png'));
  const source = await open(t, path.join(inside, 'store'));
  t.deepEqual([source.count, Buffer.from(await source.read(2))], [3, picture]);

  const outside = await folderOf(t, ['c/1.png']);
  const cases: [string, (folder: string) => Promise<void>, RegExp][] = [
    ['a loop', (folder) => symlink('..', path.join(folder, 'a/up')), /a\/up is a symbolic link back to .*: a loop$/],
    [
      'itself',
      (folder) => symlink('self', path.join(folder, 'a/self')),
      /a\/self is a symbolic link that goes in a circle/,
    ],
    [
      'nowhere',
      (folder) => symlink('gone.png', path.join(folder, 'a/4.png')),
      /a\/4\.png is a symbolic link that points nowhere/,
    ],
    [
      'out',
      (folder) => symlink(path.join(outside, 'c'), path.join(folder, 'c')),
      /\/c is a symbolic link out of the data set's folder/,
    ],
    [
      'out to a file',
      (folder) => symlink(path.join(outside, 'c/1.png'), path.join(folder, 'a/4.png')),
      /a\/4\.png is a symbolic link out/,
    ],
    ['twice the same', (folder) => symlink('a', path.join(folder, 'b')), /\/b and .*\/a are the same folder/],
  ];
  for (const [what, change, message] of cases) {
    const folder = await folderOf(t, many(2, 'a'));
    await change(folder);
    const error = await t.throwsAsync(open(t, folder), { code: 'FAILED_PRECONDITION', message }, what);
    t.truthy((error as { hint?: string }).hint, what);
  }
});

test('layouts that mean nothing are refused, naming the folders', async (t) => {
  const cases: [string, readonly string[], RegExp][] = [
    ['case', ['Cat/1.png', 'cat/1.png'], /\/cat and .*\/Cat differ by upper and lower case alone/],
    ['case across splits', ['train/Cat/1.png', 'test/cat/1.png'], /\/Cat and .*\/cat differ by upper/],
    ['accents in two ways', ['caf\u00e9/1.png', 'cafe\u0301/1.png'], /differ by upper and lower case alone/],
    ['an empty class', ['a/1.png', 'b/readme.txt'], /\/b is a class without any picture/],
    ['a class for testing alone', ['train/a/1.png', 'test/a/1.png', 'test/b/1.png'], /\/test\/b is for testing alone/],
    ['no training', ['test/a/1.png', 'val/a/1.png'], /holds test and val, but no train/],
    [
      'something beside the splits',
      ['train/a/1.png', 'test/a/1.png', 'meta/x/1.png'],
      /\/meta lies beside .*is no split/,
    ],
    ['two folders for a split', ['train/a/1.png', 'val/a/1.png', 'valid/a/1.png'], /are for the same split/],
    ['a picture beside the classes', ['a/1.png', 'loose.JPEG'], /loose\.JPEG lies in no class folder/],
    [
      'a picture beside the classes of a split',
      ['train/a/1.png', 'test/a/1.png', 'test/loose.png'],
      /test\/loose\.png lies in no/,
    ],
    ['no classes', ['train/.hidden'], /holds no class folders/],
  ];
  for (const [what, files, message] of cases) {
    const error = await t.throwsAsync(
      open(t, await folderOf(t, files)),
      { code: 'FAILED_PRECONDITION', message },
      what,
    );
    t.truthy((error as { hint?: string }).hint, what);
  }
});
