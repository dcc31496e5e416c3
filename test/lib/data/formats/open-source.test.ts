/** Which format a folder is in, and which options mean something there. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { openSource } from '../../../../lib/data/formats/open-source.ts';
import type { SourceOptions } from '../../../../lib/data/formats/source-options.ts';
import { writeIdxFolder, writePictures } from '../../../helpers/source-folders.ts';
import { tempFolder } from '../../../helpers/temp-folder.ts';

test('the format is found by the files, or given', async (t) => {
  const folder = await tempFolder(t);
  await writeIdxFolder(folder, { seed: 1, side: 3, train: 10, test: 10 });
  await writePictures(folder, { seed: 1, classes: ['a'], perClass: 2, side: 4 });
  for (const [format, count] of [
    [undefined, 20],
    ['idx', 20],
    ['imagefolder', 2],
  ] as const) {
    const source = await openSource(folder, { format, scratch: folder });
    t.is(source.count, count);
    await source.close();
  }
  await writeFile(path.join(folder, 'train_32x32.mat'), '');
  await t.throwsAsync(openSource(folder, { scratch: folder }), {
    code: 'INVALID_ARGUMENT',
    message: /looks like idx and svhn/,
  });
});

test('what is no folder of a data set is refused, with what to do', async (t) => {
  const folder = await tempFolder(t);
  const archive = path.join(folder, 'cifar-10-binary.tar.gz');
  const refused = async (location: string, message: RegExp, hint: RegExp) => {
    const error = await t.throwsAsync(openSource(location, { scratch: folder }), {
      code: 'FAILED_PRECONDITION',
      message,
    });
    t.regex((error as { hint?: string }).hint ?? '', hint);
  };
  await refused(path.join(folder, 'none'), /none cannot be read: ENOENT/, /name the folder/);
  await refused(folder, /holds no data set: expected class folders/, /name the folder/);
  await writeFile(archive, '');
  await refused(archive, /is a file, expected the folder/, /unpack it first/);
  await refused(folder, /holds no data set/, /unpack cifar-10-binary\.tar\.gz first/);
  await mkdir(path.join(folder, 'class'));
  await refused(folder, /is a class without any picture/, /put pictures there/);
});

test('options that mean nothing in the format, and nonsense, are refused by name', async (t) => {
  const folder = await tempFolder(t);
  const pictures = await tempFolder(t);
  await writeIdxFolder(folder, { seed: 1, side: 3, train: 10, test: 10 });
  await writePictures(pictures, { seed: 1, classes: ['train', 'test'], perClass: 2, side: 4 });
  const cases: [string, Partial<SourceOptions>, RegExp][] = [
    [folder, { size: 32 }, /^size is for the format imagefolder, this is idx/],
    [folder, { coarse: true }, /^coarse is for the format cifar100/],
    [pictures, { classNames: ['a'] }, /^classNames is for the format idx, this is imagefolder/],
    [pictures, { size: 0 }, /^size is 0, expected a whole number from 1 to 4096/],
    [pictures, { testShare: 1 }, /^testShare is 1, expected a number between 0 and 1/],
    [pictures, { seed: 2 ** 32 }, /^seed is 4294967296/],
  ];
  for (const [location, options, message] of cases) {
    await t.throwsAsync(openSource(location, { scratch: folder, ...options }), { code: 'INVALID_ARGUMENT', message });
  }
  const split = await tempFolder(t);
  for (const name of ['train', 'test']) {
    await writePictures(path.join(split, name), { seed: 1, classes: ['a'], perClass: 2, side: 4 });
  }
  await t.throwsAsync(openSource(split, { scratch: folder, testShare: 0.3 }), {
    code: 'INVALID_ARGUMENT',
    message: /has a test split already/,
  });
});
