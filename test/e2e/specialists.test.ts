/**
 * The whole system as a user runs it: real processes on loopback, a real nats-server, real CIFAR-10. One cluster, one job,
 * and what must be true of them.
 */
import { readFile } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import { connect, type NatsConnection } from 'nats';
import { monotonicMs, sleep } from '../../lib/base/clock.ts';
import { openDataset } from '../../lib/data/dataset.ts';
import type { Job__Output } from '../../lib/wire/generated/stillhouse/v1/Job.ts';
import type { Phase__Output } from '../../lib/wire/generated/stillhouse/v1/Phase.ts';
import { dial, type RpcClient, unary } from '../../lib/wire/grpc.ts';
import { OipClient, outputOf } from '../../lib/wire/oip/client.ts';
import { textValues } from '../../lib/wire/oip/raw-tensor.ts';
import { type RunningCli, startCli, until } from '../helpers/cli.ts';
import { realDataRoot } from '../helpers/data-root.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

const JOB = `
apiVersion: stillhouse/v1
kind: Job
name: e2e
seed: 3
data: { dataset: cifar10, train: 2001, test: 400, views: { flip: true, shift: 4 } }
teachers:
  - { name: big, arch: resnet-8, train: { microBatch: 64, epochs: 1 } }
students:
  - { name: first-five, arch: simple-cnn, classes: [airplane, automobile, bird, cat, deer] }
  - { name: last-five, arch: simple-cnn, classes: [dog, frog, horse, ship, truck] }
distill: { alpha: 0.7, temperature: 4 }
train: { lanes: 4, microBatch: 16, epochs: 4 }
averaging: { workers: 2 }
evaluate: { control: true, routeImages: 200 }
publish: { route: animals-and-machines }
`;

interface Cluster {
  readonly cli: RunningCli;
  readonly coordinator: RpcClient<'Coordinator'>;
  readonly router: { readonly grpc: string; readonly http: string };
  readonly nats: NatsConnection;
}

async function startCluster(t: ExecutionContext): Promise<Cluster> {
  const cli = startCli(t, ['up', '--json', '--students', '2', '--teachers', '1'], { TMPDIR: await tempFolder(t) });
  const line = await new Promise<string>((resolve, reject) => {
    cli.process.stdout?.on('data', (text: string) => text.includes('\n') && resolve(text));
    void cli.ended.then(({ err }) => reject(new Error(`the cluster did not start: ${err}`)));
  });
  const ready = JSON.parse(line);
  t.deepEqual(Object.keys(ready), ['ready', 'coordinator', 'router', 'nats']);
  const coordinator = dial('Coordinator', ready.coordinator);
  const nats = await connect({ servers: ready.nats });
  t.teardown(async () => {
    coordinator.close();
    await nats.close();
  });
  return { cli, coordinator, router: ready.router, nats };
}

/** Reads of objects' content, as JetStream sees them: a reader looks up the stream of the object's chunks. */
function countObjectReads(nats: NatsConnection): () => number {
  let reads = 0;
  nats.subscribe('$JS.API.STREAM.NAMES', {
    callback: (_, message) => {
      if (message.string().includes('$O.still_objects.C.')) reads += 1;
    },
  });
  return () => reads;
}

const phaseOf = (job: Job__Output, kind: string, subject?: string): Phase__Output =>
  job.phases.find(
    (phase) => phase.kind === kind && (subject === undefined || phase.subject === subject),
  ) as Phase__Output;

test.serial('two specialists are distilled, published and answer through the router', async (t) => {
  t.timeout(240_000);
  const { cli, coordinator, router, nats } = await startCluster(t);
  const limits = { timeoutMs: 10_000 };
  const objectReads = countObjectReads(nats);
  const { id } = await unary(coordinator, 'SubmitJob', { spec: JOB }, limits);
  const current = () => unary(coordinator, 'GetJob', { id }, limits);
  const hasStarted = (job: Job__Output, kind: string) => {
    t.not(job.state, 'JOB_STATE_FAILED', job.message);
    return (phaseOf(job, kind, 'first-five')?.step ?? 0) > 10;
  };

  await until(async () => hasStarted(await current(), 'PHASE_KIND_DISTIL'));
  await assertStallsWithoutNats(t, cli, current);
  // The teacher's manifest and weights have been read, by the one who serves it, and by nobody else.
  const readsOfTeacher = objectReads();
  await until(async () => hasStarted(await current(), 'PHASE_KIND_CONTROL'));
  t.is(readsOfTeacher, 2);
  t.is(objectReads(), readsOfTeacher);

  await until(async () => !['JOB_STATE_QUEUED', 'JOB_STATE_RUNNING'].includes((await current()).state));
  const job = await current();
  t.is(job.state, 'JOB_STATE_SUCCEEDED', job.message);
  assertTraining(t, job);
  await assertTeacherCounted(t, coordinator, job);
  await assertAnswers(t, router, job);

  cli.process.kill('SIGTERM');
  const { code } = await cli.ended;
  t.is(code, 143);
  t.deepEqual(await cli.processes(), []);
});

