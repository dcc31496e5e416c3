/** Files of a teacher on the disk of several workers, in real processes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readdir, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { sha256, sha256InPieces } from '../../../../lib/base/digest.ts';
import { createFolderStore } from '../../../../lib/checkpoint/store.ts';
import { materialise, storeModelFiles } from '../../../../lib/wire/teachers/model-files.ts';
import { listSourceFiles } from '../../../../lib/wire/teachers/source-files.ts';
import { tempFolder } from '../../../helpers/temp-folder.ts';

const ENTRY = fileURLToPath(new URL('../../../helpers/model-files-entry.ts', import.meta.url));
const CONTENTS = ['one', 'two', 'three'];

test('who comes later leaves the files alone that another process uses, and replaces damaged ones', async (t) => {
  const [source, store, folder] = [await tempFolder(t), await tempFolder(t), await tempFolder(t)];
  for (const name of CONTENTS) await writeFile(path.join(source, name), name);
  const objects = createFolderStore(store);
  const files = CONTENTS.map((name) => ({ path: name, location: path.join(source, name) }));
  const digest = await storeModelFiles(objects, { entry: '.', files });
  const other = spawn(
    process.execPath,
    ['--import=tsx', ENTRY, store, digest, sha256(CONTENTS.at(-1) as string), folder],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  t.teardown(() => other.kill('SIGKILL'));
  const ended = once(other, 'exit');
  await once(other.stdout, 'data');
  const place = await materialise(objects, digest, folder);
  const { ino } = await stat(path.join(place, 'one'));
  other.stdin.end('on\n');
  t.deepEqual(await ended, [0, null]);
  t.is((await stat(path.join(place, 'one'))).ino, ino, 'it is the same file');
  await truncate(path.join(place, 'two'), 1);
  t.is(await materialise(objects, digest, folder), place);
  t.is((await stat(path.join(place, 'two'))).size, 3);
  t.deepEqual(await readdir(folder), [path.basename(place)]);
});

test('what is too large to be stored is refused before it is read', async (t) => {
  const folder = await tempFolder(t);
  const large = path.join(folder, 'large.onnx');
  const file = await open(large, 'wx');
  // Takes no place on the disk, and would take it in memory.
  await file.truncate(2 ** 31);
  await file.close();
  for (const type of ['onnx', 'tfjs'] as const) {
    await t.throwsAsync(listSourceFiles({ type, path: large }), {
      code: 'INVALID_ARGUMENT',
      message: /2147483648 bytes/,
    });
    await t.throwsAsync(listSourceFiles({ type, path: folder }), {
      code: 'INVALID_ARGUMENT',
      message: /is not a file/,
    });
  }
  await mkdir(path.join(folder, 'variables', 'parts'), { recursive: true });
  const names = ['saved_model.pb', 'variables/variables.index', 'variables/parts/0'];
  for (const name of names) await writeFile(path.join(folder, name), name);
  const { files } = await listSourceFiles({ type: 'saved-model', path: folder });
  t.deepEqual(files.map((each) => each.path).sort(), [...names].sort());
});

test('timers fire while many bytes are hashed, and the digest is the same', async (t) => {
  const bytes = new Uint8Array(50 << 20).fill(7);
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 0);
  const digest = await sha256InPieces(bytes);
  clearInterval(timer);
  t.true(turns > 2, `${turns}`);
  t.is(digest, sha256(bytes));
  t.is(await sha256InPieces(new Uint8Array(0)), sha256(''));
});
