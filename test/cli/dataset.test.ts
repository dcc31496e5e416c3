/** `stillhouse dataset`: import, list, info, verify, preview, on small data sets of every way of keeping samples. */
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { openSource } from '../../lib/data/formats/open-source.ts';
import { importDataset } from '../../lib/data/import-dataset.ts';
import { readDatasetManifest } from '../../lib/data/open-dataset.ts';
import { runCli, startCli, until } from '../helpers/cli.ts';
import { runClis } from '../helpers/cli-batch.ts';
import { writeSmallDataset } from '../helpers/small-dataset.ts';
import { writeIdxFolder, writePictures } from '../helpers/source-folders.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

const SEED = 3;
const CLASSES = ['ash & elm', 'beech', 'cedar'];

interface Folders {
  readonly root: string;
  readonly pictures: string;
  readonly files: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
}

/** Ten pictures of 40 x 40 in each of three classes. */
async function setUp(t: ExecutionContext): Promise<Folders> {
  const folder = await tempFolder(t);
  const pictures = path.join(folder, 'pictures');
  const files = await writePictures(pictures, { seed: SEED, classes: CLASSES, perClass: 10, side: 40 });
  const root = path.join(folder, 'data');
  return { root, pictures, files, environment: { STILLHOUSE_DATA: root } };
}

const importPictures = ({ pictures }: Folders, ...more: string[]) => [
  ...['dataset', 'import', pictures, '--name', 'trees', '--size', '32'],
  ...more,
];

test('pictures are imported once, listed, described, verified and drawn', async (t) => {
  const folders = await setUp(t);
  const { root, environment } = folders;
  const sheet = path.join(root, 'sheet.png');
  const results = await runClis(
    [
      ['dataset', 'list'],
      importPictures(folders, '--statistics'),
      importPictures(folders),
      ['dataset', 'list'],
      ['dataset', 'list', '--json'],
      ['dataset', 'info', 'trees', '--json', '--samples', '0,29'],
      ['dataset', 'verify', path.join(root, 'trees')],
      ['dataset', 'preview', 'trees', '--out', sheet, '--count', '9'],
    ],
    environment,
  );
  const codes = results.map(({ code }) => code);
  t.deepEqual(codes, [0, 0, 1, 0, 0, 0, 0, 0], results.map(({ err }) => err).join('\n'));
  const [none, imported, again, list, listJson, info, verified, preview] = results.map((result) => result);
  t.regex(none?.out ?? '', /none in .*stillhouse dataset fetch/);
  t.regex(imported?.err ?? '', /trees: 24 training and 6 test images of 3 classes, 32x32; \d+\.\d kB in 2 shards/);
  t.regex(again?.err ?? '', /there is a data set trees already.*--replace/);
  const { digest, statistics } = (await readDatasetManifest(root, 'trees')) as { digest: string; statistics?: object };
  t.regex(imported?.out ?? '', new RegExp(`${digest}\n$`));
  t.regex(list?.out ?? '', /^trees +30 +3 +32x32 .*imagefolder +sha256:[0-9a-f]{12}$/m);
  t.like(JSON.parse(listJson?.out ?? ''), [{ name: 'trees', images: 30, digest, statistics, synthetic: null }]);
  const described = JSON.parse(info?.out ?? '');
  t.like(described, { splits: { train: 24, test: 6 }, format: 'imagefolder', badSamples: [] });
  t.deepEqual(
    described.classes,
    CLASSES.map((name) => ({ name, train: 8, test: 2 })),
  );
  t.like(described.samples, [
    { id: 0, split: 'train', problem: null },
    { id: 29, split: 'test' },
  ]);
  t.regex(verified?.out ?? '', /trees: 3 files, .*, 30 images decoded: all as it should be/);
  t.regex(preview?.out ?? '', /sheet\.png: 9 train images of trees/);
  const { width, height, format } = await sharp(sheet).metadata();
  t.deepEqual([width, height, format], [8 + 3 * 136, 8 + 3 * (128 + 16 + 8), 'png']);
  t.deepEqual((await readdir(root)).sort(), ['sheet.png', 'trees'], 'nothing half-made is left');
});

