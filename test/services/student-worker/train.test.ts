/** A student's training task in one process: a real compute thread, a real data set, the bus in memory. */
import test, { type ExecutionContext } from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { loadDropped } from '../../../lib/checkpoint/dropped.ts';
import { loadModel } from '../../../lib/checkpoint/models.ts';
import { createMemoryStore } from '../../../lib/checkpoint/store.ts';
import type { Dataset } from '../../../lib/data/dataset.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import type { View } from '../../../lib/data/views.ts';
import { Compute } from '../../../lib/distill/compute.ts';
import type { LogitsSource } from '../../../lib/distill/step-inputs.ts';
import { prepareTraining } from '../../../lib/distill/training-loop.ts';
import { configureEngine } from '../../../lib/engine/environment.ts';
import { localAverager } from '../../../lib/gradient/local-averager.ts';
import type { Bus } from '../../../lib/wire/bus.ts';
import { parseJobFile } from '../../../lib/wire/job-file.ts';
import { planStudent, type StudentFacts } from '../../../lib/wire/job-plan.ts';
import { MemoryBroker } from '../../../lib/wire/memory-bus.ts';
import type { TaskContext, TaskProgressFields, TaskReadyFields } from '../../../lib/wire/task-runner.ts';
import { evaluateAndStore, loadInit, openTraining, weightsDigest } from '../../../lib/wire/trainer.ts';
import { StudentTrainer } from '../../../services/student-worker/train-task.ts';
import { silent } from '../../helpers/logger.ts';
import { writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const LANES = 3;

/** No model to start from, and nobody has labelled anything. */
const ALONE: StudentFacts = { init: null, answers: null };

const JOB = parseJobFile(`
apiVersion: stillhouse/v1
kind: Job
name: trees
seed: 5
data: { dataset: trees, views: { flip: true, shift: 2 } }
teachers: [{ name: teacher, arch: resnet-8 }]
students: [{ name: student, arch: resnet-8, classes: [ash, cedar, elm] }]
distill: { alpha: 0.5 }
train: { lanes: ${LANES}, microBatch: 4, epochs: 2 }
averaging: { workers: 2, stallTimeoutMs: 200 }
`);

async function setUp(t: ExecutionContext): Promise<{ dataset: Dataset; compute: Compute }> {
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'trees', {
    files: [
      ['train', 60],
      ['test', 20],
    ],
  });
  const dataset = await openDataset(root, 'trees');
  configureEngine({ intraOpThreads: 1, interOpThreads: 1 });
  const compute = new Compute();
  t.teardown(async () => {
    await compute.close();
    await dataset.close();
  });
  return { dataset, compute };
}

/** A task that begins at once. */
function context(
  signal: AbortSignal = new AbortController().signal,
): TaskContext & { last(): TaskProgressFields | undefined } {
  let latest: TaskProgressFields | undefined;
  return {
    signal,
    leaderEpoch: 1,
    begun: Promise.resolve(),
    ready: () => undefined,
    progress: (fields) => {
      latest = fields;
    },
    note: () => undefined,
    onTeachers: () => undefined,
    last: () => latest,
  };
}

const blocks = [
  [{ firstLane: 0, lanes: LANES }],
  [
    { firstLane: 0, lanes: 2 },
    { firstLane: 2, lanes: 1 },
  ],
  [0, 1, 2].map((firstLane) => ({ firstLane, lanes: 1 })),
];

function request(parts: { dataset: Dataset; compute: Compute }, bus: Bus, workers: number, self: number, view: number) {
  const members = (blocks[workers - 1] as { firstLane: number; lanes: number }[]).map((block, index) => ({
    workerId: `student-${index}`,
    ...block,
  }));
  const objects = createMemoryStore();
  const command = {
    student: 'student',
    control: true,
    view: { number: view, members },
    teachers: [],
    labelsDigest: '',
    taughtBy: [],
  };
  const member = {
    jobId: 'job-1',
    job: JOB,
    leaderEpoch: 1,
    workerId: `student-${self}`,
    bus,
    objects,
    logger: silent,
  };
  return { ...member, ...parts, command, logitsFolder: null };
}

