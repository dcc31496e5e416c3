import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { writeExport } from '../../../../lib/model/export/write-export.ts';
import { tempFolder } from '../../../helpers/temp-folder.ts';

const bytes = Uint8Array.of(1, 2, 3);

test('files and folders are written whole, with the folders above them', async (t) => {
  const root = await tempFolder(t);
  await writeExport(path.join(root, 'a/b/model.onnx'), bytes);
  await writeExport(path.join(root, 'a/saved'), new Map([['assets.extra/notes.json', bytes]]));
  t.deepEqual(new Uint8Array(await readFile(path.join(root, 'a/b/model.onnx'))), bytes);
  t.deepEqual((await readdir(root, { recursive: true })).sort(), [
    'a',
    'a/b',
    'a/b/model.onnx',
    'a/saved',
    'a/saved/assets.extra',
    'a/saved/assets.extra/notes.json',
  ]);
});

test('nothing is replaced and nothing is left behind', async (t) => {
  const root = await tempFolder(t);
  await writeFile(path.join(root, 'file'), 'mine');
  await mkdir(path.join(root, 'folder'));
  for (const exported of [bytes, new Map([['saved_model.pb', bytes]])]) {
    for (const name of ['file', 'folder']) {
      const error = await t.throwsAsync(writeExport(path.join(root, name), exported), { code: 'ALREADY_EXISTS' });
      t.regex(error?.message ?? '', new RegExp(`${name} exists already`));
    }
    const error = await t.throwsAsync(writeExport(path.join(root, 'file/below'), exported), {
      code: 'FAILED_PRECONDITION',
    });
    t.regex(error?.message ?? '', /cannot write .*file.below: ENOTDIR/);
  }
  // A file of the export that cannot be written: the whole export is missing afterwards.
  const impossible = new Map([
    ['first', bytes],
    ['x'.repeat(300), bytes],
  ]);
  await t.throwsAsync(writeExport(path.join(root, 'new'), impossible), { code: 'FAILED_PRECONDITION' });
  t.deepEqual((await readdir(root, { recursive: true })).sort(), ['file', 'folder']);
  t.is(await readFile(path.join(root, 'file'), 'utf8'), 'mine');
});
