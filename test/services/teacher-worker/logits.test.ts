import { type AddressInfo, createServer, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import { applyViews, NO_VIEWS, partnersOf, type ViewRule, type ViewsSpec } from '../../../lib/data/views.ts';
import { Compute } from '../../../lib/distill/compute.ts';
import { configureEngine } from '../../../lib/engine/environment.ts';
import { describeModel, initialParameters } from '../../../lib/model/parameters.ts';
import { architectureNamed } from '../../../lib/model/zoo.ts';
import { RpcServer } from '../../../lib/wire/grpc.ts';
import { mixes } from '../../../lib/wire/teacher-views.ts';
import { LogitsStream, type LogitsStreamOptions } from '../../../services/student-worker/logits-stream.ts';
import { LogitsService } from '../../../services/teacher-worker/logits-service.ts';
import { TeacherAnswers } from '../../../services/teacher-worker/teacher-answers.ts';
import { silent } from '../../helpers/logger.ts';
import { onePool } from '../../helpers/one-pool.ts';
import { SMALL_CLASS_NAMES, writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const DIGEST = `sha256:${'7'.repeat(64)}`;

const VIEWS = { ...NO_VIEWS, flip: true, shift: 2 };

const never = new AbortController().signal;

/** A real teacher over gRPC: a model of seeded weights in the compute thread, a data set on disk. */
async function serveTeacher(t: ExecutionContext, views: ViewsSpec = VIEWS) {
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'trees', {
    files: [
      ['train', 40],
      ['test', 4],
    ],
  });
  const dataset = await openDataset(root, 'trees');
  configureEngine({ intraOpThreads: 1, interOpThreads: 1 });
  const compute = new Compute();
  const model = describeModel(architectureNamed('simple-cnn'), dataset.image, SMALL_CLASS_NAMES.length);
  const preprocessing = { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] };
  const program = await compute.open({ model, preprocessing, training: null, predictBatchSizes: [16] });
  await program.write('parameters', initialParameters(model, 1));
  const logits = new LogitsService('teacher-1');
  const classNames = dataset.classNames;
  const answers = new TeacherAnswers({
    dataset,
    seed: 5,
    views,
    classes: classNames.length,
    labels: null,
    predict: (images, count) => program.predict(images, count),
  });
  logits.serve({
    jobId: 'job-1',
    microBatch: 16,
    modelDigest: DIGEST,
    classNames,
    dataset,
    mixes: mixes(views),
    answers,
  });
  const server = new RpcServer(silent).add('Teacher', logits.implementation());
  const address = `127.0.0.1:${await server.listen('127.0.0.1', 0)}`;
  t.teardown(async () => {
    await server.stop(0);
    await compute.close();
    await dataset.close();
  });
  const options: LogitsStreamOptions = {
    address,
    jobId: 'job-1',
    workerId: 'student-1',
    modelDigest: DIGEST,
    datasetDigest: dataset.digest,
    classNames: ['elm', 'ash'],
    dustbinTemperature: 0,
    view: 1,
  };
  return { dataset, program, logits, options, server };
}

test.serial(
  'logits are those of the same view of the same samples, gathered to the classes of the student',
  async (t) => {
    const { dataset, program, logits, options } = await serveTeacher(t);
    const stream = await LogitsStream.open(options, never);
    t.teardown(() => stream.close());
    const ids = Uint32Array.of(3, 9, 31, 0, 17);
    const got = await stream.logits({ step: 0, lane: 2, ids, partners: null, epoch: 4 });
    const images = await dataset.load(ids);
    applyViews(images, ids, dataset.image, { ...VIEWS, seed: 5, number: 4 });
    const all = await program.predict(images, ids.length);
    const gathered = Array.from(ids, (_, row) => [all[row * 4 + 3], all[row * 4]]).flat();
    t.deepEqual([...got], gathered as number[]);
    const again = await stream.logits({ step: 0, lane: 2, ids, partners: null, epoch: 4 });
    t.deepEqual(again, got);
    const other = await stream.logits({ step: 1, lane: 2, ids, partners: null, epoch: 5 });
    t.notDeepEqual(other, got);
    const service = logits.implementation();
    const status = await service.GetTeacherStatus({}, undefined as never);
    const [job] = status.jobs ?? [];
    t.like(job, { jobId: 'job-1', samplesServed: 10, samplesRepeated: 5, batchesServed: 3, bytesSent: 3 * 5 * 2 * 4 });
  },
);