test.serial('one, two and three workers end with the same bits, batch norm and tail steps included', async (t) => {
  const parts = await setUp(t);
  const plan = await planStudent(JOB, parts.dataset, 'student', true, ALONE);
  const digests: string[] = [];
  for (const workers of [1, 2, 3]) {
    const broker = new MemoryBroker();
    const trainers = Array.from({ length: workers }, () => new StudentTrainer());
    const requests = trainers.map((_, self) => request(parts, broker.connect(), workers, self, workers));
    const results = await Promise.all(
      trainers.map((trainer, self) => trainer.run(requests[self] as (typeof requests)[0], context())),
    );
    for (const trainer of trainers) trainer.close();
    const shares = results.map(({ last }) => last?.share);
    t.is(new Set(shares.map((share) => share?.weightsDigest)).size, 1);
    t.is(new Set(shares.map((share) => share?.stepsCommitted)).size, 1);
    digests.push(shares[0]?.weightsDigest as string);
    const samples = shares.reduce((sum, share) => sum + (share?.samplesCommitted ?? 0), 0);
    t.is(samples, 2 * plan.training.ids.length);
    // The first member alone evaluates and stores; what it stored is what was trained.
    t.deepEqual(
      results.map(({ modelDigest }) => modelDigest !== undefined),
      results.map((_, self) => self === 0),
    );
    const stored = await loadModel((requests[0] as (typeof requests)[0]).objects, results[0]?.modelDigest as string);
    t.is(stored.manifest.lineage.arm, 'control');
    t.is(results[0]?.evaluatedImages, plan.testIds.length);
  }
  t.is(new Set(digests).size, 1);
});

test.serial('a task that is cancelled while a peer is missing ends at once, and the next one works', async (t) => {
  const parts = await setUp(t);
  const broker = new MemoryBroker();
  const trainer = new StudentTrainer();
  const controller = new AbortController();
  const running = trainer.run(request(parts, broker.connect(), 2, 0, 1), context(controller.signal));
  // Its own lanes are computed by then, or not yet: both must end.
  setImmediate(() => controller.abort(new StillhouseError('CANCELLED', 'the job was cancelled')));
  await t.throwsAsync(running, { message: /cancelled|given up/ });
  const result = await trainer.run(request(parts, broker.connect(), 1, 0, 2), context());
  t.true((result.last?.share?.stepsCommitted ?? 0) > 0);
  trainer.close();
});

/** Runs the loop directly, with what it waits for under the test's control. */
async function loop(t: ExecutionContext, change: { teacher?: LogitsSource; averager?: 'stuck'; dataset?: Dataset }) {
  const parts = await setUp(t);
  const plan = await planStudent(JOB, parts.dataset, 'student', change.teacher === undefined, ALONE);
  const dataset = change.dataset ?? parts.dataset;
  const training = await openTraining(parts.compute, plan, dataset);
  const { program } = training;
  const controller = new AbortController();
  const stuck = { average: () => new Promise<never>(() => undefined) };
  const commits: number[] = [];
  const prepared = prepareTraining({
    ...training,
    plan: plan.training,
    firstLane: 0,
    lanes: LANES,
    averager: change.averager === 'stuck' ? stuck : localAverager(LANES, program.vectorSize),
    teacher: change.teacher ?? null,
    signal: controller.signal,
    onCommit: ({ step }) => commits.push(step),
  });
  const running = prepared.then((train) => train());
  return { running, controller, commits, program, parts };
}

const cancelled = new StillhouseError('CANCELLED', 'the job was cancelled');

test.serial('the loop ends when it is aborted, whatever it waits for', async (t) => {
  const silentTeacher: LogitsSource = { logits: () => new Promise(() => undefined) };
  const waiting = await loop(t, { teacher: silentTeacher });
  waiting.controller.abort(cancelled);
  await t.throwsAsync(waiting.running, { message: 'the job was cancelled' });
  const averaging = await loop(t, { averager: 'stuck' });
  averaging.controller.abort(cancelled);
  await t.throwsAsync(averaging.running, { message: 'the job was cancelled' });
  t.deepEqual([...waiting.commits, ...averaging.commits], []);
});

