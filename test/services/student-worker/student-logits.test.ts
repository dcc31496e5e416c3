/** A student's side of its teachers over gRPC: the real service, and servers that go wrong in ways that can be repeated. */
import { type AddressInfo, connect as connectSocket, createServer, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { monotonicMs, sleep } from '../../../lib/base/clock.ts';
import { sha256 } from '../../../lib/base/digest.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { LogitsCache } from '../../../lib/checkpoint/logits-cache/cache.ts';
import { createMemoryStore, type ObjectStore } from '../../../lib/checkpoint/store.ts';
import type { Dataset } from '../../../lib/data/dataset.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import { encodeRows } from '../../../lib/distill/logits/format.ts';
import { viewRule } from '../../../lib/distill/training-plan.ts';
import { encodeArtefact } from '../../../lib/model/artefact.ts';
import { answeringTeacher } from '../../../lib/wire/answering-teacher.ts';
import type { TeacherEndpoint__Output } from '../../../lib/wire/generated/stillhouse/v1/TeacherEndpoint.ts';
import { parseJobFile } from '../../../lib/wire/job-file.ts';
import { planStudent } from '../../../lib/wire/job-plan.ts';
import type { JobSpec } from '../../../lib/wire/job-spec.ts';
import { cacheRecipe } from '../../../lib/wire/logits-recipe.ts';
import type { TeachersListener } from '../../../lib/wire/task-runner.ts';
import { openStudentLogits, type StudentLogits } from '../../../services/student-worker/student-logits.ts';
import {
  type LinearTeacher,
  linearLogits,
  type Script,
  serveLinear,
  serveScript,
} from '../../helpers/linear-teacher.ts';
import { testLogger } from '../../helpers/logger.ts';
import { writeSmallDataset } from '../../helpers/small-dataset.ts';
import { smallManifest } from '../../helpers/small-model.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const MICRO_BATCH = 8;

interface World {
  readonly root: string;
  readonly dataset: Dataset;
  readonly objects: ObjectStore;
  readonly job: JobSpec;
  /** By the names in the job. */
  readonly teachers: readonly LinearTeacher[];
}

/** Of no weights: the scripted teachers have none. */
function artefactOf({ classNames }: Dataset, name: string) {
  const classes = { classNames, classIds: [...classNames.keys()], parentClassNames: classNames };
  return encodeArtefact({ ...smallManifest, ...classes, name }, new Map());
}

interface WorldOptions {
  readonly teachers?: readonly string[];
  readonly student?: string;
  readonly distill?: string;
  readonly views?: string;
  readonly waitSeconds?: number;
}

async function world(t: ExecutionContext, options: WorldOptions = {}): Promise<World> {
  const { teachers: names = ['big'], student = '', distill = 'logits: fp32, cache: {mode: off}' } = options;
  const { views = '{flip: true, shift: 2}', waitSeconds = 60 } = options;
  const root = await tempFolder(t);
  const files = [
    ['train', 64],
    ['test', 4],
  ] as const;
  await writeSmallDataset(root, 'trees', { files });
  const dataset = await openDataset(root, 'trees');
  t.teardown(() => dataset.close());
  const listed = names.map((name) => `{name: ${name}, arch: simple-cnn}`).join(', ');
  const job = parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: trees, seed: 5,
    data: {dataset: trees, calibrate: 0, views: ${views}}, teachers: [${listed}],
    students: [{name: few, arch: simple-cnn, ${student}}], distill: {${distill}},
    train: {microBatch: ${MICRO_BATCH}}, limits: {workerWaitSeconds: ${waitSeconds}}}`);
  const objects = createMemoryStore();
  const teachers: LinearTeacher[] = [];
  for (const [index, name] of names.entries()) {
    const modelDigest = await objects.put(artefactOf(dataset, name).manifestBytes);
    teachers.push({ job, dataset, name, modelDigest, factor: 0.05 * (index + 1) });
  }
  return { root, dataset, objects, job, teachers };
}

interface StudentOptions {
  readonly workerId?: string;
  readonly logitsFolder?: string;
  readonly signal?: AbortSignal;
  readonly changes?: TeacherChanges;
  /** What users are told goes in here. */
  readonly troubles?: string[];
}

/** The coordinator's word on who serves, after the task has started. */
class TeacherChanges {
  /** Resolves when somebody listens. */
  readonly isHeard: Promise<void>;
  readonly listen: (listener: TeachersListener) => void;
  #listener: TeachersListener = () => undefined;

  constructor() {
    let heard = () => {};
    this.isHeard = new Promise((resolve) => {
      heard = resolve;
    });
    this.listen = (listener) => {
      this.#listener = listener;
      heard();
    };
  }

  tell(endpoints: readonly TeacherEndpoint__Output[]): void {
    this.#listener(endpoints);
  }
}

async function student(
  t: ExecutionContext,
  { job, dataset, objects, teachers }: World,
  endpoints: readonly TeacherEndpoint__Output[],
  {
    workerId = 'student-1',
    logitsFolder,
    signal = new AbortController().signal,
    changes,
    troubles,
  }: StudentOptions = {},
): Promise<StudentLogits> {
  const plan = await planStudent(job, dataset, 'few', false, { init: null, answers: null });
  const members = ['student-1', 'student-2'].map((id, index) => ({ workerId: id, firstLane: index, lanes: 1 }));
  const command = {
    ...{ student: 'few', control: false, view: { number: 3, members }, teachers: [...endpoints], labelsDigest: '' },
    taughtBy: teachers.map(({ name, modelDigest }) => ({ teacher: name, modelDigest })),
  };
  const logits = await openStudentLogits(
    {
      ...{ job, jobId: 'job-1', workerId, view: 3, command, plan, dataset, objects, logger: testLogger() },
      logitsFolder: logitsFolder ?? null,
      onTeachers: (changes ?? new TeacherChanges()).listen,
      onTrouble: (reason) => troubles?.push(reason),
    },
    signal,
  );
  t.teardown(() => logits.close());
  return logits;
}

function idsOf(step: number): Uint32Array {
  return Uint32Array.from({ length: MICRO_BATCH }, (_, index) => (step * 5 + index * 3) % 64);
}

function ask(logits: StudentLogits, step: number, lane = 0) {
  return logits.logits({ step, lane, ids: idsOf(step), partners: null, epoch: 0 });
}

async function askSteps(logits: StudentLogits, from: number, steps: number): Promise<Float32Array[]> {
  const answers: Float32Array[] = [];
  for (let step = from; step < from + steps; step += 4) {
    const some = await Promise.all([0, 1, 2, 3].map((ahead) => ask(logits, step + ahead)));
    answers.push(...some.map((answer) => answer.logits));
    logits.committed?.(step + 3);
  }
  return answers;
}

async function expectedLogits({ job, dataset }: World, { factor }: LinearTeacher, step: number): Promise<Float32Array> {
  const ids = idsOf(step);
  const images = await dataset.load(ids, {
    rule: viewRule({ seed: job.seed, views: job.data.views }, 0),
    partners: null,
  });
  return linearLogits(images, ids.length, dataset.classNames.length, factor);
}

test('2 students and 3 teachers: every batch has its own answer, and every teacher works', async (t) => {
  const given = await world(t);
  const [teacher] = given.teachers as [LinearTeacher];
  const workers = await Promise.all(
    [2, 4, 6].map((computeMs, index) => serveLinear(t, teacher, { workerId: `teacher-${index}`, computeMs })),
  );
  const endpoints = workers.map(({ endpoint }) => endpoint);
  const students = await Promise.all(
    ['student-1', 'student-2'].map((workerId) => student(t, given, endpoints, { workerId })),
  );
  const answers = await Promise.all(students.map((each) => askSteps(each, 0, 40)));
  for (let step = 0; step < 40; step += 13) {
    const expected = await expectedLogits(given, teacher, step);
    for (const each of answers) t.deepEqual(each[step], expected);
  }
  for (const { counters } of workers) t.true(counters.samplesServed > 0);
  for (const { counters } of students) {
    t.true(counters.bytesReceived >= 40 * MICRO_BATCH * 4 * 4);
    t.is(counters.cachedSamples, 0);
  }
});

test('2 students that wait leave none of 3 teachers idle', async (t) => {
  const given = await world(t);
  const [teacher] = given.teachers as [LinearTeacher];
  const workers = await Promise.all(
    [20, 30, 40].map((computeMs, index) => serveLinear(t, teacher, { workerId: `teacher-${index}`, computeMs })),
  );
  const endpoints = workers.map(({ endpoint }) => endpoint);
  const students = await Promise.all(
    ['student-1', 'student-2'].map((workerId) => student(t, given, endpoints, { workerId })),
  );
  // The first answers tell how quick each one is.
  await Promise.all(students.map((each) => askSteps(each, 0, 8)));
  const busyMs = () => workers.map(({ counters }) => counters.computeMs);
  const [before, beganMs] = [busyMs(), monotonicMs()];
  await Promise.all(students.flatMap((each) => Array.from({ length: 24 }, (_, step) => ask(each, 8 + step))));
  const tookMs = monotonicMs() - beganMs;
  // At the very end the slower ones have the last batches; whatever else slows this process slows what they compute too.
  for (const [index, endMs] of busyMs().entries()) {
    const share = (endMs - (before[index] as number)) / tookMs;
    t.true(share > 0.6, `teacher ${index} has computed for ${share} of the time`);
  }
  const computed = workers.reduce((sum, { counters }) => sum + counters.samplesComputed, 0);
  t.true(computed < 1.25 * 2 * 32 * MICRO_BATCH, `${computed} samples computed`);
});

test('a teacher that dies and one that is drained leave no batch behind, and a new one is used', async (t) => {
  const given = await world(t);
  const [teacher] = given.teachers as [LinearTeacher];
  const serve = (workerId: string) => serveLinear(t, teacher, { workerId, computeMs: 20 });
  const [first, second, third] = [await serve('teacher-1'), await serve('teacher-2'), await serve('teacher-3')];
  const changes = new TeacherChanges();
  const logits = await student(t, given, [first.endpoint, second.endpoint], { changes });
  const asked = Array.from({ length: 16 }, (_, step) => ask(logits, step));
  await sleep(30);
  await first.stop();
  const answers = await Promise.all(asked);
  for (const [step, answer] of answers.entries()) {
    t.deepEqual(answer.logits, await expectedLogits(given, teacher, step));
  }
  t.true(logits.counters.batchesResent > 0);
  changes.tell([second.endpoint, third.endpoint]);
  const drained = Promise.all(Array.from({ length: 16 }, (_, step) => ask(logits, 100 + step)));
  await sleep(30);
  await second.service.drain(5_000);
  changes.tell([third.endpoint]);
  t.is((await drained).length, 16);
  t.true(third.counters.samplesServed > 0);
  t.deepEqual((await ask(logits, 200)).logits, await expectedLogits(given, teacher, 200));
});

test('several teachers are joined as the job says; by-class asks only those that count', async (t) => {
  const distill = 'logits: fp32, cache: {mode: off}, teachers: {weights: {big: 3, other: 1}}';
  const given = await world(t, { teachers: ['big', 'other'], distill });
  const workers = await Promise.all(
    given.teachers.map((teacher) => serveLinear(t, teacher, { workerId: `at-${teacher.name}` })),
  );
  const endpoints = workers.map(({ endpoint }) => endpoint);
  const logits = await student(t, given, endpoints);
  const got = (await ask(logits, 1)).logits;
  const [big, other] = await Promise.all(given.teachers.map((teacher) => expectedLogits(given, teacher, 1)));
  for (const [at, value] of got.entries()) {
    t.true(Math.abs(value - (0.75 * (big?.[at] as number) + 0.25 * (other?.[at] as number))) < 1e-5);
  }
  const classes = 'classes: {big: [ash, beech], other: [cedar, elm]}';
  const job = parseJobFileLike(given, `logits: fp32, cache: {mode: off}, teachers: {combine: by-class, ${classes}}`);
  const chosen = await student(t, { ...given, job }, endpoints);
  const mixed = (await ask(chosen, 2)).logits;
  const both = await Promise.all(given.teachers.map((teacher) => expectedLogits(given, teacher, 2)));
  for (const [row, id] of idsOf(2).entries()) {
    const expected = both[(given.dataset.labels[id] as number) < 2 ? 0 : 1] as Float32Array;
    t.deepEqual(mixed.subarray(row * 4, row * 4 + 4), expected.subarray(row * 4, row * 4 + 4));
  }
});

function parseJobFileLike({ job }: World, distill: string): JobSpec {
  const names = job.teachers.map(({ name }) => `{name: ${name}, arch: simple-cnn}`).join(', ');
  return parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: trees, seed: 5,
    data: {dataset: trees, calibrate: 0, views: {flip: true, shift: 2}}, teachers: [${names}],
    students: [{name: few, arch: simple-cnn}], distill: {${distill}}, train: {microBatch: ${MICRO_BATCH}}}`);
}