/** Both students of every training phase did the same, with work of their own, and it helped. */
function assertTraining(t: ExecutionContext, job: Job__Output): void {
  const arms = job.phases.filter(({ kind }) => kind === 'PHASE_KIND_DISTIL' || kind === 'PHASE_KIND_CONTROL');
  t.is(arms.length, 4);
  for (const phase of arms) {
    const name = `${phase.kind} ${phase.subject}`;
    t.is(phase.workers.length, 2, name);
    t.is(new Set(phase.workers.map(({ pid }) => pid)).size, 2, name);
    for (const worker of phase.workers) {
      t.true(worker.lanes > 0 && worker.samplesCommitted > 0, name);
      t.is(worker.stepsCommitted, phase.stepsTotal, name);
      t.true(worker.gradientBytesSent > 0 && worker.gradientBytesReceived > 0, name);
      t.regex(worker.weightsDigest, /^sha256:[0-9a-f]{64}$/, name);
      t.is(worker.weightsDigest, phase.workers[0]?.weightsDigest as string, name);
      t.is(worker.teacherSamples, phase.kind === 'PHASE_KIND_DISTIL' ? worker.samplesCommitted : 0, name);
    }
    t.true(phase.loss < phase.firstLoss, `${name}: ${phase.firstLoss} → ${phase.loss}`);
    t.true(phase.accuracy > 0.25, `${name}: ${phase.accuracy}`);
  }
  const [distilled, control] = arms.filter(({ subject }) => subject === 'first-five');
  t.not(distilled?.workers[0]?.weightsDigest, control?.workers[0]?.weightsDigest);
  const teacher = phaseOf(job, 'PHASE_KIND_TRAIN_TEACHER');
  t.true(teacher.loss < teacher.firstLoss);
  t.true(phaseOf(job, 'PHASE_KIND_EVALUATE_ROUTE').evaluatedImages === 200);
}

/** What the teacher says that it served is what the students say that they used. */
async function assertTeacherCounted(t: ExecutionContext, coordinator: RpcClient<'Coordinator'>, job: Job__Output) {
  const { members } = await unary(coordinator, 'GetCluster', {}, { timeoutMs: 10_000 });
  const address = members.find(({ role }) => role === 'teacher')?.address as string;
  const teacher = dial('Teacher', address);
  const status = await unary(teacher, 'GetTeacherStatus', {}, { timeoutMs: 10_000 });
  teacher.close();
  const served = status.jobs.filter(({ jobId }) => jobId === job.id);
  const workers = job.phases.filter(({ kind }) => kind === 'PHASE_KIND_DISTIL').flatMap((phase) => phase.workers);
  const used = workers.reduce((sum, worker) => sum + worker.teacherSamples, 0);
  t.true(used > 0);
  t.is(
    served.reduce((sum, counters) => sum + counters.samplesServed, 0),
    used,
  );
  t.is(
    served.reduce((sum, counters) => sum + counters.samplesRepeated, 0),
    0,
  );
}

/** The same image over REST and gRPC: the label, and the name of the specialist that knew it. */
async function assertAnswers(t: ExecutionContext, router: Cluster['router'], job: Job__Output): Promise<void> {
  const route = JSON.parse(job.specJson).publish.route as string;
  const dataset = await openDataset(realDataRoot(), 'cifar10');
  const pixels = dataset.readImages(Uint32Array.of(50_000, 50_001));
  await dataset.close();
  const client = new OipClient(router.grpc);
  const image = { name: 'image', datatype: 'FP32' as const, shape: [2, 32, 32, 3], values: pixels };
  const response = await client.infer({ modelName: route, inputs: [image] }, { timeoutMs: 10_000 });
  client.close();
  const specialists = textValues(outputOf(response, 'specialist'));
  const labels = textValues(outputOf(response, 'label'));
  t.true(specialists.every((name) => ['first-five', 'last-five'].includes(name)));
  const answer = await fetch(`${router.http}/v2/models/${route}/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      id: 'one',
      inputs: [{ name: 'image', datatype: 'FP32', shape: [2, 32, 32, 3], data: [...pixels] }],
    }),
  });
  t.is(answer.status, 200);
  const body = (await answer.json()) as { id: string; outputs: { name: string; data: unknown[] }[] };
  const output = (name: string) => body.outputs.find((candidate) => candidate.name === name)?.data;
  t.is(body.id, 'one');
  t.deepEqual(output('specialist'), specialists);
  t.deepEqual(output('label'), labels);
}

/** While nats-server is stopped no step is committed; when it goes on, so does training. */
async function assertStallsWithoutNats(t: ExecutionContext, cli: RunningCli, current: () => Promise<Job__Output>) {
  const pid = await natsServerOf(cli);
  const step = async () => phaseOf(await current(), 'PHASE_KIND_DISTIL', 'first-five').step;
  process.kill(pid, 'SIGSTOP');
  try {
    // What was on its way may still arrive.
    await sleep(700);
    const before = await step();
    const waitedFrom = monotonicMs();
    await sleep(1_500);
    t.is(await step(), before, `no step in ${monotonicMs() - waitedFrom} ms`);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

async function natsServerOf(cli: RunningCli): Promise<number> {
  const found: number[] = [];
  for (const pid of await cli.pids()) {
    if ((await readFile(`/proc/${pid}/comm`, 'utf8')).startsWith('nats-server')) found.push(pid);
  }
  if (found.length !== 1) throw new Error(`${found.length} nats-servers belong to the cluster`);
  return found[0] as number;
}