test('a damaged picture refuses the import, unless it may be kept; a job is told of it', async (t) => {
  const folders = await setUp(t);
  const { root, files, environment } = folders;
  const damaged = files[13] as string;
  await writeFile(damaged, (await readFile(damaged)).subarray(0, 300));
  const job = path.join(path.dirname(root), 'job.yaml');
  await writeFile(job, JOB);
  const results = await runClis(
    [
      importPictures(folders),
      importPictures(folders, '--bad-samples', 'keep:2'),
      ['dataset', 'info', 'trees'],
      ['dataset', 'verify', 'trees', '--json'],
      importPictures(folders, '--bad-samples', 'skip:2'),
      importPictures(folders, '--bad-samples', 'keep:1001'),
      importPictures(folders, '--replace', '--bad-samples', 'keep:1', '--seed', '9'),
      ['run', job, '--out', path.join(root, 'run')],
    ],
    environment,
  );
  const [refused, kept, info, verified, misspelt, tooMany, replaced, run] = results;
  t.is(refused?.code, 1);
  t.regex(refused?.err ?? '', /0003\.jpg cannot be decoded: .*--bad-samples keep:N/);
  t.is(kept?.code, 0, kept?.err);
  const [, training, testing] = /images +(\d+) train, (\d+) test/.exec(info?.out ?? '') ?? [];
  t.is(Number(training) + Number(testing), 29);
  t.true(kept?.err.includes(`trees: ${training} training and ${testing} test images`), kept?.err);
  t.regex(kept?.err ?? '', /1 damaged sample; jobs that shall leave them out say data\.badSamples/);
  t.regex(info?.out ?? '', /bad samples +1\n +\d+ +\S+0003\.jpg: cannot be decoded/);
  t.like(JSON.parse(verified?.out ?? ''), { ok: true, images: 29, problems: [] });
  t.is(misspelt?.code, 2);
  t.is(tooMany?.code, 2);
  t.regex(tooMany?.err ?? '', /keep: and how many, up to 1000/);
  t.is(replaced?.code, 0, replaced?.err);
  t.not(kept?.out, replaced?.out, 'another order, another digest');
  t.is(run?.code, 1);
  t.regex(
    run?.err ?? '',
    /data\.badSamples: trees has a damaged sample; the first is sample \d+, .*0003\.jpg: cannot be decoded/,
  );
});

const JOB = `
apiVersion: stillhouse/v1
kind: Job
name: trees
data: { dataset: trees, views: { flip: true, crop: {}, mixup: 0.4 } }
teachers: [{ name: big, arch: simple-cnn }]
students: [{ name: small, arch: gap-cnn }, { name: two, arch: gap-cnn, classes: [beech, cedar] }]
`;

test('verify names what is damaged, with file and offset, and ends with exit code 1', async (t) => {
  const { root, pictures, environment } = await setUp(t);
  const source = await openSource(pictures, { scratch: root, size: 32 });
  await importDataset(source, path.join(root, 'trees'), { name: 'trees' });
  await source.close();
  const manifest = await readDatasetManifest(root, 'trees');
  const shard = manifest.formatVersion === 2 ? (manifest.shards[0]?.path as string) : '';
  const location = path.join(root, 'trees', shard);
  const bytes = await readFile(location);
  // In the middle of a picture: what its header says is still right.
  const at = bytes.readUInt32LE(8 + 4 * 5);
  bytes.fill(0, at, at + 200);
  await writeFile(location, bytes);
  const results = await runClis(
    [
      ['dataset', 'verify', 'trees', '--quick'],
      ['dataset', 'verify', 'trees'],
      ['dataset', 'verify', 'trees', '--json'],
    ],
    environment,
  );
  t.deepEqual(
    results.map(({ code }) => code),
    [1, 1, 1],
  );
  const [quick, whole, json] = results.map(({ out }) => out);
  t.regex(
    quick ?? '',
    new RegExp(`${shard} has SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}\ntrees: 3 files, .*: 1 problem\n`),
  );
  t.regex(whole ?? '', new RegExp(`${shard} at offset ${at} is no JPEG, PNG or WebP file\n.*: 2 problems\n`));
  t.like(JSON.parse(json ?? ''), { ok: false, images: 30, files: 3 });
  t.is(JSON.parse(json ?? '').problems.length, 2);
});

