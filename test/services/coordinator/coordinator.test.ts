import path from 'node:path';
import anyTest, { type ExecutionContext, type TestFn } from 'ava';
import { sleep } from '../../../lib/base/clock.ts';
import { sha256 } from '../../../lib/base/digest.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { importDataset } from '../../../lib/data/import-dataset.ts';
import { Datasets } from '../../../lib/wire/datasets.ts';
import type { Job__Output } from '../../../lib/wire/generated/stillhouse/v1/Job.ts';
import { dial, type RpcClient, unary } from '../../../lib/wire/grpc.ts';
import { connectNats } from '../../../lib/wire/nats.ts';
import type { TaskReadyFields } from '../../../lib/wire/task-runner.ts';
import { attend } from '../../../lib/wire/worker-session.ts';
import { type Coordinator, startCoordinator } from '../../../services/coordinator/run.ts';
import { importSource } from '../../helpers/import-source.ts';
import { silent, testLogger } from '../../helpers/logger.ts';
import { type NatsServer, startNatsServer } from '../../helpers/nats-server.ts';
import { SMALL_CLASS_NAMES, writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';
import {
  type Role,
  type Script,
  type ScriptedWorker,
  startRouter,
  startWorker,
  workAsAsked,
  workForEver,
} from './scripted-cluster.ts';

const test = anyTest as TestFn;
const LIMITS = { timeoutMs: 20_000 };

const JOB = `
apiVersion: stillhouse/v1
kind: Job
name: demo
data: { dataset: small, views: { flip: true } }
teachers: [{ name: big, arch: simple-cnn }]
students: [{ name: left, arch: simple-cnn, classes: [ash, beech] }, { name: right, arch: simple-cnn, classes: [cedar, elm] }]
`;

/** Layers that take larger images than the data set has. */
const WIDE_WINDOW =
  '{name: wide, layers: [{kind: conv2d, name: conv, filters: 2, kernel: 64}, {kind: global-average-pool}, {kind: linear, name: fc, features: classes}]}';

interface Setup {
  readonly server: NatsServer;
  readonly dataRoot: string;
  readonly coordinator: Coordinator;
  readonly client: RpcClient<'Coordinator'>;
  readonly fatal: unknown[];
  worker(id: string, role: Role, script?: Script): Promise<ScriptedWorker>;
  router(specialists: readonly ScriptedWorker[]): Promise<{ stop(): Promise<void> }>;
  /** Ends the coordinator and starts another one on the same NATS. */
  restart(): Promise<Setup>;
}

async function setUp(t: ExecutionContext): Promise<Setup> {
  const dataRoot = await tempFolder(t);
  await writeSmallDataset(dataRoot, 'small', {
    files: [
      ['train', 80],
      ['test', 40],
    ],
  });
  const server = await startNatsServer();
  t.teardown(() => server.stop());
  return start(t, server, dataRoot);
}

async function start(t: ExecutionContext, server: NatsServer, dataRoot: string): Promise<Setup> {
  const nats = await connectNats({ servers: server.url, name: 'coordinator', logger: testLogger() });
  const fatal: unknown[] = [];
  const datasets = new Datasets({ root: dataRoot, allowPaths: false, mayAsk: () => false, verifyContent: false });
  const coordinator = await startCoordinator({
    id: 'coordinator-1',
    nats,
    datasets,
    files: { cache: dataRoot, allowPaths: false },
    host: '127.0.0.1',
    port: 0,
    healthPort: 0,
    metricsPort: 0,
    advertised: (port) => `127.0.0.1:${port}`,
    logger: testLogger(),
    onFatal: (error) => fatal.push(error),
  });
  const client = dial('Coordinator', coordinator.address);
  let stopped = false;
  const stop = async () => {
    if (stopped) return;
    stopped = true;
    client.close();
    await coordinator.stop();
    await datasets.close();
    await nats.close();
  };
  t.teardown(stop);
  return {
    server,
    dataRoot,
    coordinator,
    client,
    fatal,
    worker: async (id, role, script = workAsAsked) => {
      const worker = await startWorker({ coordinator: coordinator.address, nats: server.url, id, role }, script);
      t.teardown(() => worker.stop());
      return worker;
    },
    router: async (specialists) => {
      const router = await startRouter({ nats: server.url, id: 'router-1', specialists });
      t.teardown(() => router.stop());
      return router;
    },
    restart: async () => {
      await stop();
      return start(t, server, dataRoot);
    },
  };
}

async function fullCluster(setup: Setup, students: Script = workAsAsked) {
  const teacher = await setup.worker('teacher-1', 'teacher');
  const workers = [await setup.worker('student-1', 'student', students), await setup.worker('student-2', 'student')];
  const specialists = [
    await setup.worker('specialist-1', 'specialist'),
    await setup.worker('specialist-2', 'specialist'),
  ];
  await setup.router(specialists);
  return { teacher, students: workers, specialists };
}

const NOTICE = 'its steps run eagerly, which is slow, because of a test';

const workAndWarn: Script = (start, { ready, ...others }, workerId) => {
  const context = {
    ...others,
    ready: (fields: TaskReadyFields) => ready({ ...fields, notice: NOTICE }),
  };
  return workAsAsked(start, context, workerId);
};

const submit = ({ client }: Setup, spec = JOB, idempotencyKey = '') =>
  unary(client, 'SubmitJob', { spec, idempotencyKey }, LIMITS);

const refused = (t: ExecutionContext, setup: Setup, spec: string) =>
  t.throwsAsync<StillhouseError>(submit(setup, spec), { instanceOf: StillhouseError });

/** The job's snapshots, until it has ended. */
async function watch({ client }: Setup, id: string, onJob: (job: Job__Output) => void = () => {}) {
  const stream = client.watchJob({ id });
  const jobs: Job__Output[] = [];
  for await (const event of stream) {
    const { job } = event as { job: Job__Output };
    jobs.push(job);
    onJob(job);
  }
  return jobs;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1_500; tries++) {
    if (await condition()) return;
    await sleep(10);
  }
  throw new Error('it did not come about');
}

