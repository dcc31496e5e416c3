/** The evaluation of a route: a real router before real specialists over gRPC, a real data set, small linear models. */
import test, { type ExecutionContext } from 'ava';
import { sleep } from '../../../lib/base/clock.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import type { Dataset } from '../../../lib/data/dataset.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import { selectSplits } from '../../../lib/data/splits.ts';
import type { EvaluateRoute__Output } from '../../../lib/wire/generated/stillhouse/v1/EvaluateRoute.ts';
import { parseJobFile } from '../../../lib/wire/job-file.ts';
import { serveInference } from '../../../lib/wire/oip/server.ts';
import { ROUTE_RULES, type RouteRule } from '../../../lib/wire/route-rules.ts';
import type { TaskContext, TaskProgressFields, TaskReadyFields } from '../../../lib/wire/task-runner.ts';
import { combine } from '../../../services/router/combine.ts';
import { Legs } from '../../../services/router/legs.ts';
import { Router } from '../../../services/router/router.ts';
import { evaluateRoute } from '../../../services/student-worker/evaluate-route-task.ts';
import { logitsOfColours } from '../../helpers/linear-model.ts';
import { testLogger } from '../../helpers/logger.ts';
import { SMALL_CLASS_NAMES, writeSmallDataset } from '../../helpers/small-dataset.ts';
import { type SmallModel, smallModel, startSpecialist } from '../../helpers/specialists.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const TEST_IMAGES = 150;
const CALIBRATE_IMAGES = 70;
const JOB = parseJobFile(`
apiVersion: stillhouse/v1
kind: Job
name: trees
seed: 5
data: { dataset: trees, calibrate: ${CALIBRATE_IMAGES} }
teachers: [{ name: teacher, arch: resnet-8 }]
students:
  - { name: hard, arch: resnet-8, classes: [ash, beech], dustbin: true }
  - { name: soft, arch: resnet-8, classes: [cedar, elm], dustbin: true }
evaluate: { routeImages: ${TEST_IMAGES} }
publish: { rule: best }
`);

/** The images are noise: their mean colours are close to each other, and the weights large and centred. */
const size = { height: 32, width: 32 };
const HARD = { ...smallModel('hard', { ash: [300, -300, 0], beech: [-200, 100, 100] }, [0, 250, -250]), size };
const SOFT = { ...smallModel('soft', { cedar: [0, 300, -300], elm: [50, 50, -100] }, [-100, 0, 100]), size };
const LEGS = [
  { specialist: 'hard', modelDigest: HARD.digest, classIds: [0, 1], dustbin: true },
  { specialist: 'soft', modelDigest: SOFT.digest, classIds: [2, 3], dustbin: true },
];

async function openTrees(t: ExecutionContext): Promise<Dataset> {
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'trees', {
    files: [
      ['train', 90],
      ['test', 160],
    ],
  });
  const dataset = await openDataset(root, 'trees');
  t.teardown(() => dataset.close());
  return dataset;
}

async function startRouter(t: ExecutionContext) {
  const specialist = await startSpecialist(t, 'a', [HARD, SOFT]);
  const legs = new Legs();
  const router = new Router({ legs, legTimeoutMs: 10_000 });
  const record = { name: 'trees', rule: 'max-softmax' as const, classNames: [...SMALL_CLASS_NAMES], legs: LEGS };
  router.apply({ kind: 'route-put', record, revision: 1 });
  router.apply({ kind: 'specialists', specialists: [specialist] });
  const server = await serveInference(router, { host: '127.0.0.1', port: 0, httpPort: 0, healthPort: 0 }, testLogger());
  t.teardown(async () => {
    await server.stop(1_000);
    legs.close();
  });
  const predictorOf = ({ digest }: SmallModel) => {
    const predictor = specialist.predictors.get(digest);
    if (predictor === undefined) throw new Error(`${digest} is not loaded`);
    return predictor;
  };
  return { router, specialist, predictorOf, routerAddress: `127.0.0.1:${server.port}` };
}

/** A task that begins at once, and what it says. */
function context(signal: AbortSignal = new AbortController().signal) {
  const ready: TaskReadyFields[] = [];
  const progress: TaskProgressFields[] = [];
  const task: TaskContext = {
    signal,
    leaderEpoch: 1,
    begun: Promise.resolve(),
    ready: (fields) => ready.push(fields),
    progress: (fields) => progress.push(fields),
    note: () => undefined,
    onTeachers: () => undefined,
  };
  return { task, ready, progress };
}

function command(routerAddress: string, change: Partial<EvaluateRoute__Output> = {}): EvaluateRoute__Output {
  return { route: 'trees', routerAddress, rules: [...ROUTE_RULES], split: 'EVALUATION_SPLIT_TEST', ...change };
}

/** Right answers by a rule, from the models' own formula. */
async function rightAnswers(dataset: Dataset, ids: Uint32Array, rule: RouteRule): Promise<number> {
  const images = await dataset.load(ids);
  const legs = [HARD, SOFT].map(({ weights }, at) => ({
    classIds: LEGS[at]?.classIds ?? [],
    dustbin: true,
    logits: logitsOfColours(weights, images, ids.length),
  }));
  const { classes } = combine(rule, legs, ids.length);
  return classes.filter((classId, row) => classId === dataset.labels[ids[row] as number]).length;
}