test('official files in place are described and verified too', async (t) => {
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'small');
  const { folder, manifest } = await writeSmallDataset(root, 'short');
  const file = path.join(folder, manifest.files[1]?.path as string);
  await writeFile(file, (await readFile(file)).subarray(0, 4000));
  const [info, fine, short] = await runClis(
    [
      ['dataset', 'info', 'small'],
      ['dataset', 'verify', 'small'],
      ['dataset', 'verify', 'short'],
    ],
    { STILLHOUSE_DATA: root },
  );
  t.regex(info?.out ?? '', /storage +official files in place/);
  t.regex(fine?.out ?? '', /small: 3 files, .*, 18 images decoded: all as it should be/);
  t.is(short?.code, 1);
  t.regex(short?.out ?? '', /part-1\.bin ends at offset 4000, expected 15365 bytes/);
});

test('a preview of a job shows its views, mixed labels too', async (t) => {
  const folders = await setUp(t);
  const { root, environment } = folders;
  const job = path.join(path.dirname(root), 'job.yaml');
  await writeFile(job, JOB);
  const sheet = (name: string) => path.join(path.dirname(root), `${name}.png`);
  const preview = (name: string, ...more: string[]) => [
    ...['dataset', 'preview', '--job', job, '--count', '6', '--out', sheet(name)],
    ...more,
  ];
  const results = await runClis(
    [
      importPictures(folders),
      preview('first'),
      preview('again'),
      preview('second', '--epoch', '2'),
      preview('plain', '--set', 'data.views={}'),
      preview('two', '--student', 'two'),
      preview('none', '--student', 'three'),
      ['dataset', 'preview', '--out', sheet('nothing')],
    ],
    environment,
  );
  t.deepEqual(
    results.map(({ code }) => code),
    [0, 0, 0, 0, 0, 0, 1, 1],
    results.map(({ err }) => err).join('\n'),
  );
  t.regex(results[3]?.out ?? '', /6 training images of trees as small sees them in epoch 2/);
  const [first, again, second, plain] = await Promise.all(
    ['first', 'again', 'second', 'plain'].map((name) => readFile(sheet(name))),
  );
  t.deepEqual(first, again as Buffer);
  t.notDeepEqual(first, second as Buffer);
  t.is((await sharp(first).metadata()).height, 8 + 2 * (128 + 2 * 16 + 8), 'two labels under mixed images');
  t.is((await sharp(plain).metadata()).height, 8 + 2 * (128 + 16 + 8));
  t.regex(results[6]?.err ?? '', /the job has no student three/);
  t.regex(results[7]?.err ?? '', /name one, or give --job/);
});

