import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { sha256 } from '../../lib/base/digest.ts';
import { encodeDropped, storeDropped } from '../../lib/checkpoint/dropped.ts';
import { storeModel } from '../../lib/checkpoint/models.ts';
import { encodeArtefact, readArtefactFolder } from '../../lib/model/artefact.ts';
import { Datasets } from '../../lib/wire/datasets.ts';
import { dial, unary } from '../../lib/wire/grpc.ts';
import { startHeartbeat } from '../../lib/wire/heartbeat.ts';
import { connectNats } from '../../lib/wire/nats.ts';
import { encodeRecord } from '../../lib/wire/records.ts';
import { BUCKETS } from '../../lib/wire/subjects.ts';
import { encodeJob, type JobRecord, newPhase } from '../../services/coordinator/job-record.ts';
import { startCoordinator } from '../../services/coordinator/run.ts';
import { type CliResult, until } from '../helpers/cli.ts';
import { runClis } from '../helpers/cli-batch.ts';
import { testLogger } from '../helpers/logger.ts';
import { startNatsServer } from '../helpers/nats-server.ts';
import { smallManifest, smallTensors } from '../helpers/small-model.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

const LIMITS = { timeoutMs: 10_000 };

/** A real coordinator on a real nats-server, and the command line in front of it. */
async function setUp(t: ExecutionContext, jobs: readonly JobRecord[] = []) {
  const server = await startNatsServer();
  t.teardown(() => server.stop());
  const folder = await tempFolder(t);
  const nats = await connectNats({ servers: server.url, name: 'test', logger: testLogger() });
  const bucket = await nats.keyValue(BUCKETS.jobs);
  for (const job of jobs) await bucket.create(job.id, encodeJob(job));
  const coordinator = await startCoordinator({
    id: 'coordinator-1',
    nats,
    datasets: new Datasets({
      root: folder,
      allowPaths: false,
      mayAsk: () => false,
      verifyContent: false,
    }),
    files: { cache: folder, allowPaths: false },
    host: '127.0.0.1',
    port: 0,
    healthPort: 0,
    metricsPort: 0,
    advertised: (port) => `127.0.0.1:${port}`,
    logger: testLogger(),
    onFatal: (error) => t.fail(String(error)),
  });
  const client = dial('Coordinator', coordinator.address);
  t.teardown(async () => {
    client.close();
    await coordinator.stop();
    await nats.close();
  });
  const environment = { STILLHOUSE_CACHE: folder, STILLHOUSE_COORDINATOR: coordinator.address, NATS_URL: '' };
  return {
    folder,
    nats,
    url: server.url,
    client,
    cli: (...commands: string[][]): Promise<CliResult[]> => runClis(commands, environment),
  };
}

/** What stands in `still_models` about a model. */
function published(name: string, seed: number) {
  const artefact = encodeArtefact({ ...smallManifest, name }, smallTensors(seed));
  const record = {
    name,
    digest: artefact.digest,
    manifestJson: new TextDecoder().decode(artefact.manifestBytes),
    publishedAt: '2026-01-02T03:04:05.000Z',
    jobId: 'trees-1a2b',
  };
  return { artefact, record };
}

test('where nothing is published, lists are empty', async (t) => {
  const { cli } = await setUp(t);
  const lists = ['models', 'route', 'job'].map((kind) => [kind, 'list']);
  const results = await cli(...lists, ...lists.map((list) => [...list, '--json']));
  t.deepEqual(
    results.map(({ code, out }) => [code, out]),
    ['no models yet\n', 'no routes yet\n', 'no jobs yet\n', '[]\n', '[]\n', '[]\n'].map((out) => [0, out]),
  );
});

