/** CIFAR's official binary files, record by record, and what is refused. */
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { createRandom } from '../../../../lib/base/random.ts';
import { openSource } from '../../../../lib/data/formats/open-source.ts';
import { tempFolder } from '../../../helpers/temp-folder.ts';

const CIFAR10 = [...[1, 2, 3, 4, 5].map((number) => `data_batch_${number}.bin`), 'test_batch.bin'];

/** Records of random pixels behind the label bytes given. */
function records(seed: number, labels: readonly (readonly number[])[]): Buffer {
  const random = createRandom(seed);
  const pixels = () => Uint8Array.from({ length: 3072 }, () => random.nextInt(256));
  return Buffer.concat(labels.flatMap((label) => [Uint8Array.from(label), pixels()]));
}

async function cifar10(t: ExecutionContext): Promise<{ folder: string; scratch: string; files: Buffer[] }> {
  const folder = await tempFolder(t);
  const files = CIFAR10.map((_, file) => records(file, [[file], [9 - file], [5]]));
  for (const [at, name] of CIFAR10.entries()) await writeFile(path.join(folder, name), files[at] as Buffer);
  return { folder, scratch: await tempFolder(t), files };
}

test('CIFAR-10: pixels row by row, labels, splits and places; names are the official ones where they are missing', async (t) => {
  const { folder, scratch, files } = await cifar10(t);
  const source = await openSource(folder, { scratch });
  t.teardown(() => source.close());
  t.is(source.format, 'cifar10');
  t.is(source.count, 18);
  t.is(source.classNames[3], 'cat');
  for (let index = 0; index < 18; index++) {
    const [file, record] = [Math.floor(index / 3), index % 3];
    t.is(source.labelOf(index), [file, 9 - file, 5][record] as number);
    t.is(source.splitOf(index), file === 5 ? 'test' : 'train');
    const stored = (files[file] as Buffer).subarray(record * 3073 + 1, (record + 1) * 3073);
    const expected = Uint8Array.from(
      { length: 3072 },
      (_, at) => stored[(at % 3) * 1024 + Math.floor(at / 3)] as number,
    );
    t.deepEqual(await source.read(index), expected);
  }
  t.is(source.whereOf(4), `${path.join(folder, 'data_batch_2.bin')} (record 1, offset 3073)`);
});

test('CIFAR-10: names from the file beside it; the folder above the unpacked one will do', async (t) => {
  const { folder, scratch } = await cifar10(t);
  const above = await tempFolder(t);
  const inner = path.join(above, 'cifar-10-batches-bin');
  await mkdir(inner);
  for (const name of CIFAR10) await writeFile(path.join(inner, name), records(1, [[1]]));
  await writeFile(path.join(inner, 'batches.meta.txt'), 'un\ndeux\n\n');
  const source = await openSource(above, { scratch });
  t.deepEqual(source.classNames, ['un', 'deux']);
  await source.close();
  await writeFile(path.join(folder, 'batches.meta.txt'), 'a\nb\na\n');
  await t.throwsAsync(openSource(folder, { scratch }), {
    code: 'INVALID_ARGUMENT',
    message: /batches\.meta\.txt: class name 3 "a" occurs twice/,
  });
});

test('CIFAR-100: fine labels, or coarse ones', async (t) => {
  const folder = await tempFolder(t);
  const scratch = await tempFolder(t);
  await writeFile(
    path.join(folder, 'train.bin'),
    records(1, [
      [2, 1],
      [0, 3],
    ]),
  );
  await writeFile(path.join(folder, 'test.bin'), records(2, [[1, 0]]));
  await t.throwsAsync(openSource(folder, { scratch }), { message: /lacks fine_label_names\.txt/ });
  await writeFile(path.join(folder, 'fine_label_names.txt'), 'apple\nbear\ncan\ndoor\n');
  await writeFile(path.join(folder, 'coarse_label_names.txt'), 'fruit\nanimals\nthings\n');
  for (const [coarse, names, labels] of [
    [false, ['apple', 'bear', 'can', 'door'], [1, 3, 0]],
    [true, ['fruit', 'animals', 'things'], [2, 0, 1]],
  ] as const) {
    const source = await openSource(folder, { scratch, coarse });
    t.is(source.format, 'cifar100');
    t.deepEqual(source.classNames, [...names]);
    t.deepEqual(
      [0, 1, 2].map((index) => source.labelOf(index)),
      [...labels],
    );
    t.is((await source.read(2)).length, 3072);
    await source.close();
  }
});

test('a label out of range makes a bad sample, named by file and offset', async (t) => {
  const { folder, scratch } = await cifar10(t);
  await writeFile(path.join(folder, 'data_batch_2.bin'), records(4, [[1], [10], [2]]));
  const source = await openSource(folder, { scratch });
  t.teardown(() => source.close());
  t.is(source.labelOf(4), 0);
  t.is((await source.read(5)).length, 3072);
  await t.throwsAsync(source.read(4), {
    code: 'DATA_LOSS',
    message: /data_batch_2\.bin \(record 1, offset 3073\) has the label 10, expected 0 to 9$/,
  });
});

test('files that are cut off, too long, empty, missing or no files are refused by name', async (t) => {
  const { folder, scratch, files } = await cifar10(t);
  const batch = path.join(folder, 'data_batch_1.bin');
  const refused = async (what: string, message: RegExp, code: string) => {
    await t.throwsAsync(openSource(folder, { scratch }), { code, message }, what);
    await rm(batch, { recursive: true, force: true });
    await writeFile(batch, files[0] as Buffer);
  };
  await truncate(batch, 9000);
  await refused(
    'cut off',
    /data_batch_1\.bin is 9000 bytes long.*multiple of 3073.*offset 6146 is cut off/,
    'DATA_LOSS',
  );
  await writeFile(batch, Buffer.concat([files[0] as Buffer, Buffer.alloc(1)]));
  await refused('too long', /is 9220 bytes long.*offset 9219/, 'DATA_LOSS');
  await writeFile(batch, '');
  await refused('empty', /is 0 bytes long/, 'DATA_LOSS');
  await rm(batch);
  await mkdir(batch);
  await refused('a folder', /lacks data_batch_1\.bin/, 'FAILED_PRECONDITION');
  await rm(path.join(folder, 'test_batch.bin'));
  await refused('missing', /lacks test_batch\.bin/, 'FAILED_PRECONDITION');
});