test('IDX files take the names that they are given; what is not there is told with what to do', async (t) => {
  const folder = await tempFolder(t);
  const environment = { STILLHOUSE_DATA: path.join(folder, 'data') };
  await writeIdxFolder(path.join(folder, 'idx'), { seed: SEED, side: 8, train: 20, test: 10 });
  const names = path.join(folder, 'names.txt');
  await writeFile(names, [...'abcdefghij'].join('\n'));
  const job = path.join(folder, 'job.yaml');
  await writeFile(job, JOB);
  const source = path.join(folder, 'idx');
  const results = await runClis(
    [
      ['dataset', 'import', source, '--name', 'letters', '--classes', names, '--format', 'idx'],
      ['dataset', 'info', 'letters', '--json'],
      ['dataset', 'import', source, '--name', '../letters'],
      ['dataset', 'import', source, '--name', 'more', '--size', '64'],
      ['dataset', 'import', path.join(folder, 'nowhere'), '--name', 'more'],
      ['dataset', 'info', 'trees'],
      ['run', job, '--out', path.join(folder, 'run')],
    ],
    environment,
  );
  const [imported, info, badName, badOption, nowhere, unknown, run] = results;
  t.is(imported?.code, 0, imported?.err);
  t.deepEqual(JSON.parse(info?.out ?? '').classNames, [...'abcdefghij']);
  t.regex(badName?.err ?? '', /"\.\.\/letters" is no name for a data set/);
  t.regex(badOption?.err ?? '', /size is for the format imagefolder, this is idx/);
  t.regex(nowhere?.err ?? '', /nowhere cannot be read/);
  for (const result of [unknown, run]) {
    t.is(result?.code, 1);
    t.regex(result?.err ?? '', /trees.*`stillhouse dataset import` or `dataset fetch`/);
  }
});

test('a data set without test images is said to have none, by the import and to a job', async (t) => {
  const folder = await tempFolder(t);
  const source = path.join(folder, 'pictures');
  // Of one picture of a class none is held out.
  await writePictures(source, { seed: SEED, classes: CLASSES, perClass: 1, side: 40 });
  const job = path.join(folder, 'job.yaml');
  await writeFile(job, JOB);
  const commands = [
    ['dataset', 'import', source, '--name', 'trees'],
    ['run', job, '--out', path.join(folder, 'run')],
  ];
  const [imported, run] = await runClis(commands, { STILLHOUSE_DATA: path.join(folder, 'data') });
  t.is(imported?.code, 0, imported?.err);
  t.regex(imported?.err ?? '', /no test images: every job tests what it trains/);
  t.is(run?.code, 1);
  t.regex(run?.err ?? '', /data\.test: the data set has no test images/);
  t.regex(run?.err ?? '', /import the data set with test images/);
});

test('Ctrl-C in the middle of an import leaves nothing', async (t) => {
  const folder = await tempFolder(t);
  const source = path.join(folder, 'idx');
  await writeIdxFolder(source, { seed: SEED, side: 8, train: 150_000, test: 10 });
  const root = path.join(folder, 'data');
  const cli = startCli(t, ['dataset', 'import', source, '--name', 'many'], { STILLHOUSE_DATA: root });
  await until(() => existsSync(path.join(root, '.many.partial')) || cli.process.exitCode !== null);
  cli.process.kill('SIGINT');
  const { code, err } = await cli.ended;
  t.is(code, 130, err);
  t.regex(err, /stopped \(Ctrl-C\)/);
  t.deepEqual(await readdir(root), []);
});

test('what an import leaves that is killed is cleaned up by the next one', async (t) => {
  const folder = await tempFolder(t);
  const [many, few] = [path.join(folder, 'many'), path.join(folder, 'few')];
  await writeIdxFolder(many, { seed: SEED, side: 8, train: 150_000, test: 10 });
  await writeIdxFolder(few, { seed: SEED, side: 8, train: 50, test: 10 });
  const root = path.join(folder, 'data');
  const killed = startCli(t, ['dataset', 'import', many, '--name', 'digits'], { STILLHOUSE_DATA: root });
  await until(() => existsSync(path.join(root, '.digits.partial')) || killed.process.exitCode !== null);
  killed.process.kill('SIGKILL');
  await killed.ended;
  const left = await readdir(root);
  t.deepEqual(left.filter((name) => !name.startsWith('.import-')).sort(), ['.digits.partial', '.digits.pid']);
  t.is(left.length, 3);
  const next = await runCli(t, ['dataset', 'import', few, '--name', 'digits'], { STILLHOUSE_DATA: root });
  t.is(next.code, 0, next.err);
  t.deepEqual(await readdir(root), ['digits']);
});
