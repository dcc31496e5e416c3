import { readFile, symlink } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { StillhouseError } from '../../../lib/base/errors.ts';
import { Settings } from '../../../lib/base/settings.ts';
import { Datasets } from '../../../lib/wire/datasets.ts';
import { serveFiles } from '../../helpers/file-server.ts';
import { completeManifest, writeManifest, writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

async function setUp(t: ExecutionContext, environment: Record<string, string> = {}) {
  const root = await tempFolder(t);
  const outside = await tempFolder(t);
  const trees = await writeSmallDataset(root, 'trees');
  await writeSmallDataset(path.join(root, 'group'), 'shrubs');
  await writeSmallDataset(outside, 'secret');
  const datasets = Datasets.of(new Settings({ STILLHOUSE_DATA: root, ...environment }));
  t.teardown(() => datasets.close());
  return { root, outside, datasets, trees };
}

test('names, and paths that stay in the root, are opened', async (t) => {
  const { root, outside, datasets } = await setUp(t);
  for (const place of ['trees', 'group/shrubs', './trees', path.join(root, 'trees'), 'group/../trees']) {
    t.is((await datasets.open(place)).sampleCount, 18, place);
  }
  // Whoever runs the service has put the link there.
  await symlink(path.join(outside, 'secret'), path.join(root, 'linked'));
  t.is((await datasets.open('linked')).sampleCount, 18);
});

test('paths that leave the root are refused, whether there is something or not', async (t) => {
  const { root, outside, datasets } = await setUp(t);
  await symlink(outside, path.join(root, 'way-out'));
  const secret = path.join(outside, 'secret');
  const places = [
    secret,
    `${outside}/nothing`,
    path.relative(root, secret),
    '../',
    './',
    'way-out/secret',
    `${root}-x/trees`,
  ];
  for (const place of places) {
    const error = await t.throwsAsync<StillhouseError>(datasets.open(place), undefined, place);
    t.like(error, { code: 'INVALID_ARGUMENT', field: 'data.dataset' });
    t.regex(error?.hint ?? '', /STILLHOUSE_ALLOW_DATASET_PATHS=1/);
  }
  t.like(await t.throwsAsync(datasets.open('group/nothing')), { code: 'FAILED_PRECONDITION' });
});

test('with the setting any path goes', async (t) => {
  const { outside, datasets } = await setUp(t, { STILLHOUSE_ALLOW_DATASET_PATHS: '1' });
  t.is((await datasets.open(path.join(outside, 'secret'))).sampleCount, 18);
});

test('a data set is opened once, and anew when its manifest has changed', async (t) => {
  const { root, datasets, trees } = await setUp(t);
  const first = await datasets.open('trees');
  const [second, third] = await Promise.all([datasets.open('trees'), datasets.open(path.join(root, 'trees'))]);
  t.is(second, first);
  t.is(third, first);
  const classNames = ['oak', ...first.classNames.slice(1)];
  await writeManifest(path.join(root, 'trees'), completeManifest({ ...trees.manifest, classNames }));
  const changed = await datasets.open('trees');
  t.deepEqual(changed.classNames, classNames);
  t.not(changed.digest, first.digest);
  await t.throwsAsync(() => first.load([0]), { message: /has been closed/ });
  t.is((await changed.load([0])).length, 32 * 32 * 3);
});

test('a data set that could not be opened is tried again', async (t) => {
  const { root, datasets } = await setUp(t);
  await t.throwsAsync(datasets.open('later'), { message: /later/ });
  await writeSmallDataset(root, 'later');
  t.is((await datasets.open('later')).sampleCount, 18);
});

async function setUpServer(t: ExecutionContext) {
  const { folder, manifest } = await writeSmallDataset(await tempFolder(t), 'far');
  const server = await serveFiles(t);
  const serve = async () => {
    for (const name of ['manifest.json', ...manifest.files.map((file) => file.path)]) {
      server.files.set(`/sets/far/${name}`, await readFile(path.join(folder, name)));
    }
  };
  await serve();
  return { server, folder, manifest, serve };
}

test('addresses are opened only where the service may ask', async (t) => {
  const { server, manifest } = await setUpServer(t);
  const address = `${server.url}/sets/far`;
  const STILLHOUSE_CACHE = await tempFolder(t);
  for (const allowed of ['', `${server.url}/set`, `s3://sets/far ${server.url.replace('http:', 'https:')}`]) {
    const { datasets } = await setUp(t, { STILLHOUSE_ALLOW_DATASET_URLS: allowed, STILLHOUSE_CACHE });
    const error = await t.throwsAsync<StillhouseError>(datasets.open(address), undefined, allowed);
    t.like(error, { code: 'INVALID_ARGUMENT', field: 'data.dataset' });
    t.regex(error?.hint ?? '', /STILLHOUSE_ALLOW_DATASET_URLS/);
  }
  t.is(server.answers.length, 0);
  for (const allowed of ['*', `https://elsewhere ${server.url}/sets/`]) {
    const { datasets } = await setUp(t, { STILLHOUSE_ALLOW_DATASET_URLS: allowed, STILLHOUSE_CACHE });
    t.is((await datasets.open(address)).digest, manifest.digest);
  }
  const wrong = new Settings({ STILLHOUSE_ALLOW_DATASET_URLS: 'elsewhere/sets' });
  t.like(
    t.throws(() => Datasets.of(wrong)),
    { code: 'INVALID_ARGUMENT', field: 'STILLHOUSE_ALLOW_DATASET_URLS' },
  );
});

test('a data set behind an address is opened once, and anew when its manifest has changed', async (t) => {
  const { server, folder, manifest, serve } = await setUpServer(t);
  const environment = { STILLHOUSE_ALLOW_DATASET_URLS: '*', STILLHOUSE_CACHE: await tempFolder(t) };
  const { datasets } = await setUp(t, environment);
  const address = `${server.url}/sets/far`;
  const first = await datasets.open(address);
  t.is(await datasets.open(`${address}/`), first);
  const classNames = ['oak', ...first.classNames.slice(1)];
  await writeManifest(folder, completeManifest({ ...manifest, classNames }));
  await serve();
  const changed = await datasets.open(address);
  t.deepEqual(changed.classNames, classNames);
  await t.throwsAsync(() => first.load([0]), { message: /has been closed/ });
  const fetched = server.answers.map((answer) => answer.path).filter((name) => !name.endsWith('manifest.json'));
  t.deepEqual(
    fetched,
    manifest.files.map((file) => `/sets/far/${file.path}`),
  );
});