test('a job from submission to an evaluated route, on the wire', async (t) => {
  const setup = await setUp(t);
  const { client } = setup;
  const job = await submit(setup, JOB, 'key-1');
  t.is(job.name, 'demo');
  const watching = watch(setup, job.id);
  await until(async () =>
    (await unary(client, 'GetJob', { id: job.id }, LIMITS)).message.startsWith('waits for 1 more'),
  );
  const { teacher, students, specialists } = await fullCluster(setup, workAndWarn);
  const jobs = await watching;
  const last = jobs.at(-1) as Job__Output;
  t.is(last.state, 'JOB_STATE_SUCCEEDED', last.message);
  t.true(last.endedAt > last.createdAt);
  const revisions = jobs.map(({ revision }) => revision);
  t.deepEqual(
    revisions,
    [...new Set(revisions)].sort((one, other) => one - other),
  );
  t.deepEqual(
    last.phases.map(({ kind, state }) => `${kind} ${state}`),
    ['TRAIN_TEACHER', 'DISTIL', 'CONTROL', 'DISTIL', 'CONTROL', 'PUBLISH', 'EVALUATE_ROUTE'].map(
      (kind) => `PHASE_KIND_${kind} PHASE_STATE_DONE`,
    ),
  );
  t.like(last.phases[1], { subject: 'left', step: 4, stepsTotal: 4, firstLoss: 2, loss: 1, parameters: 100 });
  t.like(last.phases[1], { accuracy: 0.75, evaluatedImages: 4 });
  t.deepEqual(
    last.phases[1]?.workers.map(({ workerId, firstLane, lanes }) => [workerId, firstLane, lanes]),
    [
      ['student-1', 0, 2],
      ['student-2', 2, 2],
    ],
  );
  t.is(last.phases[6]?.accuracy, 5 / 6);
  t.deepEqual(
    last.phases.map(({ notice }) => notice),
    ['', NOTICE, NOTICE, NOTICE, NOTICE, '', NOTICE],
  );

  t.deepEqual(
    teacher.tasks.map(({ task }) => task),
    ['trainTeacher', 'serveTeacher'],
  );
  t.deepEqual(
    students[1]?.tasks.map(({ trainStudent }) => [trainStudent?.student, trainStudent?.control]),
    [
      ['left', false],
      ['left', true],
      ['right', false],
      ['right', true],
    ],
  );
  const served = specialists.map(({ tasks }) => tasks.at(-1)?.serveModels?.models ?? []);
  t.deepEqual(
    served.map(({ length }) => length),
    [1, 1],
  );
  t.deepEqual(
    served
      .flat()
      .map(({ name }) => name)
      .sort(),
    ['demo.left', 'demo.right'],
  );

  const { models } = await unary(client, 'ListModels', {}, LIMITS);
  t.deepEqual(
    models.map(({ name }) => name),
    ['demo/left', 'demo/right'],
  );
  const model = await unary(client, 'GetModel', { nameOrDigest: models[0]?.digest ?? '' }, LIMITS);
  t.like(model, { name: 'demo/left', jobId: job.id, digest: sha256(model.manifestJson) });
  const route = await unary(client, 'GetRoute', { name: 'demo' }, LIMITS);
  t.deepEqual(route.classNames, ['ash', 'beech', 'cedar', 'elm']);
  t.deepEqual(
    route.legs.map(({ specialist, classIds }) => [specialist, classIds]),
    [
      ['left', [0, 1]],
      ['right', [2, 3]],
    ],
  );
  const { members } = await unary(client, 'GetCluster', {}, LIMITS);
  t.deepEqual(
    members.map(({ id }) => id),
    ['router-1', 'specialist-1', 'specialist-2', 'student-1', 'student-2', 'teacher-1'],
  );

  t.is((await submit(setup, JOB, 'key-1')).id, job.id, 'the same key and file answer the same job');
  const other = await t.throwsAsync(submit(setup, JOB.replace('demo', 'other'), 'key-1'));
  t.like(other, { code: 'ALREADY_EXISTS', field: 'idempotency_key' });

  const next = await setup.restart();
  const listed = await unary(next.client, 'ListJobs', {}, LIMITS);
  t.like(listed.jobs[0], { id: job.id, state: 'JOB_STATE_SUCCEEDED' });
  t.true(next.coordinator.leaderEpoch > setup.coordinator.leaderEpoch);
  const specialist = await next.worker('specialist-9', 'specialist');
  await until(() => specialist.modelDigests.length === 2);
  t.deepEqual(next.fatal, []);
});