test('where students send pixels the teacher answers to the same views, rounded', async (t) => {
  const given = await world(t, { distill: 'logits: fp32, request: pixels, cache: {mode: off}' });
  const [teacher] = given.teachers as [LinearTeacher];
  const { endpoint } = await serveLinear(t, teacher, { workerId: 'teacher-1' });
  const logits = await student(t, given, [endpoint]);
  // Flips and shifts leave whole numbers whole.
  t.deepEqual((await ask(logits, 3)).logits, await expectedLogits(given, teacher, 3));
});

function reply({ key, sampleIds }: { key: unknown; sampleIds: readonly unknown[] }, values: Float32Array, classes = 4) {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return { logits: { key: key as never, values: bytes, samples: sampleIds.length, classes } };
}

for (const [what, wrong, message] of [
  ['logits of another shape', (): Float32Array => new Float32Array(MICRO_BATCH * 3), /\[8, 3\], expected \[8, 4\]/],
  ['NaN', (): Float32Array => new Float32Array(MICRO_BATCH * 4).fill(Number.NaN, 9, 10), /sample 11: row 0, column 1/],
] as const) {
  test(`${what}: another teacher answers; from all teachers it fails the batch by name`, async (t) => {
    const given = await world(t);
    const [teacher] = given.teachers as [LinearTeacher];
    const script: Script = { answer: (batch) => [reply(batch, wrong(), wrong().length / MICRO_BATCH)] };
    const bad = await serveScript(t, teacher, 'bad-1', script);
    const good = await serveLinear(t, teacher, { workerId: 'good', computeMs: 5 });
    const logits = await student(t, given, [bad.endpoint, good.endpoint]);
    const answers = await askSteps(logits, 0, 16);
    t.deepEqual(answers[9], await expectedLogits(given, teacher, 9));
    t.true(bad.counts().batches > 0);
    const worse = await serveScript(t, teacher, 'bad-2', script);
    const helpless = await student(t, given, [bad.endpoint, worse.endpoint]);
    const error = await t.throwsAsync<StillhouseError>(ask(helpless, 1), { instanceOf: StillhouseError, message });
    t.is(error.code, 'DATA_LOSS');
    t.regex(error.message, /teacher "big" at bad-[12] \(127/);
  });
}

test('a teacher that becomes another model is left, and one that never fits is refused with its reasons', async (t) => {
  const given = await world(t);
  const [teacher] = given.teachers as [LinearTeacher];
  const refusal = (batch: { key: unknown }) => [
    { refused: { key: batch.key as never, code: 'FAILED_PRECONDITION', message: 'its version is 2 now, not 1' } },
  ];
  const changed = await serveScript(t, teacher, 'changed', { answer: refusal });
  const good = await serveLinear(t, teacher, { workerId: 'good' });
  const logits = await student(t, given, [changed.endpoint, good.endpoint]);
  t.is((await askSteps(logits, 0, 12)).length, 12);
  const misfits = await Promise.all([
    serveScript(t, teacher, 'digest', { opened: { modelDigest: sha256('x') }, answer: () => [] }),
    serveScript(t, teacher, 'classes', { opened: { teacherClassNames: ['ash', 'oak'] }, answer: () => [] }),
    serveScript(t, teacher, 'data', { opened: { datasetDigest: sha256('y') }, answer: () => [] }),
    serveScript(t, teacher, 'views', { opened: { viewProtocol: 1 }, answer: () => [] }),
  ]);
  const endpoints = misfits.map(({ endpoint }) => endpoint);
  const error = await t.throwsAsync<StillhouseError>(student(t, given, endpoints));
  t.is(error.code, 'FAILED_PRECONDITION');
  for (const part of [
    /at digest .*the model there is/,
    /lacks the classes beech/,
    /data set there is/,
    /rule of views/,
  ]) {
    t.regex(error.message, part);
  }
});

test('answers that come twice are dropped; a teacher that falls silent is not waited for', async (t) => {
  const given = await world(t);
  const [teacher] = given.teachers as [LinearTeacher];
  const logitsOf = (batch: { sampleIds: number[] }) =>
    linearLogits(new Float32Array(batch.sampleIds.length * 4), batch.sampleIds.length, 4, 1);
  const twice = await serveScript(t, teacher, 'twice', {
    answer: (batch) => [reply(batch, logitsOf(batch)), reply(batch, logitsOf(batch))],
  });
  const logits = await student(t, given, [twice.endpoint]);
  await askSteps(logits, 0, 8);
  while (logits.counters.duplicateAnswers < 8) await sleep(5);
  t.is(logits.counters.duplicateAnswers, 8);
  const silentOne = await serveScript(t, teacher, 'silent', { answer: () => [] });
  const good = await serveLinear(t, teacher, { workerId: 'good', computeMs: 2 });
  const patient = await student(t, given, [silentOne.endpoint, good.endpoint]);
  t.is((await askSteps(patient, 0, 8)).length, 8);
  t.true(silentOne.counts().batches > 0);
  t.true(patient.counters.batchesResent > 0);
});

test('a connection that is cut in the middle of a message loses no batch', async (t) => {
  const given = await world(t);
  const [teacher] = given.teachers as [LinearTeacher];
  const { endpoint } = await serveLinear(t, teacher, { workerId: 'teacher-1', computeMs: 2 });
  const { port, cuts } = await cuttingProxy(t, Number(endpoint.address.split(':')[1]), 2_500);
  const logits = await student(t, given, [{ ...endpoint, address: `127.0.0.1:${port}` }]);
  const answers = await askSteps(logits, 0, 40);
  t.true(cuts() > 0);
  for (const step of [0, 17, 39]) t.deepEqual(answers[step], await expectedLogits(given, teacher, step));
});

/** Passes on so many bytes of each connection's replies, for the first three, then cuts. */
async function cuttingProxy(t: ExecutionContext, target: number, bytes: number) {
  let cuts = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connectSocket(target, '127.0.0.1');
    for (const socket of [client, upstream]) sockets.add(socket.on('error', () => socket.destroy()));
    let passed = 0;
    client.pipe(upstream);
    upstream.on('data', (data) => {
      const isCut = cuts < 3 && passed + data.length > bytes;
      client.write(isCut ? data.subarray(0, bytes - passed) : data, () => {
        if (isCut) client.destroy();
      });
      passed += data.length;
      if (!isCut) return;
      cuts += 1;
      upstream.destroy();
    });
    client.on('close', () => upstream.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, cuts: () => cuts };
}

test('with all teachers gone the cache goes on, with the same bits; what is not stored is waited for, by policy', async (t) => {
  const distill = 'logits: fp16, cache: {mode: on, encoding: int8}';
  const given = await world(t, { distill, student: 'classes: [elm, ash]', views: '{}', waitSeconds: 1 });
  const [teacher] = given.teachers as [LinearTeacher];
  const { job, dataset, objects, root } = given;
  const folder = `${root}/logits`;
  const { classNames } = dataset;
  const { name, modelDigest } = teacher;
  const { signal } = new AbortController();
  const answering = await answeringTeacher({ ...given, signal }, { teacher: name, modelDigest });
  const recipe = cacheRecipe(job, answering, dataset);
  if (recipe === null) throw new Error('the cache is on');
  const cache = await LogitsCache.open(folder, recipe, { writes: true });
  const worker = await serveLinear(t, teacher, { workerId: 'teacher-1', cache });
  const logits = await student(t, given, [worker.endpoint], { logitsFolder: folder });
  const computed = await askSteps(logits, 0, 4);
  await cache.flush();
  await worker.stop();
  // The same model as another job has trained it.
  const trainedAgain = { ...teacher, modelDigest: await objects.put(artefactOf(dataset, 'another').manifestBytes) };
  t.not(trainedAgain.modelDigest, modelDigest);
  const patient = { ...given, job: { ...job, limits: { ...job.limits, workerWaitSeconds: 60 } } };
  const [alone, later] = await Promise.all([
    student(t, { ...given, teachers: [trainedAgain] }, [], { logitsFolder: folder }),
    student(t, patient, [], { logitsFolder: folder }),
  ]);
  t.deepEqual(await askSteps(alone, 0, 4), computed);
  t.true(alone.counters.cachedSamples >= 4 * MICRO_BATCH);
  t.is(alone.counters.bytesReceived, 0);
  const error = await t.throwsAsync<StillhouseError>(ask(alone, 30));
  t.is(error.code, 'UNAVAILABLE');
  t.regex(error.message, /teacher "big".*withoutTeachers is continue.*step 31, lane 0\) \d of 8 samples are cached/);
  const strict = { ...given, job: { ...job, distill: { ...job.distill, withoutTeachers: 'wait' as const } } };
  const waiting = await t.throwsAsync<StillhouseError>(student(t, strict, [], { logitsFolder: folder }));
  t.regex(waiting.message, /withoutTeachers is wait/);
  // What others store while a batch waits is found.
  const asked = ask(later, 30);
  const ids = idsOf(30);
  const full = linearLogits(await dataset.load(ids), ids.length, classNames.length, teacher.factor);
  cache.keep({ view: 0, ids, partners: null }, encodeRows(full, cache.format));
  await cache.flush();
  t.is((await asked).logits.length, 2 * MICRO_BATCH);
  await cache.close();
});

