import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import {
  CreateBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import test, { type ExecutionContext } from 'ava';
import type { StillhouseError } from '../../../../lib/base/errors.ts';
import { Settings } from '../../../../lib/base/settings.ts';
import { importDataset } from '../../../../lib/data/import-dataset.ts';
import type { OfficialManifest } from '../../../../lib/data/manifest.ts';
import { openDataset } from '../../../../lib/data/open-dataset.ts';
import { openPlace } from '../../../../lib/data/places/place.ts';
import { placeOptionsOf } from '../../../../lib/data/places/place-settings.ts';
import { type PushProgress, pushDataset } from '../../../../lib/data/places/push.ts';
import { Datasets } from '../../../../lib/wire/datasets.ts';
import { runClis } from '../../../helpers/cli-batch.ts';
import { importSource } from '../../../helpers/import-source.ts';
import { bytesOf } from '../../../helpers/open-files.ts';
import { untilWritten } from '../../../helpers/partial-files.ts';
import { type CuttingWay, cuttingWay, type S3Server, startS3Server } from '../../../helpers/s3-server.ts';
import { completeManifest, writeManifest, writeSmallDataset } from '../../../helpers/small-dataset.ts';
import { tempFolder } from '../../../helpers/temp-folder.ts';

let server: S3Server | undefined;
let way: CuttingWay | undefined;
let buckets = 0;

const CREDENTIALS = {
  AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMIexample',
  AWS_REGION: 'us-east-1',
};

test.before(async () => {
  server = await startS3Server();
  if (server === undefined) return;
  way = await cuttingWay(server.url);
  Object.assign(process.env, CREDENTIALS, { AWS_ENDPOINT_URL_S3: way.url });
});

test.after.always(async () => {
  way?.close();
  await server?.stop();
});

/** Undefined where there is no server, which the log of the test then says. */
async function setUp(t: ExecutionContext) {
  if (server === undefined || way === undefined) {
    t.log('not run: set-up could not provide moto, an S3 server');
    t.pass();
    return undefined;
  }
  const admin = new S3Client({ forcePathStyle: true, endpoint: server.url });
  t.teardown(() => admin.destroy());
  const bucket = `data-${++buckets}`;
  await admin.send(new CreateBucketCommand({ Bucket: bucket }));
  const cache = await tempFolder(t);
  const settings = new Settings({ STILLHOUSE_CACHE: cache, AWS_ENDPOINT_URL_S3: server.url });
  return { admin, bucket, cache, way, options: placeOptionsOf(settings), root: await tempFolder(t) };
}

test('a data set that was pushed is opened by its address and holds the same samples', async (t) => {
  const given = await setUp(t);
  if (given === undefined) return;
  const { bucket, cache, options, root } = given;
  const { folder, manifest } = await writeSmallDataset(root, 'trees');
  const destination = `s3://${bucket}/sets/trees`;
  const result = await pushDataset(folder, `${destination}/`, options);
  t.like(result, { address: destination, digest: manifest.digest, uploadedFiles: 4, skippedFiles: 0 });
  const environment = { STILLHOUSE_DATA: root, STILLHOUSE_CACHE: cache, AWS_ENDPOINT_URL_S3: server?.url };
  const datasets = Datasets.of(new Settings({ ...environment, STILLHOUSE_ALLOW_DATASET_URLS: `s3://${bucket}/sets` }));
  t.teardown(() => datasets.close());
  const near = await datasets.open('trees');
  const far = await datasets.open(destination);
  t.is(far.digest, near.digest);
  t.deepEqual(far.labels, near.labels);
  const ids = Array.from({ length: near.sampleCount }, (_, id) => near.sampleCount - 1 - id);
  t.deepEqual(await far.load(ids), await near.load(ids));
  const error = await t.throwsAsync<StillhouseError>(datasets.open(`s3://${bucket}/setsx/trees`));
  t.like(error, { code: 'INVALID_ARGUMENT', field: 'data.dataset' });
});

test('an imported data set is pushed with its labels', async (t) => {
  const given = await setUp(t);
  if (given === undefined) return;
  const { bucket, options, root } = given;
  const samples = Array.from({ length: 20 }, (_, index) => ({
    split: index % 5 === 4 ? ('test' as const) : ('train' as const),
    label: index % 3,
    bytes: Uint8Array.of(index, 2 * index),
  }));
  const source = importSource(samples, { kind: 'raw', height: 1, width: 2, channels: 1 });
  await importDataset(source, path.join(root, 'made'), { name: 'made' });
  t.is((await pushDataset(path.join(root, 'made'), `s3://${bucket}/made`, options)).uploadedFiles, 4);
  const near = await openDataset(root, 'made');
  const far = await openDataset(root, `s3://${bucket}/made`, options);
  t.teardown(() => Promise.all([near.close(), far.close()]));
  t.deepEqual(far.labels, near.labels);
  t.deepEqual(await far.load([19, 3, 0]), await near.load([19, 3, 0]));
});

test('many files come and go without a warning', async (t) => {
  const given = await setUp(t);
  if (given === undefined || server === undefined) return;
  const { bucket, cache, root } = given;
  const files = Array.from({ length: 30 }, (_, index) => [index < 25 ? 'train' : 'test', 3] as const);
  await writeSmallDataset(root, 'trees', { files });
  const address = `s3://${bucket}/trees`;
  const sheet = path.join(root, 'sheet.png');
  const results = await runClis(
    [
      ['dataset', 'push', 'trees', address],
      ['dataset', 'preview', address, '--count', '75', '--out', sheet],
    ],
    { ...CREDENTIALS, AWS_ENDPOINT_URL: server.url, STILLHOUSE_DATA: root, STILLHOUSE_CACHE: cache },
  );
  for (const { code, err } of results) {
    t.is(code, 0, err);
    t.notRegex(err, /warning/i);
  }
  t.regex(results[1]?.out ?? '', /75 train images/);
});

test('a second push sends nothing; one that was ended goes on where it was', async (t) => {
  const given = await setUp(t);
  if (given === undefined) return;
  const { admin, bucket, options, root } = given;
  const { folder } = await writeSmallDataset(root, 'trees');
  const destination = `s3://${bucket}/trees`;
  const stop = new AbortController();
  const ended = pushDataset(folder, destination, {
    ...options,
    concurrency: 1,
    signal: stop.signal,
    onProgress: ({ files }) => files === 2 && stop.abort(new Error('enough')),
  });
  await t.throwsAsync(ended, { message: 'enough' });
  // What is not whole cannot be opened.
  await t.throwsAsync(admin.send(new HeadObjectCommand({ Bucket: bucket, Key: 'trees/manifest.json' })), {
    name: 'NotFound',
  });
  const seen: PushProgress[] = [];
  const again = await pushDataset(folder, destination, { ...options, onProgress: (progress) => seen.push(progress) });
  t.like(again, { uploadedFiles: 2, skippedFiles: 2 });
  t.is(seen.at(-1)?.bytes, again.uploadedBytes + again.skippedBytes);
  t.is(seen.at(-1)?.totalBytes, seen.at(-1)?.bytes);
  t.like(await pushDataset(folder, destination, options), { uploadedFiles: 0, skippedFiles: 4 });
});

test('an object of the same size with other bytes is sent again', async (t) => {
  const given = await setUp(t);
  if (given === undefined) return;
  const { admin, bucket, options, root } = given;
  const { folder, manifest } = await writeSmallDataset(root, 'trees');
  const file = manifest.files[0] as (typeof manifest.files)[number];
  const Body = new Uint8Array(file.bytes);
  await admin.send(new PutObjectCommand({ Bucket: bucket, Key: `trees/${file.path}`, Body }));
  t.like(await pushDataset(folder, `s3://${bucket}/trees`, options), { uploadedFiles: 4, skippedFiles: 0 });
  const place = openPlace(`s3://${bucket}/trees`, options);
  t.deepEqual(await bytesOf(place.openFile(file.path, file)), await readFile(path.join(folder, file.path)));
});

test('another data set is not overwritten, and a damaged one is not pushed', async (t) => {
  const given = await setUp(t);
  if (given === undefined) return;
  const { bucket, options, root } = given;
  const trees = await writeSmallDataset(root, 'trees');
  const shrubs = await writeSmallDataset(root, 'shrubs', { seed: 2 });
  await pushDataset(trees.folder, `s3://${bucket}/one`, options);
  const error = await t.throwsAsync<StillhouseError>(pushDataset(shrubs.folder, `s3://${bucket}/one`, options));
  t.like(error, { code: 'ALREADY_EXISTS' });
  await writeFile(path.join(shrubs.folder, 'part-1.bin'), new Uint8Array(shrubs.manifest.files[1]?.bytes ?? 0));
  const damaged = await t.throwsAsync<StillhouseError>(pushDataset(shrubs.folder, `s3://${bucket}/two`, options));
  t.like(damaged, { code: 'DATA_LOSS', field: path.join(shrubs.folder, 'part-1.bin') });
});

test('a large file goes in parts and comes back in pieces', async (t) => {
  const given = await setUp(t);
  if (given === undefined) return;
  const { admin, bucket, options, root } = given;
  // A file of the official layout that takes two parts of 32 MiB.
  const records = 11_500;
  const record = randomBytes(3073).fill(1, 0, 1);
  const bytes = Buffer.concat(Array.from({ length: records }, () => record));
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const folder = path.join(root, 'large');
  await mkdir(folder);
  await writeFile(path.join(folder, 'all.bin'), bytes);
  const file = { path: 'all.bin', split: 'train' as const, records, bytes: bytes.length, sha256 };
  const image = { height: 32, width: 32, channels: 3 };
  const classNames = ['ash', 'beech'];
  await writeManifest(
    folder,
    completeManifest<OfficialManifest>({
      formatVersion: 1,
      name: 'large',
      format: 'cifar10-binary',
      classNames,
      image,
      files: [file],
    }),
  );
  t.like(await pushDataset(folder, `s3://${bucket}`, options), { uploadedFiles: 2, address: `s3://${bucket}` });
  t.deepEqual((await admin.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads ?? [], []);
  const place = openPlace(`s3://${bucket}`, options);
  t.true(bytes.equals(await bytesOf(place.openFile('all.bin', file))));
});

test('what is not there is told apart, and no error holds the credentials', async (t) => {
  const given = await setUp(t);
  if (given === undefined) return;
  const { admin, bucket, options, root } = given;
  const content = { bytes: 3, sha256: createHash('sha256').update('abc').digest('hex') };
  const noManifest = await t.throwsAsync<StillhouseError>(
    openPlace(`s3://${bucket}/no`, options).readFile('manifest.json', 9),
  );
  t.like(noManifest, { code: 'FAILED_PRECONDITION', field: 'data.dataset' });
  const noFile = await t.throwsAsync<StillhouseError>(
    openPlace(`s3://${bucket}/no`, options).openFile('a.bin', content),
  );
  t.like(noFile, { code: 'DATA_LOSS', field: `s3://${bucket}/no/a.bin` });
  const noBucket = await t.throwsAsync<StillhouseError>(
    openPlace('s3://nowhere', options).readFile('manifest.json', 9),
  );
  t.regex(noBucket?.message ?? '', /bucket does not exist/);
  const { folder } = await writeSmallDataset(root, 'trees');
  const push = await t.throwsAsync<StillhouseError>(pushDataset(folder, 's3://nowhere/trees', options));
  t.regex(push?.message ?? '', /bucket does not exist/);
  await admin.send(new PutObjectCommand({ Bucket: bucket, Key: 'a.bin', Body: 'ab' }));
  const short = await t.throwsAsync<StillhouseError>(openPlace(`s3://${bucket}`, options).openFile('a.bin', content));
  t.like(short, { code: 'DATA_LOSS', field: `s3://${bucket}/a.bin` });
  for (const error of [noManifest, noFile, noBucket, push, short]) {
    t.notRegex(`${error?.stack} ${JSON.stringify(error)}`, /wJalrXUtnFEMI/);
  }
});

test.serial('a cut connection goes on where it stopped, in both directions', async (t) => {
  const given = await setUp(t);
  if (given === undefined) return;
  const { bucket, cache, options, root, way } = given;
  const { folder, manifest } = await writeSmallDataset(root, 'trees', { files: [['train', 300]] });
  const file = manifest.files[0] as (typeof manifest.files)[number];
  // The answers about the manifest and the shard, and to its upload.
  way.cuts.push({ afterBytes: 10 }, { afterBytes: 0 }, { afterBytes: 30 });
  t.like(await pushDataset(folder, `s3://${bucket}/trees`, options), { uploadedFiles: 2 });
  way.passed.length = 0;
  const before = () => untilWritten(path.join(cache, 'shards'), 0.3 * file.bytes);
  way.cuts.push({ afterBytes: Math.round(file.bytes / 2), before });
  const fetched = await bytesOf(openPlace(`s3://${bucket}/trees`, options).openFile(file.path, file));
  t.true((await readFile(folder + path.sep + file.path)).equals(fetched));
  t.is(way.passed.length, 2);
  const [first = 0, second = 0] = way.passed;
  // What the client had not written when the connection ended has to come again, but far from all.
  t.true(first > 0.4 * file.bytes && second < 0.75 * file.bytes, `${way.passed}`);
});
