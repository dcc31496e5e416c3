/** The training loop and its images: loaded ahead, waited for, failing. A real program in the compute thread. */
import test, { type ExecutionContext } from 'ava';
import { sleep } from '../../../lib/base/clock.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { NO_VIEWS } from '../../../lib/data/views.ts';
import { Compute, type Program } from '../../../lib/distill/compute.ts';
import type { ImageSource, ViewedSamples } from '../../../lib/distill/trainable-model.ts';
import { type Commit, prepareTraining } from '../../../lib/distill/training-loop.ts';
import { droppedOfEpoch, epochCount, epochSteps, type TrainingPlan } from '../../../lib/distill/training-plan.ts';
import { configureEngine } from '../../../lib/engine/environment.ts';
import { localAverager } from '../../../lib/gradient/local-averager.ts';
import { describeModel, initialParameters } from '../../../lib/model/parameters.ts';
import { architectureNamed } from '../../../lib/model/zoo.ts';
import { ShareMeter } from '../../../lib/wire/share-meter.ts';

const IMAGE = { height: 8, width: 8, channels: 3 };
const PIXELS = 8 * 8 * 3;
const MICRO_BATCH = 4;
const CLASSES = 3;
const cancelled = new StillhouseError('CANCELLED', 'the job was cancelled');

configureEngine({ intraOpThreads: 1, interOpThreads: 1 });
const compute = new Compute();
test.after.always(() => compute.close());

async function openProgram(t: ExecutionContext, sizes: number[], mixed: boolean): Promise<Program> {
  const model = describeModel(architectureNamed('simple-cnn'), IMAGE, CLASSES);
  const program = await compute.open({
    model,
    preprocessing: { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] },
    training: {
      loss: { terms: [{ type: 'cross-entropy', weight: 1 }], temperature: 1 },
      optimizer: {
        ...{ type: 'sgd', learningRate: 0.01, momentum: 0, nesterov: false, weightDecay: 0 },
        schedule: { type: 'constant', warmupSteps: 0 },
      },
      ...{ totalSteps: 20, batchSizes: sizes, fineTune: 'all', precision: 'float32', compile: 'required', seed: 7 },
      ...(mixed && { mixed }),
    },
    predictBatchSizes: [1],
  });
  t.teardown(() => program.close());
  await program.write('parameters', initialParameters(model, 1));
  return program;
}

/** Images that say which sample they are of. */
const pixels = async ({ ids }: ViewedSamples) =>
  Float32Array.from({ length: ids.length * PIXELS }, (_, at) => (17 * (ids[Math.floor(at / PIXELS)] as number)) % 255);

type Load = (samples: ViewedSamples) => Promise<Float32Array>;

async function start(t: ExecutionContext, change: Partial<TrainingPlan>, load: Load, sizes = [MICRO_BATCH]) {
  const plan: TrainingPlan = {
    ids: Uint32Array.from({ length: 22 }, (_, id) => id),
    shards: [{ firstId: 0, records: 22 }],
    labelOf: (id) => id % CLASSES,
    ...{ seed: 5, lanes: 2, microBatch: MICRO_BATCH, tail: 'drop', steps: 4, views: NO_VIEWS },
    ...change,
  };
  const program = await openProgram(t, sizes, plan.views.mixup > 0);
  const controller = new AbortController();
  const commits: Commit[] = [];
  const source: ImageSource = (samples) => {
    const images = load(samples);
    return { read: images, images };
  };
  const prepared = prepareTraining({
    ...{ program, images: source, plan, firstLane: 0, lanes: plan.lanes, teacher: null, signal: controller.signal },
    averager: plan.lanes === 1 ? null : localAverager(plan.lanes, program.vectorSize),
    onCommit: (commit) => commits.push(commit),
  });
  const running = prepared.then((train) => train());
  return { running, controller, commits, program, plan };
}

for (const lanes of [1, 2]) {
  test.serial(`while a step is computed the images of the next ones are loaded; ${lanes} lanes`, async (t) => {
    const loads: number[] = [];
    let commits: readonly Commit[] = [];
    const started = await start(t, { lanes, steps: 6 }, (samples) => {
      loads.push(commits.length);
      return pixels(samples);
    });
    commits = started.commits;
    await started.running;
    const at = (commit: number) => loads.filter((count) => count === commit).length;
    // The first step's and, once it is being computed, those of the next four.
    t.deepEqual([0, 1, 2].map(at), [5 * lanes, lanes, 0]);
    t.is(started.commits.length, 6);
  });
}

test.serial('what a step waits for images is counted, and nothing where they are there', async (t) => {
  let loads = 0;
  let commits: readonly Commit[] = [];
  const started = await start(t, { lanes: 1 }, async (samples) => {
    loads += 1;
    if (loads === 2) {
      // The first step is over, and the second one waits.
      while (commits.length === 0) await sleep(1);
      await sleep(30);
    }
    return pixels(samples);
  });
  commits = started.commits;
  await started.running;
  const waits = commits.map(({ dataWaitMs }) => dataWaitMs);
  t.true((waits[1] as number) >= 20, `${waits}`);
  t.true(waits.every((waitMs) => waitMs >= 0));
  const owner = { workerId: 'student-1', firstLane: 0, lanes: 1 };
  const meter = new ShareMeter(owner, { steps: 4, stepsPerEpoch: 5 });
  for (const commit of commits) meter.commit(commit);
  t.is(
    meter.finish('').share?.dataWaitMs,
    commits.reduce((sum, { dataWaitMs }) => sum + dataWaitMs, 0),
  );
});