test('teachers that come while a student opens its logits are used', async (t) => {
  const given = await world(t, { waitSeconds: 5 });
  const [teacher] = given.teachers as [LinearTeacher];
  const changes = new TeacherChanges();
  const opening = student(t, given, [], { changes });
  await Promise.race([changes.isHeard, opening]);
  const { endpoint } = await serveLinear(t, teacher, { workerId: 'late' });
  changes.tell([endpoint]);
  t.deepEqual((await ask(await opening, 2)).logits, await expectedLogits(given, teacher, 2));
});

test('a teacher whose own server is away is waited for as for one that is gone, and named', async (t) => {
  for (const policy of ['wait', 'fail'] as const) {
    const distill = `logits: fp32, cache: {mode: off}, withoutTeachers: ${policy}`;
    const given = await world(t, { distill, waitSeconds: 1 });
    const [teacher] = given.teachers as [LinearTeacher];
    const refusal = { code: 'UNAVAILABLE', message: 'no connection to its server', retryAfterMs: 50 };
    const away = await serveScript(t, teacher, 'away', {
      answer: ({ key }, count) => (count < 2 ? [{ refused: { ...refusal, key: key as never } }] : []),
    });
    const troubles: string[] = [];
    const logits = await student(t, given, [away.endpoint], { troubles });
    const asked = await t.throwsAsync<StillhouseError>(ask(logits, 1), { instanceOf: StillhouseError });
    t.is(asked.code, 'UNAVAILABLE');
    t.regex(
      asked.message,
      new RegExp(`teacher "big" since .* is ${policy}; .*at away \\(.*no connection to its server`),
    );
    const later = await t.throwsAsync<StillhouseError>(ask(logits, 2), { instanceOf: StillhouseError });
    t.is(later.message, asked.message, 'what comes later fails for the same reason');
    t.is(troubles.length, 1, 'users are told once');
    t.regex(troubles[0] ?? '', /away.*no connection to its server/);
  }
});