test('every image goes through the router by every rule, in batches that are read once', async (t) => {
  const dataset = await openTrees(t);
  const { routerAddress, predictorOf } = await startRouter(t);
  const read: number[] = [];
  const { name, digest, classNames, image, sampleCount, labels, shards, badSamples, sourceIds } = dataset;
  const { synthetic, statistics } = dataset;
  const watched: Dataset = {
    ...{ name, digest, classNames, image, sampleCount, labels, shards, badSamples, sourceIds },
    ...{ synthetic, statistics },
    idsOf: (split) => dataset.idsOf(split),
    load: (ids) => {
      read.push(...Array.from(ids));
      return dataset.load(ids);
    },
    prefetch: (ids) => dataset.prefetch(ids),
    close: () => dataset.close(),
  };
  const splits = selectSplits(dataset, { seed: JOB.seed, ...JOB.data });
  const cases = [
    ['EVALUATION_SPLIT_TEST', splits.test.subarray(0, TEST_IMAGES), ['dustbin', 'max-softmax', 'max-logit'], 3],
    ['EVALUATION_SPLIT_CALIBRATE', splits.calibrate, ['max-logit', 'dustbin'], 2],
  ] as const;
  for (const [split, ids, rules, batches] of cases) {
    read.length = 0;
    const calls = predictorOf(HARD).calls;
    const { task, ready, progress } = context();
    const asked = command(routerAddress, { split, rules: [...rules] });
    const result = await evaluateRoute({ job: JOB, dataset: watched, workerId: 'student-1', command: asked }, task);
    const expected: { rule: RouteRule; correct: number; evaluatedImages: number }[] = [];
    for (const rule of rules) {
      expected.push({ rule, correct: await rightAnswers(dataset, ids, rule), evaluatedImages: ids.length });
    }
    t.deepEqual(result.rules, expected);
    t.deepEqual([result.correct, result.evaluatedImages], [expected[0]?.correct, ids.length]);
    t.true(new Set(expected.map(({ correct }) => correct)).size > 1, 'the rules differ on these images');
    t.deepEqual(
      read.toSorted((one, other) => one - other),
      [...ids],
    );
    t.is(predictorOf(HARD).calls - calls, batches * rules.length);
    t.deepEqual(ready, [{ parameters: 0, stepsTotal: batches }]);
    t.deepEqual(
      progress.map(({ step }) => step),
      Array.from({ length: batches }, (_, at) => at + 1),
    );
    t.like(result.last?.share, { workerId: 'student-1', samplesCommitted: ids.length });
  }
});

test('two requests are in flight, no more; a task that is cancelled ends with its reason', async (t) => {
  const dataset = await openTrees(t);
  const { routerAddress, predictorOf } = await startRouter(t);
  let open = () => {};
  predictorOf(HARD).hold = new Promise<void>((resolve) => {
    open = resolve;
  });
  const leaving = new AbortController();
  const { task, progress } = context(leaving.signal);
  const request = { job: JOB, dataset, workerId: 'student-1', command: command(routerAddress) };
  const running = t.throwsAsync<StillhouseError>(evaluateRoute(request, task));
  while (predictorOf(HARD).calls < 2) await sleep(1);
  await sleep(50);
  t.is(predictorOf(HARD).calls, 2);
  t.deepEqual(progress, []);
  leaving.abort(new StillhouseError('CANCELLED', 'the job was cancelled'));
  t.is((await running).code, 'CANCELLED');
  open();
});

test('a route that cannot answer for a moment is waited for', async (t) => {
  const dataset = await openTrees(t);
  const { router, specialist, routerAddress } = await startRouter(t);
  router.apply({ kind: 'specialists', specialists: [] });
  const asked = command(routerAddress, { rules: ['max-softmax'], split: 'EVALUATION_SPLIT_CALIBRATE' });
  const { task, progress } = context();
  const running = evaluateRoute({ job: JOB, dataset, workerId: 'student-1', command: asked }, task);
  await sleep(300);
  t.deepEqual(progress, []);
  router.apply({ kind: 'specialists', specialists: [specialist] });
  t.is((await running).evaluatedImages, CALIBRATE_IMAGES);
});

test('a command that says too little, and a rule that is none, are refused with the field', async (t) => {
  const dataset = await openTrees(t);
  const { routerAddress, specialist } = await startRouter(t);
  const cases: [Partial<EvaluateRoute__Output>, object, RegExp][] = [
    [{ rules: [] }, { code: 'INVALID_ARGUMENT', field: 'evaluate_route.rules' }, /names no rule/],
    [
      { split: 'EVALUATION_SPLIT_UNSPECIFIED' },
      { code: 'INVALID_ARGUMENT', field: 'evaluate_route.split' },
      /split is EVALUATION_SPLIT_UNSPECIFIED, expected/,
    ],
    [{ rules: ['max-softmax', 'guess'] }, { code: 'INVALID_ARGUMENT', field: 'rule' }, /rule is "guess", expected/],
    [
      // A specialist answers a label too, and knows nothing of rules.
      { route: `sha256-${HARD.digest.slice(7)}`, routerAddress: specialist.address },
      { code: 'FAILED_PRECONDITION', field: 'evaluate_route.rules' },
      /does not say by which rule it answers, asked for "max-softmax"/,
    ],
  ];
  for (const [change, facts, message] of cases) {
    const request = { job: JOB, dataset, workerId: 'student-1', command: command(routerAddress, change) };
    const error = await t.throwsAsync<StillhouseError>(evaluateRoute(request, context().task), { message });
    t.like(error, facts);
  }
});
