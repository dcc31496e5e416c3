/**
 * Distillation where labels are few, on a cluster of real processes and real CIFAR-10: a teacher that labels once, students
 * with a dustbin, a rule chosen on held-out images, the control arm behind a route of its own, floors.
 */
import test, { type ExecutionContext } from 'ava';
import type { Job__Output } from '../../lib/wire/generated/stillhouse/v1/Job.ts';
import type { RpcClient } from '../../lib/wire/grpc.ts';
import { unary } from '../../lib/wire/grpc.ts';
import { ROUTE_RULES } from '../../lib/wire/route-rules.ts';
import { phaseOf, startCluster } from '../helpers/cluster.ts';

const TRAIN_IMAGES = 600;
const LABELLED_IMAGES = 120;
const CALIBRATE_IMAGES = 150;
const TEST_IMAGES = 200;
const STUDENTS = ['first-five', 'last-five'];

interface Variant {
  readonly name: string;
  readonly workers: number;
  /** The `evaluate` and `publish` blocks. */
  readonly ending: string;
}

const jobFile = ({ name, workers, ending }: Variant) => `
apiVersion: stillhouse/v1
kind: Job
name: ${name}
seed: 5
data:
  dataset: cifar10
  train: ${TRAIN_IMAGES}
  labelled: ${LABELLED_IMAGES}
  calibrate: ${CALIBRATE_IMAGES}
  test: ${TEST_IMAGES}
  views: { flip: true, shift: 4 }
teachers:
  - { name: big, arch: simple-cnn, views: { flip: false, shift: 0 }, train: { microBatch: 20, epochs: 6 } }
students:
  - { name: first-five, arch: gap-cnn, classes: [airplane, automobile, bird, cat, deer], dustbin: true }
  - { name: last-five, arch: gap-cnn, classes: [dog, frog, horse, ship, truck], dustbin: true }
distill: { loss: [{ type: kl, weight: 1 }], temperature: 2 }
train: { lanes: 2, microBatch: 30, epochs: 3 }
averaging: { workers: ${workers} }
${ending}
`;

const TOGETHER: Variant = {
  name: 'few-labels',
  workers: 2,
  ending: `
evaluate: { controlRoute: true, floors: { teacher: 0, route: 0, rules: { max-softmax: 0, dustbin: 0 } } }
publish: { rule: best }`,
};

/** The same training by one worker, and a floor that nothing can reach. */
const ALONE: Variant = {
  name: 'too-much',
  workers: 1,
  ending: 'evaluate: { control: false, floors: { teacher: 1, route: 0 } }',
};

test('few labels: the teacher labels once, students learn from all images, the best rule is published', async (t) => {
  t.timeout(240_000);
  const { submit, ended, coordinator } = await startCluster(t, '--students', '2', '--teachers', '1');
  // The second one waits for its turn.
  const [first, second] = [await submit(jobFile(TOGETHER)), await submit(jobFile(ALONE))];
  const together = await ended(first);
  t.is(together.state, 'JOB_STATE_SUCCEEDED', together.message);
  t.true(together.phases.every(({ state }) => state === 'PHASE_STATE_DONE'));
  assertLabels(t, together);
  for (const student of STUDENTS) assertTraining(t, together, student);
  for (const route of ['few-labels-control', 'few-labels']) await assertRoute(t, coordinator, together, route);
  await assertPublished(t, coordinator, together);

  const alone = await ended(second);
  t.is(alone.state, 'JOB_STATE_FAILED');
  const reached = (100 * phaseOf(alone, 'PHASE_KIND_TRAIN_TEACHER', 'big').accuracy).toFixed(1);
  t.is(alone.message, `test accuracy below evaluate.floors: teacher big ${reached} % < 100.0 %`);
  t.true(alone.phases.every(({ state }) => state === 'PHASE_STATE_DONE'));
  await assertPublished(t, coordinator, alone);
  assertSameWeights(t, together, alone);
});

function assertLabels(t: ExecutionContext, job: Job__Output): void {
  const label = phaseOf(job, 'PHASE_KIND_LABEL', 'big');
  t.is(label.workers.length, 1);
  t.is(label.workers[0]?.samplesCommitted, TRAIN_IMAGES);
  t.true(label.stepsTotal > 0);
  t.is(label.step, label.stepsTotal);
  t.true(label.imagesPerSecond > 0);
  const teacher = phaseOf(job, 'PHASE_KIND_TRAIN_TEACHER', 'big');
  t.is(teacher.workers[0]?.samplesCommitted, 6 * LABELLED_IMAGES, 'six epochs of labelled images');
}