test.serial(
  'a teacher or a data set that fails ends the loop with its error, and nothing is left unhandled',
  async (t) => {
    const failing: LogitsSource = {
      logits: ({ step, lane, ids }) =>
        step === 1 && lane === 1
          ? Promise.reject(new StillhouseError('UNAVAILABLE', 'the teacher is gone'))
          : Promise.resolve({ logits: new Float32Array(ids.length * 3), tails: null }),
    };
    const teacherGone = await loop(t, { teacher: failing });
    await t.throwsAsync(teacherGone.running, { message: 'the teacher is gone' });
    t.deepEqual(teacherGone.commits, [0]);
    const parts = await setUp(t);
    let reads = 0;
    const shrunk: Dataset = Object.create(parts.dataset, {
      load: {
        value: async (ids: Uint32Array, view?: View) => {
          reads += 1;
          if (reads > 4) throw new StillhouseError('DATA_LOSS', 'the file has shrunk');
          return parts.dataset.load(ids, view);
        },
      },
      image: { value: parts.dataset.image },
    });
    const dataGone = await loop(t, { dataset: shrunk });
    await t.throwsAsync(dataGone.running, { message: 'the file has shrunk' });
  },
);

test.serial('the same job twice gives the same weights, another seed others', async (t) => {
  const first = await loop(t, {});
  const second = await loop(t, {});
  await Promise.all([first.running, second.running]);
  t.is(await weightsDigest(first.program), await weightsDigest(second.program));
  const startOf = async (job: typeof JOB) => {
    const plan = await planStudent(job, first.parts.dataset, 'student', true, ALONE);
    return weightsDigest((await openTraining(first.parts.compute, plan, first.parts.dataset)).program);
  };
  t.is(await startOf(JOB), await startOf(JOB));
  t.not(await startOf({ ...JOB, seed: 6 }), await startOf(JOB));
});

test.serial('a student that starts from a stored model starts with its weights and statistics', async (t) => {
  const trained = await loop(t, {});
  await trained.running;
  const { dataset, compute } = trained.parts;
  const plan = await planStudent(JOB, dataset, 'student', true, ALONE);
  const objects = createMemoryStore();
  const signal = new AbortController().signal;
  const parts = { program: trained.program, plan, dataset, job: JOB, jobId: 'job-1', teachers: [], objects, signal };
  const { modelDigest: digest } = await evaluateAndStore(parts, { epochs: JOB.train.epochs, best: null });
  const [student] = JOB.students;
  const network = { ...student, init: digest } as NonNullable<typeof student>;
  const job = { ...JOB, students: [network] };
  const init = await loadInit(objects, network);
  const warmPlan = await planStudent(job, dataset, 'student', true, { ...ALONE, init });
  const warm = await openTraining(compute, warmPlan, dataset);
  t.is(await weightsDigest(warm.program), await weightsDigest(trained.program));
});