test('labels, a route of the control arm, the best rule and floors, on the wire', async (t) => {
  const setup = await setUp(t);
  const { client } = setup;
  const spec = JOB.replace('views:', 'labelled: 20, calibrate: 8, views:').replaceAll(
    /(classes: \[[^\]]*\])/g,
    '$1, dustbin: true',
  );
  const { teacher, students } = await fullCluster(setup);
  const more = 'evaluate: { controlRoute: true, floors: { teacher: 0.8 } }\npublish: { rule: best }';
  const { id } = await submit(setup, spec + more);
  const last = (await watch(setup, id)).at(-1) as Job__Output;
  t.is(last.message, 'test accuracy below evaluate.floors: teacher big 75.0 % < 80.0 %');
  t.is(last.state, 'JOB_STATE_FAILED');
  t.deepEqual([...new Set(last.phases.map(({ state }) => state))], ['PHASE_STATE_DONE']);
  const phaseOf = (kind: string, subject: string) =>
    last.phases.find((phase) => phase.kind === `PHASE_KIND_${kind}` && phase.subject === subject);
  t.is(teacher.tasks[1]?.task, 'labelImages');
  const modelDigest = phaseOf('TRAIN_TEACHER', 'big')?.modelDigest as string;
  const labelsDigest = sha256(id, modelDigest);
  t.like(teacher.tasks[1]?.labelImages, { teacher: 'big', modelDigest, answers: true });
  t.deepEqual(teacher.tasks[2]?.serveTeacher?.teachers, [{ teacher: 'big', modelDigest }]);
  const trainings = students[0]?.tasks.filter(({ task }) => task === 'trainStudent') ?? [];
  t.deepEqual(
    trainings.map(({ trainStudent }) => trainStudent?.labelsDigest),
    Array(4).fill(labelsDigest),
  );
  t.like(phaseOf('DISTIL', 'left'), { epoch: 2, epochs: 2, epochLoss: 1.5, predictImagesPerSecond: 250 });
  t.like(phaseOf('DISTIL', 'left'), { checkpointDigest: sha256(id), checkpointEpoch: 1 });

  const rules = ['max-softmax', 'max-logit', 'dustbin'];
  const evaluations = students[0]?.tasks.flatMap(({ evaluateRoute }) => evaluateRoute ?? []) ?? [];
  t.deepEqual(
    evaluations.map(({ route, split, rules: tried }) => [route, split, tried]),
    ['demo-control', 'demo'].flatMap((route) => [
      [route, 'EVALUATION_SPLIT_CALIBRATE', rules],
      [route, 'EVALUATION_SPLIT_TEST', ['dustbin', 'max-softmax', 'max-logit']],
    ]),
  );
  t.like(phaseOf('EVALUATE_ROUTE', 'demo-control'), { rule: 'dustbin', accuracy: 5 / 6 });
  t.is(phaseOf('CHOOSE_RULE', 'demo')?.rules.length, 3);
  const { models } = await unary(client, 'ListModels', {}, LIMITS);
  t.deepEqual(
    models.map(({ name }) => name),
    ['demo/left', 'demo/left-control', 'demo/right', 'demo/right-control'],
  );
  const { routes } = await unary(client, 'ListRoutes', {}, LIMITS);
  t.deepEqual(
    routes.map(({ name, rule, legs }) => [name, rule, legs.map(({ dustbin }) => dustbin)]),
    [
      ['demo', 'dustbin', [true, true]],
      ['demo-control', 'dustbin', [true, true]],
    ],
  );
  t.is(routes[1]?.legs[0]?.modelDigest, models[1]?.digest);
});

