/** The engine's turns and what becomes of answers, without a model: a teacher that adds up pixels. */
import test, { type ExecutionContext } from 'ava';
import { sleep } from '../../../lib/base/clock.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import type { Dataset } from '../../../lib/data/dataset.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import { NO_VIEWS, VIEW_PROTOCOL } from '../../../lib/data/views.ts';
import type { LabelBatch__Output } from '../../../lib/wire/generated/stillhouse/v1/LabelBatch.ts';
import type { LogitsReply } from '../../../lib/wire/generated/stillhouse/v1/LogitsReply.ts';
import type { Open__Output } from '../../../lib/wire/generated/stillhouse/v1/Open.ts';
import { RpcServer } from '../../../lib/wire/grpc.ts';
import { BatchComputer, type Work } from '../../../services/teacher-worker/batch-computer.ts';
import { LogitsService } from '../../../services/teacher-worker/logits-service.ts';
import { checkOpen } from '../../../services/teacher-worker/open-checks.ts';
import { RecordedReplies } from '../../../services/teacher-worker/recorded-replies.ts';
import type { ServedTeacher } from '../../../services/teacher-worker/served-teacher.ts';
import { ServingCounters } from '../../../services/teacher-worker/serving-counters.ts';
import { StudentStream } from '../../../services/teacher-worker/student-stream.ts';
import { silent } from '../../helpers/logger.ts';
import { LogitsClient } from '../../helpers/logits-client.ts';
import { writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const LIMITS = { samples: 1000, bytes: 1 << 20 };
const DIGEST = `sha256:${'a'.repeat(64)}`;

async function openTrees(t: ExecutionContext): Promise<Dataset> {
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'trees');
  const dataset = await openDataset(root, 'trees');
  t.teardown(() => dataset.close());
  return dataset;
}

/** A logit is the sum of an image times the class's number. @param onPredict called when the engine gets a batch */
function adder(dataset: Dataset, onPredict: (count: number) => Promise<void>): ServedTeacher {
  const { classNames } = dataset;
  const classes = classNames.length;
  return {
    ...{ jobId: 'job-1', name: 'big', modelDigest: DIGEST, classNames, dataset, seed: 1, views: NO_VIEWS },
    ...{ microBatch: 8, merging: null, cache: null, counters: new ServingCounters('job-1', 'big', DIGEST) },
    predict: async (images, count) => {
      await onPredict(count);
      const pixels = images.length / count;
      const sums = Array.from({ length: count }, (_, row) =>
        images.subarray(row * pixels, (row + 1) * pixels).reduce((sum, value) => sum + value, 0),
      );
      return Float32Array.from({ length: count * classes }, (_, at) => {
        return (sums[Math.floor(at / classes)] as number) * (at % classes);
      });
    },
  };
}

function work(teacher: ServedTeacher, ids: readonly number[], settle: Work['settle']): Work {
  const images = { samples: ids.length, ids, partners: null, epoch: 0, pixels: null };
  return { teacher, images, onBegun: () => undefined, settle };
}

const openMessage = (dataset: Dataset): Open__Output => ({
  ...{ jobId: 'job-1', studentWorkerId: 'student-1', teacher: 'big', modelDigest: DIGEST },
  ...{ datasetDigest: dataset.digest, classNames: [...dataset.classNames], viewProtocol: VIEW_PROTOCOL },
  ...{ dustbinTemperature: 0, pixels: null, format: { encoding: 'LOGITS_ENCODING_FP32', topK: 0, temperatures: [] } },
});

const batch = (step: number): LabelBatch__Output => ({
  ...{ key: { view: 1, step, lane: 0 }, sampleIds: [1, 2], partnerIds: [], epoch: 0, pixels: Buffer.alloc(0) },
  ...{ neededInMs: 0, deadlineMs: 0 },
});

