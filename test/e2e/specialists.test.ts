/**
 * The whole system as a user runs it: real processes on loopback, a real nats-server, real CIFAR-10. One cluster, one job,
 * and what must be true of them.
 */
import test, { type ExecutionContext } from 'ava';
import type { NatsConnection } from 'nats';
import { sleep } from '../../lib/base/clock.ts';
import { openDataset } from '../../lib/data/open-dataset.ts';
import type { Job__Output } from '../../lib/wire/generated/stillhouse/v1/Job.ts';
import type { Phase__Output } from '../../lib/wire/generated/stillhouse/v1/Phase.ts';
import { dial, type RpcClient, unary } from '../../lib/wire/grpc.ts';
import { OipClient, outputOf } from '../../lib/wire/oip/client.ts';
import { textValues } from '../../lib/wire/oip/raw-tensor.ts';
import { natsServerOf, phaseOf, startCluster, type TestCluster } from '../helpers/cluster.ts';
import { realDataRoot } from '../helpers/data-root.ts';

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
train: { lanes: 4, microBatch: 16, epochs: 8 }
averaging: { workers: 2 }
evaluate: { control: true, routeImages: 200 }
publish: { route: animals-and-machines }
`;

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

/** Payload bytes on the gradient and average subjects of a job, as a bystander on the bus counts them. */
function countGradientBytes(nats: NatsConnection, jobId: string): { grad: number; avg: number } {
  const bytes = { grad: 0, avg: 0 };
  nats.subscribe(`still.v1.${jobId}.grad.>`, { callback: (_, message) => (bytes.grad += message.data.length) });
  nats.subscribe(`still.v1.${jobId}.avg`, { callback: (_, message) => (bytes.avg += message.data.length) });
  return bytes;
}

test('two specialists are distilled, published and answer through the router', async (t) => {
  t.timeout(240_000);
  const cluster = await startCluster(t, '--students', '2', '--teachers', '1');
  const { cli, coordinator, router, nats } = cluster;
  const objectReads = countObjectReads(nats);
  const id = await cluster.submit(JOB);
  const bytes = countGradientBytes(nats, id);

  await cluster.reached(id, 'PHASE_KIND_DISTIL', 'first-five', 2);
  await assertStallsWithoutNats(t, cluster, id);
  // Whoever serves the teacher has read its manifest, to look for stored answers, and then both manifest and weights; nobody else
  // has read anything.
  const readsOfTeacher = objectReads();
  await cluster.reached(id, 'PHASE_KIND_CONTROL', 'first-five', 2);
  t.is(readsOfTeacher, 3);
  t.is(objectReads(), readsOfTeacher);

  const job = await cluster.ended(id);
  t.is(job.state, 'JOB_STATE_SUCCEEDED', job.message);
  assertTraining(t, job);
  // Every step moves both parts of the vector of sums, both ways: at least the four training phases' share of it.
  const steps = job.phases.filter(isStudentPhase).reduce((sum, { stepsTotal }) => sum + stepsTotal, 0);
  t.true(bytes.grad > 4 * 41_861 * steps && bytes.avg > 4 * 41_861 * steps, JSON.stringify(bytes));
  await assertTeacherCounted(t, coordinator, job);
  await assertAnswers(t, router, job);

  cli.process.kill('SIGTERM');
  const { code } = await cli.ended;
  t.is(code, 143);
  t.deepEqual(await cli.processes(), []);
});

const isStudentPhase = ({ kind }: Phase__Output) => kind === 'PHASE_KIND_DISTIL' || kind === 'PHASE_KIND_CONTROL';

/** Both students of every training phase did the same, with work of their own, and it helped. */
function assertTraining(t: ExecutionContext, job: Job__Output): void {
  const arms = job.phases.filter(isStudentPhase);
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
  const teacher = phaseOf(job, 'PHASE_KIND_TRAIN_TEACHER', 'big');
  t.true(teacher.loss < teacher.firstLoss);
  t.is(phaseOf(job, 'PHASE_KIND_EVALUATE_ROUTE', 'animals-and-machines').evaluatedImages, 200);
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
async function assertAnswers(t: ExecutionContext, router: TestCluster['router'], job: Job__Output): Promise<void> {
  const route = JSON.parse(job.specJson).publish.route as string;
  const dataset = await openDataset(realDataRoot(), 'cifar10');
  const pixels = await dataset.load(Uint32Array.of(50_000, 50_001));
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
async function assertStallsWithoutNats(t: ExecutionContext, cluster: TestCluster, id: string): Promise<void> {
  const pid = await natsServerOf(cluster.cli);
  const phase = async () => phaseOf(await cluster.job(id), 'PHASE_KIND_DISTIL', 'first-five');
  process.kill(pid, 'SIGSTOP');
  let before = 0;
  try {
    // What was on its way may still arrive.
    await sleep(700);
    const { step, stepsTotal, state } = await phase();
    before = step;
    t.is(state, 'PHASE_STATE_RUNNING');
    t.true(before < stepsTotal, `${before} of ${stepsTotal} steps`);
    await sleep(1_500);
    t.is((await phase()).step, before);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await cluster.reached(id, 'PHASE_KIND_DISTIL', 'first-five', before);
}