test('teacher-workers that come, drain and die while students train, on the wire', async (t) => {
  const setup = await setUp(t);
  const told: string[][] = [];
  let finish = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const listen: Script = async (start, context, workerId) => {
    const { trainStudent } = start;
    if (!trainStudent || trainStudent.control) return workAsAsked(start, context, workerId);
    told.push(trainStudent.teachers.map((one) => one.workerId));
    context.onTeachers((teachers) => told.push(teachers.map((one) => `${one.workerId} ${one.teacher}`)));
    const begun = context.begun.then(() => finished);
    return workAsAsked(start, { ...context, begun }, workerId);
  };
  const { teacher } = await fullCluster(setup, listen);
  const spec = JOB.replace(
    'teachers: [',
    'teachers: [{ name: theirs, from: { type: endpoint, url: "http://nowhere.invalid:1", model: m } }, ',
  );
  const watched = watch(setup, (await submit(setup, spec)).id);
  await until(() => told.length === 1);
  t.deepEqual(told[0], ['teacher-1', 'teacher-1']);
  const second = await setup.worker('teacher-2', 'teacher');
  await until(() => told.length === 2);
  t.deepEqual(told[1], ['teacher-1 theirs', 'teacher-1 big', 'teacher-2 theirs', 'teacher-2 big']);
  teacher.drain();
  await until(() => told.length === 3);
  t.deepEqual(told[2], ['teacher-2 theirs', 'teacher-2 big']);
  const { members } = await unary(setup.client, 'GetCluster', {}, LIMITS);
  t.is(members.find(({ id }) => id === 'teacher-1')?.activity, 'drains: scripted');
  await second.stop();
  await until(() => told.length === 4);
  t.deepEqual(told[3], []);
  await setup.worker('teacher-3', 'teacher');
  await until(() => told.length === 5);
  t.deepEqual(told[4], ['teacher-3 theirs', 'teacher-3 big']);
  finish();
  const last = (await watched).at(-1);
  t.is(last?.state, 'JOB_STATE_SUCCEEDED', last?.message);
  t.like(last?.phases[0], { kind: 'PHASE_KIND_EVALUATE_TEACHER', subject: 'theirs', accuracy: 0.75 });
});

