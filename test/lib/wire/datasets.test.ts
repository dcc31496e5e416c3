import { symlink } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import type { StillhouseError } from '../../../lib/base/errors.ts';
import { Settings } from '../../../lib/base/settings.ts';
import { Datasets } from '../../../lib/wire/datasets.ts';
import { completeManifest, writeManifest, writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

async function setUp(t: import('ava').ExecutionContext, environment: Record<string, string> = {}) {
  const root = await tempFolder(t);
  const outside = await tempFolder(t);
  await writeSmallDataset(root, 'trees');
  await writeSmallDataset(path.join(root, 'group'), 'shrubs');
  await writeSmallDataset(outside, 'secret');
  const datasets = Datasets.of(new Settings({ STILLHOUSE_DATA: root, ...environment }));
  t.teardown(() => datasets.close());
  return { root, outside, datasets };
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
  const { root, datasets } = await setUp(t);
  const first = await datasets.open('trees');
  const [second, third] = await Promise.all([datasets.open('trees'), datasets.open(path.join(root, 'trees'))]);
  t.is(second, first);
  t.is(third, first);
  const classNames = ['oak', ...first.classNames.slice(1)];
  await writeManifest(path.join(root, 'trees'), completeManifest({ ...first.manifest, classNames }));
  const changed = await datasets.open('trees');
  t.deepEqual(changed.classNames, classNames);
  t.not(changed.digest, first.digest);
  t.throws(() => first.readImages([0]), { message: /open data set/ });
  t.is(changed.readImages([0]).length, 32 * 32 * 3);
});

test('a data set that could not be opened is tried again', async (t) => {
  const { root, datasets } = await setUp(t);
  await t.throwsAsync(datasets.open('later'), { message: /later/ });
  await writeSmallDataset(root, 'later');
  t.is((await datasets.open('later')).sampleCount, 18);
});