test.serial(
  'views that come again are answered by what is kept, mixed with the same partners, bit for bit',
  async (t) => {
    const views = { ...VIEWS, mixup: 0.4, cycle: 2 };
    const { dataset, program, logits, options } = await serveTeacher(t, views);
    const stream = await LogitsStream.open({ ...options, classNames: SMALL_CLASS_NAMES }, never);
    t.teardown(() => stream.close());
    const ids = dataset.idsOf('train').subarray(0, 32);
    const rule = (epoch: number): ViewRule => ({ ...views, seed: 5, number: epoch % 2 });
    let step = 0;
    const epoch = async (number: number, order: Uint32Array) => {
      for (const batch of [order.slice(0, 16), order.slice(16)]) {
        const partners = partnersOf(batch, onePool(ids), rule(number)) as Uint32Array;
        const expected = await program.predict(await dataset.load(batch, { rule: rule(number), partners }), 16);
        t.deepEqual(await stream.logits({ step: step++, lane: 0, ids: batch, partners, epoch: number }), expected);
      }
      return logits.implementation().GetTeacherStatus({} as never, {} as never) as { jobs: Record<string, number>[] };
    };
    for (const number of [0, 1]) t.like((await epoch(number, ids)).jobs[0], { samplesCached: 0 });
    const computed = (await epoch(2, ids.slice().reverse())).jobs[0];
    t.like(computed, { samplesServed: 96, samplesCached: 32 });
    t.like((await epoch(3, ids)).jobs[0], { samplesCached: 64, computeMs: computed?.computeMs });
    // A batch of which a part is new is computed, and kept then.
    const mixed = dataset.idsOf('train').subarray(24, 40);
    const request = { lane: 0, ids: mixed, partners: partnersOf(mixed, onePool(ids), rule(4)), epoch: 4 };
    const first = await stream.logits({ ...request, step: 90 });
    t.deepEqual(await stream.logits({ ...request, step: 91 }), first);
    const status = (await epoch(4, ids)).jobs[0];
    t.like(status, { samplesCached: 64 + 16 + 32 });
  },
);

test.serial('where the job mixes images there is a partner for each sample, of the data set', async (t) => {
  const ids = Uint32Array.of(3, 9);
  const { options } = await serveTeacher(t, { ...VIEWS, cutmix: 1 });
  for (const [partners, message] of [
    [null, /has 0 partners, expected one for each sample/],
    [[1], /has 1 partners, expected one for each sample/],
    [[1, 44], /partner 44 is not in the data set trees, whose ids are 0 to 43/],
  ] as const) {
    const stream = await LogitsStream.open(options, never);
    t.teardown(() => stream.close());
    const asked = { step: 0, lane: 0, ids, partners: partners && Uint32Array.from(partners), epoch: 0 };
    const error = await t.throwsAsync<StillhouseError>(stream.logits(asked), { message });
    t.like(error, { code: 'INVALID_ARGUMENT' });
  }
});

test.serial('a student with a dustbin gets one more column, for all classes that are not its own', async (t) => {
  const { dataset, program, options } = await serveTeacher(t);
  const stream = await LogitsStream.open({ ...options, dustbinTemperature: 2 }, never);
  t.teardown(() => stream.close());
  const ids = Uint32Array.of(3, 9, 31);
  const got = await stream.logits({ step: 0, lane: 0, ids, partners: null, epoch: 4 });
  t.is(got.length, ids.length * 3);
  const images = await dataset.load(ids);
  applyViews(images, ids, dataset.image, { ...VIEWS, seed: 5, number: 4 });
  const all = await program.predict(images, ids.length);
  for (const row of ids.keys()) {
    const [ash, beech, cedar, elm] = all.subarray(row * 4, (row + 1) * 4) as unknown as [
      number,
      number,
      number,
      number,
    ];
    t.deepEqual([...got.subarray(row * 3, row * 3 + 2)], [elm, ash]);
    const joined = 2 * Math.log(Math.exp(beech / 2) + Math.exp(cedar / 2));
    t.true(Math.abs((got[row * 3 + 2] as number) - joined) < 1e-6 * (1 + Math.abs(joined)), `row ${row}`);
  }
});