test('a job that only labels, on the wire', async (t) => {
  const setup = await setUp(t);
  const teacher = await setup.worker('teacher-1', 'teacher');
  const label = (spec: string, idempotencyKey = '') =>
    unary(setup.client, 'SubmitJob', { spec, idempotencyKey, scope: 'JOB_SCOPE_LABEL' }, LIMITS);
  const views = await t.throwsAsync<StillhouseError>(label(JOB), { instanceOf: StillhouseError });
  t.like(views, { code: 'INVALID_ARGUMENT', field: 'teachers[0].views' });
  t.regex(views?.message ?? '', /of big none are, because teachers\[0\] sees a new view in each epoch/);
  const spec = JOB.replace('views: {', 'views: { cycle: 2, ');
  const job = await label(spec, 'key');
  t.is(job.scope, 'JOB_SCOPE_LABEL');
  const last = (await watch(setup, job.id)).at(-1);
  t.is(last?.state, 'JOB_STATE_SUCCEEDED', last?.message);
  t.deepEqual(
    last?.phases.map(({ kind }) => kind),
    ['PHASE_KIND_TRAIN_TEACHER', 'PHASE_KIND_LABEL'],
  );
  t.like(teacher.tasks[1]?.labelImages, { teacher: 'big', answers: false });
  t.is((await label(spec, 'key')).id, job.id);
  t.like(await t.throwsAsync(submit(setup, spec, 'key')), { code: 'ALREADY_EXISTS', field: 'idempotency_key' });
  const unknown = unary(setup.client, 'SubmitJob', { spec, idempotencyKey: '', scope: 7 as never }, LIMITS);
  t.like(await t.throwsAsync(unknown), { code: 'INVALID_ARGUMENT', field: 'scope' });
});

test('job files are refused before anything starts, naming the field', async (t) => {
  const setup = await setUp(t);
  const cases: [string, string, string, RegExp][] = [
    [JOB.replace('dataset: small', 'dataset: lost'), 'FAILED_PRECONDITION', 'data.dataset', /lost/],
    [JOB.replace('kind: Job', 'kind: Job\ncolour: red'), 'INVALID_ARGUMENT', 'colour', /unknown key/],
    [
      JOB.replace('arch: simple-cnn, classes: [ash', 'arch: simple-cmm, classes: [ash'),
      'INVALID_ARGUMENT',
      'students[0].arch',
      /simple-cnn/,
    ],
    [JOB.replace('[cedar, elm]', '[cedar, oak]'), 'INVALID_ARGUMENT', 'students[1].classes[1]', /oak/],
    [JOB.replace('dataset: small', 'dataset: small, train: 81'), 'INVALID_ARGUMENT', 'data.train', /81/],
    [JOB.replace('dataset: small', 'dataset: /etc'), 'INVALID_ARGUMENT', 'data.dataset', /outside the folder/],
    [JOB.replace('dataset: small', 'dataset: ../x/small'), 'INVALID_ARGUMENT', 'data.dataset', /outside the folder/],
    [`${JOB}evaluate: { routeImages: 41 }`, 'INVALID_ARGUMENT', 'evaluate.routeImages', /at most 40, .*, got 41/],
    [
      JOB.replace('arch: simple-cnn, classes: [ash', `arch: ${WIDE_WINDOW}, classes: [ash`),
      'INVALID_ARGUMENT',
      'students[0].arch',
      /^students\[0\]\.arch: wide: .*64/,
    ],
    [`${JOB}publish: { rule: best }`, 'INVALID_ARGUMENT', 'publish.rule', /calibrate split, which has no images/],
    [`${JOB}averaging: { chunkKiB: 1024 }`, 'INVALID_ARGUMENT', 'averaging.chunkKiB', /from 1 to 1023, got 1024/],
    ['{', 'INVALID_ARGUMENT', '', /./],
  ];
  for (const [spec, code, field, message] of cases) {
    const error = await refused(t, setup, spec);
    t.is(error?.code, code as typeof error.code, spec);
    if (field !== '') t.is(error?.field, field);
    t.regex(error?.message ?? '', message);
  }
  const { jobs } = await unary(setup.client, 'ListJobs', {}, LIMITS);
  t.deepEqual(jobs, []);
  const unknown = await t.throwsAsync(unary(setup.client, 'GetJob', { id: 'none' }, LIMITS));
  t.like(unknown, { code: 'NOT_FOUND', field: 'id' });
  await t.throwsAsync(watch(setup, 'none'), { message: /no job "none"/ });
});