test('the engine has its next batch before the answers to the last are made', async (t) => {
  const dataset = await openTrees(t);
  const events: string[] = [];
  let predictions = 0;
  const teacher = adder(dataset, async () => {
    // A few promises lie between a turn and the engine.
    for (let depth = 0; depth < 5; depth++) await undefined;
    events.push(`predict ${predictions++}`);
    await sleep(20);
  });
  const computer = new BatchComputer(LIMITS, () => undefined);
  const settled = [0, 1, 2].map(
    (index) =>
      new Promise<void>((resolve) => {
        const settle = async () => {
          events.push(`answer ${index}`);
          resolve();
        };
        computer.ask(work(teacher, [index], settle), { neededInMs: 0, deadlineMs: 0 });
      }),
  );
  await Promise.all(settled);
  t.deepEqual(events, ['predict 0', 'predict 1', 'answer 0', 'predict 2', 'answer 1', 'answer 2']);
});

test('an answer that cannot be made is told as an error, and others are answered', async (t) => {
  const dataset = await openTrees(t);
  const teacher = adder(dataset, async () => undefined);
  const computer = new BatchComputer(LIMITS, () => undefined);
  const outcomes: (Float32Array | StillhouseError)[] = [];
  const settle = async (outcome: Float32Array | StillhouseError) => {
    outcomes.push(outcome);
    if (outcomes.length === 1) throw new StillhouseError('INTERNAL', 'no room for it');
  };
  for (const id of [1, 2]) computer.ask(work(teacher, [id], settle), { neededInMs: 0, deadlineMs: 0 });
  while (outcomes.length < 3) await sleep(1);
  await computer.settled();
  t.like(outcomes[1], { code: 'INTERNAL', message: 'no room for it' });
  t.true(outcomes[2] instanceof Float32Array);
  t.is(computer.queuedSamples, 0);
  t.is(teacher.counters.samplesQueued, 0);
});

test('a batch that cannot be taken on costs no credit', async (t) => {
  const dataset = await openTrees(t);
  // Only what has to wait is loaded ahead.
  const prefetch = () => {
    throw new StillhouseError('INTERNAL', 'no room to load images ahead');
  };
  Object.defineProperty(dataset, 'prefetch', { value: prefetch });
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const teacher = adder(dataset, () => gate);
  const written: LogitsReply[] = [];
  const host = {
    computer: new BatchComputer(LIMITS, () => undefined),
    replies: new RecordedReplies(1 << 20),
    load: () => ({ queuedSamples: 0, samplesPerSecond: 0, draining: false }),
    isDraining: () => false,
  };
  const end = {
    write: (reply: LogitsReply) => written.push(reply),
    onBusy: () => undefined,
    onSettled: () => undefined,
  };
  const stream = new StudentStream(checkOpen(openMessage(dataset), teacher), host, end);
  for (let step = 0; step < 4; step++) stream.receive(batch(step));
  const refused = written.flatMap((reply) => reply.refused ?? []);
  t.true(refused.length > 0);
  for (const { code, message } of refused) {
    t.is(code, 'INTERNAL');
    t.regex(message ?? '', /no room to load images ahead/);
  }
  t.is(stream.outstanding, 4 - refused.length);
  release();
  while (stream.outstanding > 0) await sleep(1);
  await host.computer.settled();
});

test('nothing is recorded of a teacher that has been withdrawn, not even what it was computing', async (t) => {
  const dataset = await openTrees(t);
  let release = () => {};
  let hasBegun = false;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const teacher = adder(dataset, () => {
    hasBegun = true;
    return gate;
  });
  const service = new LogitsService({ workerId: 'teacher-1' });
  const server = new RpcServer(silent).add('Teacher', service.implementation());
  const address = `127.0.0.1:${await server.listen('127.0.0.1', 0)}`;
  t.teardown(() => server.stop(0));
  const connect = async () => {
    const client = new LogitsClient(address);
    t.teardown(() => client.close());
    await client.open(openMessage(dataset));
    return client;
  };
  service.serve(teacher);
  const first = await connect();
  first.send({ batch: batch(0) });
  while (!hasBegun) await sleep(1);
  const withdrawn = service.withdraw('job-1');
  release();
  await withdrawn;
  t.like(await first.ended, { code: 'UNAVAILABLE' });
  service.serve(teacher);
  const reply = await (await connect()).ask(batch(0));
  t.is(reply.logits?.samplesStored, 0);
  await service.withdraw('job-1');
});