test.serial('many more batches than credits are all answered, each with its own', async (t) => {
  const { options } = await serveTeacher(t);
  const stream = await LogitsStream.open({ ...options, classNames: SMALL_CLASS_NAMES }, never);
  t.teardown(() => stream.close());
  const request = (step: number) =>
    stream.logits({ step, lane: 0, ids: Uint32Array.of(step % 40), partners: null, epoch: 0 });
  const answers = await Promise.all(Array.from({ length: 300 }, (_, step) => request(step)));
  for (const [step, answer] of answers.entries()) t.deepEqual(answer, answers[step % 40]);
  t.notDeepEqual(answers[0], answers[1]);
});

test.serial('what the teacher cannot meet is refused before the first batch', async (t) => {
  const { options } = await serveTeacher(t);
  const refused = async (change: Partial<LogitsStreamOptions>, message: RegExp) => {
    const error = await t.throwsAsync(LogitsStream.open({ ...options, ...change }, never));
    t.true(error instanceof StillhouseError && error.code === 'FAILED_PRECONDITION');
    t.regex(error?.message ?? '', message);
  };
  await refused({ classNames: ['ash', 'palm'] }, /lacks the classes palm/);
  await refused({ classNames: SMALL_CLASS_NAMES, dustbinTemperature: 2 }, /nothing is left for its dustbin/);
  await refused({ datasetDigest: `sha256:${'0'.repeat(64)}` }, /data set here is sha256/);
  await refused({ modelDigest: `sha256:${'1'.repeat(64)}` }, /is not loaded here/);
  await refused({ jobId: 'job-2' }, /not loaded here for job job-2/);
  for (const dustbinTemperature of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    const error = await t.throwsAsync(LogitsStream.open({ ...options, dustbinTemperature }, never));
    t.true(error instanceof StillhouseError && error.code === 'INVALID_ARGUMENT', String(error));
    t.regex(error?.message ?? '', /dustbin_temperature is (-1|NaN|Infinity)/);
  }
});

test.serial('a batch that cannot be answered ends the stream with its reason', async (t) => {
  const { options } = await serveTeacher(t);
  const refused = async (ids: Uint32Array, message: RegExp, partners: Uint32Array | null = null) => {
    const stream = await LogitsStream.open(options, never);
    t.teardown(() => stream.close());
    const error = await t.throwsAsync(stream.logits({ step: 0, lane: 0, ids, partners, epoch: 0 }));
    t.true(error instanceof StillhouseError && error.code === 'INVALID_ARGUMENT', String(error));
    t.regex(error?.message ?? '', message);
    await t.throwsAsync(stream.logits({ step: 1, lane: 0, ids: Uint32Array.of(1), partners: null, epoch: 0 }));
  };
  await refused(Uint32Array.of(1_000_000), /1000000/);
  await refused(new Uint32Array(17), /17 samples, expected 1 to 16/);
  await refused(Uint32Array.of(3), /has 1 partners, expected none, as the job mixes no images/, Uint32Array.of(2));
});

test.serial('a teacher that stops serving, goes away or is not there ends what waits', async (t) => {
  const { options, logits, server } = await serveTeacher(t);
  const ask = (stream: LogitsStream, step: number) =>
    stream.logits({ step, lane: 0, ids: Uint32Array.of(1), partners: null, epoch: 0 });
  const withdrawn = await LogitsStream.open(options, never);
  t.teardown(() => withdrawn.close());
  t.is((await ask(withdrawn, 0)).length, 2);
  logits.withdraw('job-1');
  await t.throwsAsync(ask(withdrawn, 1), { message: /is served no more/ });
  const again = await serveTeacher(t);
  const stream = await LogitsStream.open(again.options, never);
  t.teardown(() => stream.close());
  await again.server.stop(0);
  await t.throwsAsync(ask(stream, 0));
  await server.stop(0);
  await t.throwsAsync(LogitsStream.open(options, never), { message: /the teacher at .* cannot be reached/ });
});

test.serial('a student that is cancelled does not wait for a teacher that never answers', async (t) => {
  const sockets: Socket[] = [];
  const silence = createServer((socket) => sockets.push(socket));
  const port = await new Promise<number>((resolve) => {
    silence.listen(0, '127.0.0.1', () => resolve((silence.address() as AddressInfo).port));
  });
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    silence.close();
  });
  const { options } = await serveTeacher(t);
  const controller = new AbortController();
  const opening = LogitsStream.open({ ...options, address: `127.0.0.1:${port}` }, controller.signal);
  controller.abort(new StillhouseError('CANCELLED', 'the job was cancelled'));
  await t.throwsAsync(opening, { message: 'the job was cancelled' });
});