test('damaged samples: the job is refused, or goes on without them and says so, also after a restart', async (t) => {
  const setup = await setUp(t);
  const samples = Array.from({ length: 24 }, (_, index) => ({
    split: index < 16 ? ('train' as const) : ('test' as const),
    label: index % SMALL_CLASS_NAMES.length,
    bytes: index === 5 ? null : new Uint8Array(32 * 32 * 3),
  }));
  const storage = { kind: 'raw', height: 32, width: 32, channels: 3 } as const;
  const source = importSource(samples, storage, { classNames: SMALL_CLASS_NAMES });
  await importDataset(source, path.join(setup.dataRoot, 'holed'), { name: 'holed', badSamples: 1 });
  const spec = JOB.replace('dataset: small', 'dataset: holed');
  const error = await refused(t, setup, spec);
  t.is(error?.field, 'data.badSamples');
  t.regex(error?.message ?? '', /holed has a damaged sample; the first is sample \d+, memory\.bin at offset 500: /);
  const job = await submit(setup, spec.replace('dataset: holed', 'dataset: holed, badSamples: {skip: 2}'));
  t.like(job.skippedSamples, { length: 1 });
  t.like(job.skippedSamples[0], { source: 'memory.bin at offset 500' });
  const next = await setup.restart();
  t.deepEqual((await unary(next.client, 'GetJob', { id: job.id }, LIMITS)).skippedSamples, job.skippedSamples);
});

test('jobs run one after the other; cancelling the first drops its task and starts the next', async (t) => {
  const setup = await setUp(t);
  let dropped = 0;
  const script: Script = async (start, context, id) => {
    if (start.jobId.startsWith('demo')) {
      context.signal.addEventListener('abort', () => dropped++);
      return await workForEver(start, context, id);
    }
    return await workAsAsked(start, context, id);
  };
  const first = await submit(setup);
  const second = await submit(setup, JOB.replace('demo', 'other'));
  const third = await submit(setup, JOB.replace('demo', 'third'));
  await fullCluster(setup, script);
  await until(async () => {
    const { phases } = await unary(setup.client, 'GetJob', { id: first.id }, LIMITS);
    return phases[1]?.stepsTotal === 4;
  });
  t.is((await unary(setup.client, 'GetJob', { id: second.id }, LIMITS)).state, 'JOB_STATE_QUEUED');
  t.is((await unary(setup.client, 'CancelJob', { id: third.id }, LIMITS)).state, 'JOB_STATE_CANCELLED');
  t.is((await unary(setup.client, 'CancelJob', { id: first.id }, LIMITS)).state, 'JOB_STATE_CANCELLED');
  t.is((await watch(setup, second.id)).at(-1)?.state, 'JOB_STATE_SUCCEEDED');
  t.is(dropped, 1);
  const { jobs } = await unary(setup.client, 'ListJobs', {}, LIMITS);
  t.deepEqual(
    jobs.map(({ id }) => id),
    [third.id, second.id, first.id],
  );
});