/** Both workers end with the same weights; the teacher answers for every sample of the distilled arm, for no other. */
function assertTraining(t: ExecutionContext, job: Job__Output, student: string): void {
  const distilled = phaseOf(job, 'PHASE_KIND_DISTIL', student);
  const control = phaseOf(job, 'PHASE_KIND_CONTROL', student);
  for (const { kind, workers } of [distilled, control]) {
    t.is(workers.length, 2);
    t.regex(workers[0]?.weightsDigest as string, /^sha256:[0-9a-f]{64}$/);
    t.is(workers[0]?.weightsDigest, workers[1]?.weightsDigest);
    for (const { teacherSamples, samplesCommitted } of workers) {
      t.true(samplesCommitted > 0);
      t.is(teacherSamples, kind === 'PHASE_KIND_DISTIL' ? samplesCommitted : 0, `${kind} ${student}`);
    }
  }
  t.not(distilled.workers[0]?.weightsDigest, control.workers[0]?.weightsDigest);
  t.is(distilled.stepsTotal, (3 * TRAIN_IMAGES) / 60, 'three epochs of all images, 60 a step');
  t.is(control.stepsTotal, distilled.stepsTotal);
}

/** All three rules are counted on held-out images; the published route, and what it is tested by, is the best one. */
async function assertRoute(
  t: ExecutionContext,
  coordinator: RpcClient<'Coordinator'>,
  job: Job__Output,
  name: string,
): Promise<void> {
  const choice = phaseOf(job, 'PHASE_KIND_CHOOSE_RULE', name);
  t.deepEqual(
    choice.rules.map(({ rule, evaluatedImages }) => [rule, evaluatedImages]),
    ROUTE_RULES.map((rule) => [rule, CALIBRATE_IMAGES]),
  );
  const most = Math.max(...choice.rules.map(({ correct }) => correct));
  const best = choice.rules.filter(({ correct }) => correct === most).at(-1)?.rule as string;
  t.is(choice.rule, best, JSON.stringify(choice.rules));
  const evaluation = phaseOf(job, 'PHASE_KIND_EVALUATE_ROUTE', name);
  t.is(evaluation.rule, best);
  t.deepEqual(evaluation.rules.map(({ rule }) => rule).sort(), [...ROUTE_RULES].sort());
  t.is(evaluation.evaluatedImages, TEST_IMAGES);
  t.is(evaluation.accuracy, (evaluation.rules[0]?.correct as number) / TEST_IMAGES);
  const route = await unary(coordinator, 'GetRoute', { name }, { timeoutMs: 10_000 });
  t.is(route.rule, best);
  t.true(route.legs.every(({ dustbin, classIds }) => dustbin && classIds.length === 5));
}

/** Route and models are there, whatever became of the job. */
async function assertPublished(t: ExecutionContext, coordinator: RpcClient<'Coordinator'>, job: Job__Output) {
  const { models } = await unary(coordinator, 'ListModels', {}, { timeoutMs: 10_000 });
  const digestOf = (name: string) => models.find((model) => model.name === name)?.digest;
  const digests = (kind: string) =>
    job.phases.filter((phase) => phase.kind === kind).map(({ modelDigest }) => modelDigest);
  const distilled = digests('PHASE_KIND_DISTIL');
  t.is(distilled.length, STUDENTS.length);
  t.deepEqual(
    STUDENTS.map((student) => digestOf(`${job.name}/${student}`)),
    distilled,
  );
  const controls = digests('PHASE_KIND_CONTROL');
  t.deepEqual(
    controls.map((_, index) => digestOf(`${job.name}/${STUDENTS[index]}-control`)),
    controls,
  );
  const legsOf = async (name: string) => {
    const { legs } = await unary(coordinator, 'GetRoute', { name }, { timeoutMs: 10_000 });
    return legs.map(({ modelDigest }) => modelDigest);
  };
  t.deepEqual(await legsOf(job.name), distilled);
  if (controls.length > 0) t.deepEqual(await legsOf(`${job.name}-control`), controls);
}

/** One worker and two, with the same lanes and labels by the teacher: the same bits. */
function assertSameWeights(t: ExecutionContext, together: Job__Output, alone: Job__Output): void {
  for (const student of STUDENTS) {
    const { workers } = phaseOf(alone, 'PHASE_KIND_DISTIL', student);
    t.is(workers.length, 1);
    const [expected] = phaseOf(together, 'PHASE_KIND_DISTIL', student).workers;
    t.is(workers[0]?.weightsDigest, expected?.weightsDigest as string, student);
  }
}
