/** The real process: SIGTERM while students have batches outstanding. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import { VIEW_PROTOCOL } from '../../../lib/data/views.ts';
import type { CoordinatorMessage } from '../../../lib/wire/generated/stillhouse/v1/CoordinatorMessage.ts';
import type { LogitsReply__Output } from '../../../lib/wire/generated/stillhouse/v1/LogitsReply.ts';
import type { WorkerMessage__Output } from '../../../lib/wire/generated/stillhouse/v1/WorkerMessage.ts';
import { RpcServer } from '../../../lib/wire/grpc.ts';
import { jobSpecToJson } from '../../../lib/wire/job-file.ts';
import { connectNats } from '../../../lib/wire/nats.ts';
import { silent } from '../../helpers/logger.ts';
import { LogitsClient } from '../../helpers/logits-client.ts';
import { startNatsServer } from '../../helpers/nats-server.ts';
import { FILES, smallJob, storeTeachers } from '../../helpers/served-teacher.ts';
import { writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const MAIN = fileURLToPath(new URL('../../../services/teacher-worker/main.ts', import.meta.url));

/** A coordinator that gives the first worker one task and notes what it hears. */
async function coordinate(t: ExecutionContext, start: CoordinatorMessage) {
  const heard: WorkerMessage__Output[] = [];
  let tellReady = () => {};
  const isReady = new Promise<void>((resolve) => {
    tellReady = resolve;
  });
  const server = new RpcServer(silent).add('Workers', {
    Attend: async (call) => {
      for await (const message of call) {
        heard.push(message);
        if (message.hello) for (const answer of [{ leaderEpoch: 1, welcome: {} }, start]) call.write(answer);
        if (message.ready) tellReady();
      }
    },
  });
  const address = `127.0.0.1:${await server.listen('127.0.0.1', 0)}`;
  t.teardown(() => server.stop(0));
  return { address, heard, isReady };
}

test('a teacher-worker that is told to end answers what it has taken on, tells everyone and goes', async (t) => {
  const nats = await startNatsServer();
  t.teardown(() => nats.stop());
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'trees', { files: FILES });
  const dataset = await openDataset(root, 'trees');
  t.teardown(() => dataset.close());
  const connection = await connectNats({ servers: nats.url, name: 'test', logger: silent });
  const [taught] = await storeTeachers(dataset, { big: 1 }, await connection.objects());
  await connection.close();
  const { teacher = '', modelDigest = '' } = taught ?? {};
  const { digest: datasetDigest } = dataset;
  const task = { taskId: 'serve', jobId: 'job-1', jobJson: jobSpecToJson(smallJob({})), datasetDigest };
  const serveTeacher = { teachers: [{ teacher, modelDigest }] };
  const coordinator = await coordinate(t, { leaderEpoch: 1, start: { ...task, serveTeacher } });
  const env = {
    ...{ PATH: process.env.PATH ?? '', HOME: root, STILLHOUSE_CACHE: root, STILLHOUSE_DATA: root },
    ...{ STILLHOUSE_HOST: '127.0.0.1', STILLHOUSE_COORDINATOR: coordinator.address, NATS_URL: nats.url },
  };
  const child = spawn(process.execPath, ['--import=tsx', MAIN], { env, stdio: ['ignore', 'pipe', 'ignore'] });
  t.teardown(() => child.kill('SIGKILL'));
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const { address, metrics } = JSON.parse(String(line)) as { address: string; metrics: string };
  await coordinator.isReady;
  const client = new LogitsClient(address);
  t.teardown(() => client.close());
  const { credits } = await client.open({
    ...{ jobId: 'job-1', studentWorkerId: 'student-1', teacher, modelDigest, datasetDigest },
    ...{
      classNames: [...dataset.classNames],
      viewProtocol: VIEW_PROTOCOL,
      format: { encoding: 'LOGITS_ENCODING_FP32' },
    },
  });
  const sampleIds = Array.from({ length: 16 }, (_, id) => id);
  for (let step = 0; step < credits; step++) client.send({ batch: { key: { view: 1, step, lane: 0 }, sampleIds } });
  const replies: LogitsReply__Output[] = [await client.next()];
  t.regex(
    await (await fetch(`http://${metrics}/metrics`)).text(),
    /stillhouse_teacher_served_samples_total\{job="job-1",teacher="big"\} \d/,
  );
  child.kill('SIGTERM');
  const ended = once(child, 'exit');
  while (replies.length < credits) replies.push(await client.next());
  t.deepEqual(
    replies.map(({ logits, refused }) => (logits ?? refused)?.key?.step).sort((a, b) => Number(a) - Number(b)),
    Array.from({ length: credits }, (_, step) => step),
  );
  t.true(replies.every(({ logits, refused }) => logits !== null || refused?.code === 'UNAVAILABLE'));
  t.like(await client.ended, { code: 'UNAVAILABLE' });
  t.true(client.loads.some(({ draining }) => draining));
  t.deepEqual(await ended, [0, null]);
  t.true(coordinator.heard.some(({ draining }) => draining));
});