test('a worker that goes while it trains fails the job, by name', async (t) => {
  const setup = await setUp(t);
  const { students } = await fullCluster(setup, workForEver);
  const { id } = await submit(setup);
  const jobs = await watch(setup, id, ({ phases }) => {
    if (phases[1]?.stepsTotal === 4) void students[0]?.stop();
  });
  const last = jobs.at(-1) as Job__Output;
  t.is(last.state, 'JOB_STATE_FAILED');
  t.regex(last.message, /^distillation of student left: worker student-1 was lost/);
  t.is(last.phases[1]?.state, 'PHASE_STATE_FAILED');
});

test('labels that a teacher-worker leaves, whether it drains or dies, are finished by another one', async (t) => {
  const setup = await setUp(t);
  const labelsForEver: Script = (start, context, id) =>
    (start.labelImages ? workForEver : workAsAsked)(start, context, id);
  const leaving = [
    await setup.worker('teacher-0', 'teacher', labelsForEver),
    await setup.worker('teacher-1', 'teacher', labelsForEver),
  ] as const;
  const rest = await setup.worker('teacher-2', 'teacher');
  for (const id of ['student-1', 'student-2']) await setup.worker(id, 'student');
  await setup.router([
    await setup.worker('specialist-1', 'specialist'),
    await setup.worker('specialist-2', 'specialist'),
  ]);
  const { id } = await submit(setup, JOB.replace('views: { flip: true }', 'labelled: 20'));
  const labels = (worker: ScriptedWorker) => worker.tasks.filter(({ labelImages }) => labelImages);
  const jobs = await watch(setup, id, ({ phases }) => {
    const [, labelling] = phases;
    if (labelling?.stepsTotal !== 4) return;
    if (labelling.notice === '') leaving[0].drain();
    else if (/^worker teacher-0 drains[^;]*$/.test(labelling.notice)) void leaving[1].stop();
  });
  const last = jobs.at(-1) as Job__Output;
  t.is(last.state, 'JOB_STATE_SUCCEEDED', last.message);
  t.regex(
    last.phases[1]?.notice ?? '',
    /^worker teacher-0 drains: .* \(1 of at most 5 times\); worker teacher-1 was lost: .* \(2 of at most 5 times\)$/,
  );
  t.deepEqual(
    [...leaving, rest].map((worker) => labels(worker).length),
    [1, 1, 1],
  );
});

test('a job that ran when the coordinator ended has failed after the restart; queued ones go on', async (t) => {
  const setup = await setUp(t);
  await fullCluster(setup, workForEver);
  const running = await submit(setup);
  const queued = await submit(setup, JOB.replace('demo', 'other'));
  await until(
    async () => (await unary(setup.client, 'GetJob', { id: running.id }, LIMITS)).phases[1]?.stepsTotal === 4,
  );
  const next = await setup.restart();
  const failed = await unary(next.client, 'GetJob', { id: running.id }, LIMITS);
  t.is(failed.state, 'JOB_STATE_FAILED');
  t.is(failed.message, 'the coordinator was restarted while the job ran; submit it again');
  t.like(failed.phases[0], { state: 'PHASE_STATE_DONE' });
  t.is((await unary(next.client, 'GetJob', { id: queued.id }, LIMITS)).state, 'JOB_STATE_RUNNING');
});

test('a NATS server that restarts loses no worker and no job', async (t) => {
  const setup = await setUp(t);
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  await fullCluster(setup, async (start, context, id) => {
    await released;
    return await workAsAsked(start, context, id);
  });
  const { id } = await submit(setup);
  await until(
    async () => (await unary(setup.client, 'GetJob', { id }, LIMITS)).phases[1]?.state === 'PHASE_STATE_RUNNING',
  );
  await setup.server.kill();
  t.is((await unary(setup.client, 'GetJob', { id }, LIMITS)).state, 'JOB_STATE_RUNNING');
  await setup.server.start();
  release();
  const last = (await watch(setup, id)).at(-1);
  t.is(last?.state, 'JOB_STATE_SUCCEEDED', last?.message);
  t.deepEqual(setup.fatal, []);
});

