/**
 * The way of a user's own pictures: a folder sorted by class, one of them damaged, is imported, pushed to a real S3 server, and a
 * job trains from there: augmented and mixed, on two student-workers, without the damaged one and without the tail.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { findNatsServer } from '../../cli/cluster/nats-server.ts';
import { readDatasetManifest } from '../../lib/data/open-dataset.ts';
import { runCli } from '../helpers/cli.ts';
import { runClis } from '../helpers/cli-batch.ts';
import { startS3Server } from '../helpers/s3-server.ts';
import { writePictures } from '../helpers/source-folders.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

const SEED = 4;
const CLASSES = ['ash', 'beech', 'cedar'];
const PER_CLASS = 50;
const TEST_SHARE = 0.2;
const TRAIN_IMAGES = CLASSES.length * PER_CLASS * (1 - TEST_SHARE);
const LANES = 4;
const MICRO_BATCH = 7;
const EPOCHS = 2;

const jobFile = (dataset: string) => `
apiVersion: stillhouse/v1
kind: Job
name: trees
seed: 5
data:
  dataset: ${dataset}
  badSamples: { skip: 1 }
  views:
    crop: { scale: [0.5, 1] }
    jitter: { brightness: 0.2, hue: 0.05 }
    flip: true
    mixup: 0.4
teachers:
  - { name: big, arch: simple-cnn, train: { microBatch: 16, epochs: 4 } }
students:
  - { name: small, arch: gap-cnn }
distill: { loss: [{ type: kl, weight: 1 }], temperature: 2 }
train: { lanes: ${LANES}, microBatch: ${MICRO_BATCH}, epochs: ${EPOCHS}, tail: drop }
averaging: { workers: 2 }
evaluate: { control: false }
`;

test('pictures are imported, pushed to S3, and trained from there by two workers', async (t) => {
  t.timeout(240_000);
  const folder = await tempFolder(t);
  const s3 = await startS3Server();
  if (s3 === undefined) {
    t.log('not run: set-up could not provide moto, an S3 server');
    t.pass();
    return;
  }
  t.teardown(() => s3.stop());
  // Without an owner: moto knows no signatures.
  t.true((await fetch(`${s3.url}/pictures`, { method: 'PUT' })).ok);
  const root = path.join(folder, 'data');
  const environment = {
    AWS_ENDPOINT_URL: s3.url,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_REGION: 'us-east-1',
    STILLHOUSE_DATA: root,
    STILLHOUSE_CACHE: path.join(folder, 'cache'),
    STILLHOUSE_NATS_SERVER: findNatsServer(process.env),
    TMPDIR: folder,
  };
  const damaged = await damagedPictures(path.join(folder, 'pictures'));
  const address = 's3://pictures/trees';
  const [imported, pushed] = await runClis(
    [
      [
        ...['dataset', 'import', path.join(folder, 'pictures'), '--name', 'trees', '--size', '32'],
        ...['--test-share', String(TEST_SHARE), '--bad-samples', 'keep:1', '--statistics'],
      ],
      ['dataset', 'push', 'trees', address],
    ],
    environment,
  );
  t.is(imported?.code, 0, imported?.err);
  t.is(pushed?.code, 0, pushed?.err);
  const manifest = await readDatasetManifest(root, 'trees');
  t.is(pushed?.out, `${address}  ${manifest.digest}\n`);

  const job = path.join(folder, 'job.yaml');
  await writeFile(job, jobFile(address));
  const out = path.join(folder, 'run');
  // Without the folder that it was imported into: all that is read comes from S3.
  const run = await runCli(t, ['run', job, '--out', out, '--threads', '1'], {
    ...environment,
    STILLHOUSE_DATA: path.join(folder, 'empty'),
  });
  t.is(run.code, 0, run.err);
  const report = JSON.parse(await readFile(path.join(out, 'report.json'), 'utf8'));
  assertReport(t, report, damaged);
  t.regex(run.out, /skipped +1 damaged sample: \d+ \(.*: cannot be decoded/);
  t.regex(run.out, /data wait +training waited for images at most \d+\.\d % of its time/);
  await assertTail(t, out, report.data.skipped[0].id);
  const shards = await readdir(path.join(environment.STILLHOUSE_CACHE, 'shards'));
  const digests = manifest.formatVersion === 2 ? [manifest.labels, ...manifest.shards].map(({ sha256 }) => sha256) : [];
  t.deepEqual(shards.filter((name) => !name.includes('.')).sort(), digests.sort(), 'fetched once, into the cache');
});

/** @returns the path within the folder of the damaged one, which is for training: classes hold out the same share, drawn by the seed */
async function damagedPictures(folder: string): Promise<string> {
  const files = await writePictures(folder, { seed: SEED, classes: CLASSES, perClass: PER_CLASS, side: 40 });
  const damaged = files[7] as string;
  await writeFile(damaged, (await readFile(damaged)).subarray(0, 400));
  return path.relative(folder, damaged);
}

interface Report {
  readonly data: { readonly skipped: readonly { id: number; source: string; reason: string }[] };
  readonly students: readonly { readonly dataWaitShare: number | null }[];
}

function assertReport(t: ExecutionContext, { data, students }: Report, damaged: string): void {
  t.is(data.skipped.length, 1);
  t.is(data.skipped[0]?.source, damaged);
  t.is(students.length, 1);
  const share = students[0]?.dataWaitShare as number;
  t.true(share >= 0 && share <= 1);
}

/** Every epoch of the student leaves out what fills no whole step, another part each time, and never the damaged one. */
async function assertTail(t: ExecutionContext, out: string, skipped: number): Promise<void> {
  const { epochs } = JSON.parse(await readFile(path.join(out, 'dropped', 'distil-small.json'), 'utf8'));
  const lists: number[][] = Object.values(epochs);
  t.deepEqual(
    Object.keys(epochs),
    Array.from({ length: EPOCHS }, (_, index) => String(index + 1)),
  );
  const images = TRAIN_IMAGES - 1;
  const left = images - LANES * MICRO_BATCH * Math.floor(Math.floor(images / LANES) / MICRO_BATCH);
  for (const ids of lists) {
    t.is(new Set(ids).size, left);
    t.false(ids.includes(skipped));
  }
  t.is(new Set(lists.map(String)).size, EPOCHS);
  const report = JSON.parse(await readFile(path.join(out, 'report.json'), 'utf8'));
  t.deepEqual(
    report.students[0].droppedPerEpoch,
    lists.map(({ length }) => length),
  );
  t.is(report.teachers[0].droppedPerEpoch, null);
}