test.serial('a loss that cannot be compiled trains eagerly, and says so', async (t) => {
  const parts = await setUp(t);
  const source = `export const needs = { teacher: false };
    export default ({ tf, logits, labels }) =>
    tf.mul(tf.sum(tf.square(logits), 1), 1 + labels.dataSync().length);`;
  const module = { digest: sha256(source), name: 'mine.ts', source };
  const distill = { ...JOB.distill, loss: [{ module, weight: 1, parameters: {} }] };
  const asked = request(parts, new MemoryBroker().connect(), 1, 0, 1);
  const ready: TaskReadyFields[] = [];
  const trainer = new StudentTrainer();
  t.teardown(() => trainer.close());
  const run = (job: typeof JOB) =>
    trainer.run(
      { ...asked, job, command: { ...asked.command, control: false } },
      { ...context(), ready: (fields) => ready.push(fields) },
    );
  const { last } = await run({ ...JOB, distill, train: { ...JOB.train, epochs: 1 } });
  t.regex(
    ready[0]?.notice ?? '',
    /^its steps run eagerly and in float32, which is slow, because .*reads a tensor's value/,
  );
  t.is(last?.step, ready[0]?.stepsTotal);
  const required = { ...JOB, distill, train: { ...JOB.train, compile: 'required' as const } };
  await t.throwsAsync(run(required), { message: /mine\.ts.*reads a tensor's value/ });
});

test.serial('between epochs the first member stores a checkpoint, of the distilled student alone', async (t) => {
  const parts = await setUp(t);
  const asked = request(parts, new MemoryBroker().connect(), 1, 0, 1);
  const trainer = new StudentTrainer();
  t.teardown(() => trainer.close());
  const run = async (control: boolean) => {
    const seen: TaskProgressFields[] = [];
    const loss = [{ type: 'cross-entropy', weight: 1 } as const];
    const job = { ...JOB, distill: { ...JOB.distill, loss }, train: { ...JOB.train, checkpointEpochs: 1 } };
    const task = { ...context(), progress: (fields: TaskProgressFields) => seen.push(fields) };
    const { last } = await trainer.run({ ...asked, job, command: { ...asked.command, control } }, task);
    return { seen, last };
  };
  const { seen, last } = await run(false);
  t.deepEqual([...new Set(seen.map(({ epoch }) => epoch))], [1, 2]);
  t.true(seen.every(({ epochs }) => epochs === 2));
  const stored = seen.filter(({ checkpointDigest }) => checkpointDigest !== '');
  t.is(stored[0]?.epoch, 1);
  t.true(
    stored.every(({ checkpointEpoch }) => checkpointEpoch === 1),
    'after the last epoch there is the model itself',
  );
  const { manifest } = await loadModel(asked.objects, stored[0]?.checkpointDigest ?? '');
  t.deepEqual(manifest.metrics, { epoch: 1 });
  // Of the whole epoch: the mean over its steps, each counted by its samples.
  const first = seen.filter(({ epoch }) => epoch === 1);
  const { samples, ofLosses } = first.reduce<{ samples: number; ofLosses: number }>(
    (sum, { loss, share, checkpointDigest }) => {
      if (checkpointDigest !== '') return sum;
      const { samplesCommitted = 0 } = share ?? {};
      return { samples: samplesCommitted, ofLosses: sum.ofLosses + (samplesCommitted - sum.samples) * Number(loss) };
    },
    { samples: 0, ofLosses: 0 },
  );
  t.true(Math.abs(Number(first.at(-1)?.epochLoss) - ofLosses / samples) < 1e-9);
  const [ended] = seen.filter(({ finishedEpoch }) => finishedEpoch === 1);
  t.is(ended?.finishedEpochLoss, first.at(-1)?.epochLoss);
  t.is(last?.finishedEpoch, 2);
  const accuracy = Number(last?.epochAccuracy);
  t.true(accuracy >= 0 && accuracy <= 1);
  t.true((await run(true)).seen.every(({ checkpointDigest }) => checkpointDigest === ''));
});

test.serial('what the epochs have dropped is stored with the model, where tails are dropped', async (t) => {
  const parts = await setUp(t);
  const train = { ...JOB.train, tail: 'drop' as const };
  const asked = request(parts, new MemoryBroker().connect(), 1, 0, 1);
  const run = async (job: typeof JOB) => {
    const trainer = new StudentTrainer();
    t.teardown(() => trainer.close());
    return await trainer.run({ ...asked, job, command: { ...asked.command, control: true } }, context());
  };
  t.is((await run(JOB)).droppedDigest, '');
  const { droppedDigest = '', last } = await run({ ...JOB, train });
  const { datasetDigest, epochs } = await loadDropped(asked.objects, droppedDigest);
  t.is(datasetDigest, parts.dataset.digest);
  t.is(epochs.length, JOB.train.epochs);
  const perEpoch = JOB.train.lanes * JOB.train.microBatch;
  for (const ids of epochs) {
    t.true(ids.length > 0 && ids.length < perEpoch + JOB.train.lanes);
    t.true(ids.every((id) => parts.dataset.idsOf('train').includes(id)));
  }
  t.notDeepEqual(epochs[0], epochs[1]);
  t.is(last?.share?.samplesCommitted, (last?.step ?? 0) * perEpoch);
});