test('models, routes and members are listed, for people and for programs', async (t) => {
  const { cli, nats, url, client } = await setUp(t);
  const { artefact, record } = published('trees/broadleaf', 1);
  const { digest } = record;
  await (await nats.keyValue(BUCKETS.models)).create(record.name, encodeRecord(record));
  const leg = { specialist: 'broadleaf', modelDigest: digest, classIds: [1, 0], dustbin: false };
  const route = { name: 'trees', rule: 'max-softmax', legs: [leg], classNames: ['ash', 'beech'] };
  await unary(client, 'PutRoute', { route, expectedRevision: 0 }, LIMITS);
  const member = { id: 'router-1', role: 'router', address: '10.0.0.1:9', activity: 'idle', pid: 42 } as const;
  // A connection of its own: none hears itself.
  const routerNats = await connectNats({ servers: url, name: 'router', logger: testLogger() });
  const heart = startHeartbeat(routerNats.bus, () => ({ ...member, modelDigests: [digest] }));
  t.teardown(async () => {
    heart.stop();
    await routerNats.close();
  });
  await until(async () => (await unary(client, 'GetCluster', {}, LIMITS)).members.length > 0);

  const commands = [
    ['models', 'list'],
    ['models', 'get', 'trees/broadleaf'],
    ['route', 'list'],
    ['route', 'get', 'trees'],
    ['cluster'],
  ];
  const results = await cli(...commands, ...commands.map((command) => [...command, '--json']), [
    'models',
    'get',
    digest,
    '--json',
  ]);
  for (const { code, err } of results) t.is(code, 0, err);
  const [models, model, routes, oneRoute, cluster, ...documents] = results.map(({ out }) => out);
  t.regex(models ?? '', new RegExp(`^trees/broadleaf +simple-cnn +72 +2 +75\\.0 % +2026.* ${digest}$`, 'm'));
  t.regex(model ?? '', /^trees\/broadleaf\n(.+\n)+classes +beech, ash\n/);
  t.regex(routes ?? '', /^trees +max-softmax +2 +\d+ +broadleaf$/m);
  t.regex(oneRoute ?? '', new RegExp(`^trees {2}max-softmax .*\\n.*\\n +broadleaf +${digest} +no +beech, ash\\n$`));
  t.regex(cluster ?? '', /^router-1 +router +10\.0\.0\.1:9 +42 +\d+\.\d s ago +1 +idle$/m);

  for (const document of documents) t.regex(document, /^[^\n]+\n$/);
  const [allModels, byName, allRoutes, named, everyone, byDigest] = documents.map((text) => JSON.parse(text));
  const { manifestJson: _, ...rest } = record;
  t.deepEqual(byName, { ...rest, manifest: artefact.manifest });
  t.deepEqual(byDigest, byName);
  t.deepEqual(allModels, [byName]);
  t.like(named, route);
  t.deepEqual(allRoutes, [named]);
  t.like(everyone.members[0], { ...member, modelDigests: [digest] });

  const missing = await cli(['models', 'get', 'trees/none'], ['route', 'get', 'none'], ['job', 'get', 'none']);
  for (const { code, out, err } of missing) {
    t.deepEqual([code, out], [1, '']);
    t.regex(err, /^stillhouse: there is no .*none.*\n$/);
  }
});

test('a published model becomes a folder, whole or not at all', async (t) => {
  const { cli, nats, url, folder } = await setUp(t);
  const bucket = await nats.keyValue(BUCKETS.models);
  const [there, other, lost] = [published('trees/there', 1), published('trees/other', 2), published('trees/lost', 3)];
  for (const { record } of [there, other, lost]) await bucket.create(record.name, encodeRecord(record));
  for (const { artefact } of [there, other]) await storeModel(await nats.objects(), artefact);
  const out = path.join(folder, 'fetched');
  const get = (name: string, to = out) => ['models', 'get', name, '--out', to];
  const [unsaid, fetched, taken, gone] = (await cli(
    get('trees/there'),
    [...get('trees/there'), '--nats', url],
    [...get('trees/other'), '--nats', url],
    [...get('trees/lost', path.join(folder, 'lost')), '--nats', url],
  )) as [CliResult, CliResult, CliResult, CliResult];
  t.deepEqual([unsaid.code, fetched.code, taken.code, gone.code], [1, 0, 1, 1], fetched.err);
  t.regex(unsaid.err, /it is not known where the cluster of .* keeps its objects .*--nats/);
  t.regex(taken.err, /exists and does not hold the model/);
  t.regex(gone.err, /^stillhouse: the object sha256:.* is not in still_objects\n$/);
  t.deepEqual(await readdir(folder), ['fetched']);
  t.is((await readArtefactFolder(out, there.record.digest)).manifest.name, 'trees/there');
});

function jobRecord(id: string, droppedDigest: string): JobRecord {
  const phases = [newPhase('TRAIN_TEACHER', 'big'), { ...newPhase('DISTIL', 'few'), droppedDigest }].map((phase) => ({
    ...phase,
    state: 'DONE' as const,
  }));
  const texts = { message: '', specJson: '', datasetDigest: '', createdAt: '', endedAt: '', submittedDigest: '' };
  const state = { sequence: 1, revision: 1, state: 'SUCCEEDED', idempotencyKey: id } as const;
  return { id, name: 'trees', scope: 'ALL', phases, skippedSamples: [], ...texts, ...state };
}

test('what a job’s epochs have left out is fetched into a new folder', async (t) => {
  const dropped = { datasetDigest: sha256('trees'), epochs: [Uint32Array.of(3, 8), Uint32Array.of(2)] };
  const jobs = [jobRecord('job-1', sha256(encodeDropped(dropped))), jobRecord('job-2', '')];
  const { cli, nats, url, folder } = await setUp(t, jobs);
  await storeDropped(await nats.objects(), dropped);
  const out = path.join(folder, 'dropped');
  const get = (id: string, to = out) => ['job', 'get', id, '--dropped', to, '--nats', url];
  const [fetched, taken, none] = await cli(get('job-1'), get('job-1'), get('job-2', path.join(folder, 'none')));
  t.deepEqual([fetched?.code, taken?.code, none?.code], [0, 1, 0], fetched?.err);
  t.regex(taken?.err ?? '', /dropped exists/);
  t.regex(none?.err ?? '', /nothing is written: no training of job-2/);
  t.deepEqual(await readdir(folder), ['dropped']);
  const listed = JSON.parse(await readFile(path.join(out, 'distil-few.json'), 'utf8'));
  t.deepEqual(listed, { datasetDigest: dropped.datasetDigest, epochs: { 1: [3, 8], 2: [2] } });
});