test('routes: compare-and-set, checks, rollback', async (t) => {
  const setup = await setUp(t);
  const { client } = setup;
  await fullCluster(setup);
  const { id } = await submit(setup);
  await watch(setup, id);
  const route = await unary(client, 'GetRoute', { name: 'demo' }, LIMITS);
  const put = (changes: object, expectedRevision: number) =>
    unary(client, 'PutRoute', { route: { ...route, ...changes }, expectedRevision }, LIMITS);

  const [left] = route.legs;
  const alone = await put({ legs: [left] }, route.revision);
  t.true(alone.revision > route.revision);
  t.like(await t.throwsAsync(put({}, route.revision)), { code: 'ABORTED' });
  t.like(await t.throwsAsync(put({}, 0)), { code: 'ABORTED' });
  const missing = { ...left, modelDigest: sha256('missing') };
  const refusals: [object, string, string][] = [
    [{ legs: [missing] }, 'FAILED_PRECONDITION', 'route.legs[0].model_digest'],
    [{ legs: [{ ...left, classIds: [0, 4] }] }, 'INVALID_ARGUMENT', 'route.legs[0].class_ids'],
    [{ legs: [{ ...left, classIds: [0] }] }, 'INVALID_ARGUMENT', 'route.legs[0].class_ids'],
    [{ legs: [left, left] }, 'INVALID_ARGUMENT', 'route.legs'],
    [{ rule: 'majority' }, 'INVALID_ARGUMENT', 'route.rule'],
    [{ name: '' }, 'INVALID_ARGUMENT', 'route.name'],
  ];
  for (const [changes, code, field] of refusals) {
    t.like(await t.throwsAsync(put(changes, alone.revision)), { code, field });
  }
  const created = await put({ name: 'second' }, 0);
  t.is((await unary(client, 'ListRoutes', {}, LIMITS)).routes.length, 2);
  t.true(created.revision > 0);

  const back = await unary(client, 'RollbackRoute', { name: 'demo', toRevision: route.revision }, LIMITS);
  t.true(back.revision > alone.revision);
  t.deepEqual(back.legs, route.legs);
  const rollback = unary(client, 'RollbackRoute', { name: 'demo', toRevision: 99_999 }, LIMITS);
  t.like(await t.throwsAsync(rollback), { code: 'NOT_FOUND', field: 'to_revision' });
});

test('a second coordinator takes the lead; the first one notices and says so', async (t) => {
  const setup = await setUp(t);
  const second = await start(t, setup.server, setup.dataRoot);
  t.true(second.coordinator.leaderEpoch > setup.coordinator.leaderEpoch);
  await until(() => setup.fatal.length > 0);
  t.like(setup.fatal[0] as object, { code: 'ABORTED' });
  t.deepEqual(second.fatal, []);
});

test('workers that cannot be are refused', async (t) => {
  const setup = await setUp(t);
  const session = (hello: object) =>
    attend({
      coordinator: setup.coordinator.address,
      hello,
      logger: silent,
      signal: new AbortController().signal,
      runTask: async () => ({}),
    });
  const good = { workerId: 'a', role: 'teacher', address: 'a:1', pid: 1 };
  t.like(await t.throwsAsync(session({ ...good, role: 'king' })), { code: 'INVALID_ARGUMENT', field: 'hello.role' });
  t.like(await t.throwsAsync(session({ ...good, address: '' })), { code: 'INVALID_ARGUMENT', field: 'hello.address' });
  t.like(await t.throwsAsync(session({ ...good, workerId: 'a.b' })), { code: 'INVALID_ARGUMENT', field: 'worker_id' });
});