test('a teacher whose server comes back is used; one that is served again in a moment is waited for', async (t) => {
  const given = await world(t, { waitSeconds: 5 });
  const [teacher] = given.teachers as [LinearTeacher];
  const logitsOf = (ids: number) => linearLogits(new Float32Array(ids * 4), ids, 4, 1);
  const refusal = { code: 'UNAVAILABLE', message: 'no connection to its server', retryAfterMs: 50 };
  const flaky = await serveScript(t, teacher, 'flaky', {
    answer: (batch, count) =>
      count < 3 ? [{ refused: { ...refusal, key: batch.key as never } }] : [reply(batch, logitsOf(MICRO_BATCH))],
  });
  const logits = await student(t, given, [flaky.endpoint]);
  t.is((await ask(logits, 1)).logits.length, MICRO_BATCH * 4);
  t.is(flaky.counts().streams, 4);
  const worker = await serveLinear(t, teacher, { workerId: 'restarted' });
  await worker.service.withdraw('job-1');
  const opening = student(t, given, [worker.endpoint]);
  await sleep(300);
  worker.serve();
  t.deepEqual((await ask(await opening, 2)).logits, await expectedLogits(given, teacher, 2));
});

test('opening and waiting end with the task', async (t) => {
  const given = await world(t);
  const controller = new AbortController();
  const opening = student(t, given, [], { signal: controller.signal });
  controller.abort(new StillhouseError('CANCELLED', 'the job was cancelled'));
  await t.throwsAsync(opening, { message: 'the job was cancelled' });
  const [teacher] = given.teachers as [LinearTeacher];
  const silentOne = await serveScript(t, teacher, 'silent', { answer: () => [] });
  const logits = await student(t, given, [silentOne.endpoint]);
  const asked = ask(logits, 0);
  logits.close();
  t.is((await t.throwsAsync<StillhouseError>(asked)).code, 'CANCELLED');
  const full = await serveScript(t, teacher, 'full', {
    answer: ({ key }) => [{ refused: { key: key as never, code: 'RESOURCE_EXHAUSTED', retryAfterMs: 50 } }],
  });
  const refused = await student(t, given, [full.endpoint]);
  const waiting = ask(refused, 0);
  while (full.counts().batches < 2) await sleep(5);
  refused.close();
  t.is((await t.throwsAsync<StillhouseError>(waiting)).code, 'CANCELLED');
  await sleep(60);
  t.notThrows(() => refused.committed?.(0), 'a step that ends late asks nobody any more');
});