test.serial(
  'what the epochs that drop their tails have left out is known afterwards; the last one was cut short',
  async (t) => {
    const seen: number[][] = [];
    const { running, commits, plan } = await start(t, { steps: 5 }, (samples) => {
      seen[samples.epoch] = [...(seen[samples.epoch] ?? []), ...samples.ids];
      return pixels(samples);
    });
    await running;
    t.is(epochSteps(plan), 2);
    t.true(commits.every(({ samples }) => samples === 2 * MICRO_BATCH));
    t.is(epochCount(plan), 3);
    const dropped = [0, 1, 2].map((epoch) => [...droppedOfEpoch(plan, epoch)]);
    t.deepEqual(
      dropped.map(({ length }) => length),
      [22 - 16, 22 - 16, 22 - 8],
    );
    for (const [epoch, ids] of dropped.entries()) {
      t.deepEqual(
        [...ids, ...(seen[epoch] ?? [])].sort((a, b) => a - b),
        [...plan.ids],
      );
    }
    t.notDeepEqual(dropped[0], dropped[1]);
  },
);

test.serial('images that cannot be loaded end the loop at their step, and nothing is left unhandled', async (t) => {
  let loads = 0;
  const { running, commits } = await start(t, { lanes: 1, steps: 6 }, async (samples) => {
    loads += 1;
    if (loads === 3 || loads === 4) throw new StillhouseError('DATA_LOSS', `load ${loads} failed`);
    return pixels(samples);
  });
  await t.throwsAsync(running, { message: 'load 3 failed' });
  t.deepEqual(
    commits.map(({ step }) => step),
    [0, 1],
  );
});

test.serial('a loop that waits for images ends when it is aborted', async (t) => {
  const { running, controller, commits } = await start(t, {}, () => new Promise(() => undefined));
  controller.abort(cancelled);
  await t.throwsAsync(running, { message: 'the job was cancelled' });
  t.deepEqual(commits, []);
});

for (const lanes of [1, 2]) {
  test.serial(
    `a training that goes on in the middle of an epoch ends as one that was not interrupted; ${lanes} lanes`,
    async (t) => {
      const views = { ...NO_VIEWS, mixup: 1 };
      const whole = await start(t, { views, lanes, steps: 7 }, pixels);
      await whole.running;
      const { running, program, plan, commits } = await start(t, { views, lanes, steps: 3 }, pixels);
      await running;
      const train = await prepareTraining({
        ...{ program, plan: { ...plan, steps: 7 }, firstStep: 3, firstLane: 0, lanes, teacher: null },
        images: (samples) => {
          const images = pixels(samples);
          return { read: images, images };
        },
        averager: lanes === 1 ? null : localAverager(lanes, program.vectorSize),
        signal: new AbortController().signal,
        onCommit: (commit) => commits.push(commit),
      });
      await train();
      const learnt = ({ step, loss, accuracy, samples }: Commit) => ({ step, loss, accuracy, samples });
      t.deepEqual(commits.map(learnt), whole.commits.map(learnt));
      t.deepEqual(await program.read('parameters'), await whole.program.read('parameters'));
    },
  );
}

test.serial('after each epoch, one that is cut short too, it is asked whether to go on', async (t) => {
  // Two steps an epoch.
  const run = async (stopAfter: number) => {
    const started = await start(t, { steps: 5 }, pixels);
    await started.running;
    const { program, plan } = started;
    await program.write('parameters', initialParameters(program.spec.model, 1));
    const events: string[] = [];
    const train = await prepareTraining({
      ...{ program, plan, firstLane: 0, lanes: plan.lanes, signal: new AbortController().signal },
      images: (samples) => ({ read: pixels(samples), images: pixels(samples) }),
      averager: localAverager(plan.lanes, program.vectorSize),
      teacher: {
        logits: async ({ ids }) => ({ logits: new Float32Array(ids.length * CLASSES), tails: null }),
        committed: (step) => events.push(`committed ${step}`),
      },
      onCommit: ({ step, teacherSamples }) => events.push(`${step}: ${teacherSamples}`),
      onEpoch: async (epoch) => {
        events.push(`epoch ${epoch}`);
        return epoch === stopAfter ? 'stop' : undefined;
      },
    });
    await train();
    return events;
  };
  const step = (at: number) => [`${at}: 8`, `committed ${at}`];
  const whole = [...step(0), ...step(1), 'epoch 1', ...step(2), ...step(3), 'epoch 2', ...step(4), 'epoch 3'];
  t.deepEqual(await run(0), whole);
  t.deepEqual(await run(2), whole.slice(0, 10));
});

test.serial('mixed images are trained on by both labels', async (t) => {
  const views = { ...NO_VIEWS, mixup: 1 };
  const asked: (Uint32Array | null)[] = [];
  const { running, commits } = await start(t, { views }, (samples) => {
    asked.push(samples.partners);
    return pixels(samples);
  });
  await running;
  t.true(asked.every((partners) => partners?.length === MICRO_BATCH));
  t.true(commits.every(({ loss }) => Number.isFinite(loss)));
});
