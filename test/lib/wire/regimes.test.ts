/** What jobs ask of their samples: noise, weights, shares of other classes, domains, tails; and what of it reaches the plans. */
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { createRandom } from '../../../lib/base/random.ts';
import { channelStatistics } from '../../../lib/data/channel-statistics.ts';
import type { Dataset } from '../../../lib/data/dataset.ts';
import { importDataset } from '../../../lib/data/import-dataset.ts';
import { selectSplits } from '../../../lib/data/splits.ts';
import { NO_LABEL } from '../../../lib/distill/step-spec.ts';
import { Datasets } from '../../../lib/wire/datasets.ts';
import { openJobData } from '../../../lib/wire/job-data.ts';
import { parseJobFile } from '../../../lib/wire/job-file.ts';
import { type ModelPlan, planStudent, planTeacher } from '../../../lib/wire/job-plan.ts';
import { checkSamples } from '../../../lib/wire/job-samples.ts';
import type { JobSpec } from '../../../lib/wire/job-spec.ts';
import { labels } from '../../../services/coordinator/job-plan.ts';
import { importSource } from '../../helpers/import-source.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const SEED = 77;
const CLASS_NAMES = ['ash', 'beech', 'cedar', 'elm'];
const STORAGE = { kind: 'raw', height: 32, width: 32, channels: 3 } as const;
/** Of the training samples, by class: some are rare. */
const TRAIN = [60, 30, 20, 10];

const jobOf = (...overrides: string[]) =>
  parseJobFile(
    `{apiVersion: stillhouse/v1, kind: Job, name: demo, seed: 9, data: {dataset: trees},
    teachers: [{name: big, arch: resnet-8}],
    students: [{name: all, arch: simple-cnn}, {name: few, arch: simple-cnn, classes: [cedar, elm], dustbin: true}],
    distill: {loss: [{type: kl, weight: 1}], temperature: 2},
    train: {lanes: 2, microBatch: 4, epochs: 3}}`,
    { overrides },
  );

async function dataOf(t: ExecutionContext, job: JobSpec): Promise<Dataset> {
  const root = await tempFolder(t);
  for (const [index, name] of ['trees', 'leaves'].entries()) {
    const random = createRandom(SEED + index);
    const labels = TRAIN.flatMap((count, label) => Array.from({ length: count }, () => label));
    const samples = [...labels, ...labels.slice(-60)].map((label, at) => ({
      split: at < labels.length ? ('train' as const) : ('test' as const),
      label,
      bytes: new Uint8Array(32 * 32 * 3).fill(random.nextInt(256)),
    }));
    const source = importSource(samples, STORAGE, { classNames: CLASS_NAMES });
    await importDataset(source, path.join(root, name), { name, seed: 1, statistics: index === 0 });
  }
  const datasets = new Datasets({ root, allowPaths: false, mayAsk: () => false });
  t.teardown(() => datasets.close());
  return openJobData(datasets, job.data);
}

interface Plans {
  readonly teacher: ModelPlan;
  readonly distil: ModelPlan;
  readonly control: ModelPlan;
}

/** Right or wrong does not matter, only that answers differ from labels. */
const answers = (id: number) => (id * 7) % 4;

async function plansOf(job: JobSpec, dataset: Dataset, student: string): Promise<Plans> {
  const facts = { init: null, answers };
  return {
    teacher: await planTeacher(job, dataset, 'big', null),
    distil: await planStudent(job, dataset, student, false, facts),
    control: await planStudent(job, dataset, student, true, facts),
  };
}

const labelsOf = ({ training }: ModelPlan) => new Map([...training.ids].map((id) => [id, training.labelOf(id)]));

test('label noise: the same wrong labels for all who learn by them, the right ones for tests', async (t) => {
  const job = jobOf('data.labelNoise=0.4', 'data.labelled=80', 'data.calibrate=20');
  const dataset = await dataOf(t, job);
  const clean = Array.from(dataset.labels);
  const { teacher, distil, control } = await plansOf(job, dataset, 'all');
  const taught = labelsOf(teacher);
  t.is(taught.size, 80);
  const wrong = [...taught].filter(([id, label]) => label !== dataset.labels[id]);
  t.true(wrong.length > 15 && wrong.length < 50, String(wrong.length));
  t.deepEqual(labelsOf(control), taught);
  for (const [id, label] of labelsOf(distil)) t.is(label, taught.get(id) ?? NO_LABEL);
  for (const { testIds, labelOf } of [teacher, distil, control]) {
    for (const id of testIds) t.is(labelOf(id), Number(clean[id]));
  }
  t.deepEqual(Array.from(dataset.labels), clean);
  const few = (await plansOf(job, dataset, 'few')).control;
  for (const [id, label] of labelsOf(few)) t.is(label, [2, 2, 0, 1][taught.get(id) ?? 0] ?? NO_LABEL);
});

test('balanced weights: each model’s own, 1 on average over what it knows the labels of', async (t) => {
  const job = jobOf('data.classWeights=balanced', 'data.labelled=60');
  const dataset = await dataOf(t, job);
  for (const student of ['all', 'few']) {
    for (const plan of Object.values(await plansOf(job, dataset, student)) as ModelPlan[]) {
      const weights = plan.program.training?.classWeights ?? [];
      t.is(weights.length, plan.program.model.classes);
      const labels = [...labelsOf(plan).values()].filter((label) => label !== NO_LABEL);
      const total = labels.reduce((sum, label) => sum + (weights[label] as number), 0);
      t.true(Math.abs(total / labels.length - 1) < 1e-9);
      const shares = weights.map((weight, output) => weight * labels.filter((label) => label === output).length);
      for (const share of shares) t.true(Math.abs(share - (shares[0] as number)) < 1e-9, String(shares));
    }
  }
});

test('weights by name: 1 for other classes and for a dustbin', async (t) => {
  const job = jobOf('data.classWeights={elm: 4, ash: 0.5}');
  const dataset = await dataOf(t, job);
  const all = await plansOf(job, dataset, 'all');
  t.deepEqual(all.teacher.program.training?.classWeights, [0.5, 1, 1, 4]);
  t.deepEqual(all.distil.program.training?.classWeights, [0.5, 1, 1, 4]);
  const few = await plansOf(job, dataset, 'few');
  t.deepEqual(few.control.program.training?.classWeights, [1, 4, 1]);
  const plain = jobOf();
  const unweighted = await planTeacher(plain, dataset, 'big', null);
  t.is(unweighted.program.training?.classWeights, undefined);
});

const share = (value: number, ...more: string[]) =>
  jobOf(
    `students=[{name: few, arch: simple-cnn, classes: [cedar, elm], dustbin: true, dustbinShare: ${value}}]`,
    ...more,
  );

test('a dustbin share: so many of other classes, all of the student’s own', async (t) => {
  const dataset = await dataOf(t, jobOf());
  const { train } = selectSplits(dataset, { seed: 9 });
  const isOwn = (id: number) => [2, 3].includes(dataset.labels[id] as number);
  const chosen = async (job: JobSpec) => (await plansOf(job, dataset, 'few')).distil.training.ids;
  for (const [value, others] of [
    [0, 0],
    [0.25, 10],
    [0.5, 30],
    [0.9, 90],
  ] as const) {
    const ids = await chosen(share(value));
    t.deepEqual(ids.filter(isOwn), train.filter(isOwn));
    t.is(ids.length, 30 + others);
    t.deepEqual(ids, ids.slice().sort());
  }
  const [small, large] = [await chosen(share(0.25)), await chosen(share(0.5))];
  t.true(small.every((id) => large.includes(id)));
  t.deepEqual(await chosen(share(0.25)), small);
});

test('a dustbin share of images without labels goes by the teacher’s answers', async (t) => {
  const job = share(0.25, 'data.labelled=20');
  const dataset = await dataOf(t, job);
  const { teacher, distil, control } = await plansOf(job, dataset, 'few');
  const known = new Set(teacher.training.ids);
  const classOf = (id: number) => (known.has(id) ? (dataset.labels[id] as number) : answers(id));
  const isOwn = (id: number) => [2, 3].includes(classOf(id));
  const { train } = selectSplits(dataset, { seed: 9 });
  t.deepEqual(distil.training.ids.filter(isOwn), train.filter(isOwn));
  const own = train.filter(isOwn).length;
  t.is(distil.training.ids.length, own + Math.round(own / 3));
  t.is(control.training.ids.length, 10 + Math.round(10 / 3), 'of its labelled images alone');
  t.true(labels(job, 'big'));
  const nobodyAsked = planStudent(job, dataset, 'few', false, { init: null, answers: null });
  t.is((await t.throwsAsync(nobodyAsked, { instanceOf: StillhouseError })).code, 'FAILED_PRECONDITION');
});

const SOURCE = 'data.source={dataset: leaves}';
const VIEWS = 'data.views.flip=true';

test('a pair of domains: labels of the source alone, answers for the target, tests on the target', async (t) => {
  const job = jobOf(SOURCE, VIEWS, 'data.calibrate=20', 'data.train=50');
  const dataset = await dataOf(t, job);
  t.true(labels(job, 'big'));
  t.false(labels(jobOf(VIEWS), 'big'));
  t.false(labels(jobOf(SOURCE, VIEWS, 'distill.loss=[{type: cross-entropy, weight: 1}]'), 'big'));
  const { teacher, distil, control } = await plansOf(job, dataset, 'all');
  t.deepEqual(teacher.training.ids, dataset.sourceIds);
  t.deepEqual(control.training.ids, dataset.sourceIds);
  t.is(distil.training.ids.length, 50 + dataset.sourceIds.length);
  t.true(distil.program.training?.unlabelled);
  const isSource = new Set(dataset.sourceIds);
  for (const [id, label] of labelsOf(distil)) t.is(label, isSource.has(id) ? Number(dataset.labels[id]) : NO_LABEL);
  t.true(teacher.testIds.length === 60 && teacher.testIds.every((id) => !isSource.has(id)));
  t.is((await checkSamples(job, dataset)).calibrate.length, 20);
  t.is(distil.training.shards, dataset.shards);

  const some = await plansOf(jobOf(SOURCE, VIEWS, 'data.labelled=10'), dataset, 'all');
  t.is(some.teacher.training.ids.length, 10 + dataset.sourceIds.length);
  t.deepEqual(some.teacher.training.ids, some.teacher.training.ids.slice().sort());
});

test('how pixels are normalised: by the data set’s statistics, by those of some images, or as the job says', async (t) => {
  const job = jobOf();
  const dataset = await dataOf(t, job);
  const of = async (one: JobSpec, data: Dataset) => (await planTeacher(one, data, 'big', null)).program.preprocessing;
  t.deepEqual<unknown, unknown>(await of(job, dataset), dataset.statistics);
  const some = await dataOf(t, jobOf('data.classes=[ash, elm]'));
  const { train } = selectSplits(some, { seed: 9 });
  t.deepEqual(await of(job, some), await channelStatistics(some, train));
  t.deepEqual((await of(jobOf('data.normalize=imagenet'), dataset)).mean, [0.485, 0.456, 0.406]);
  t.deepEqual((await of(jobOf('data.normalize=cifar10'), dataset)).std, [0.247, 0.2435, 0.2616]);
  const own = { mean: [0.1, 0.2, 0.3], std: [1, 2, 3] };
  t.deepEqual(await of(jobOf(`data.normalize=${JSON.stringify(own)}`), dataset), own);
});

test('what is mixed, and what a tail drops, reaches the step', async (t) => {
  const job = jobOf('data.views.mixup=0.2', 'train.tail=drop', 'teachers.0.train.tail=drop');
  const dataset = await dataOf(t, job);
  const { teacher, distil } = await plansOf(job, dataset, 'all');
  t.true(teacher.program.training?.mixed && distil.program.training?.mixed);
  t.is(distil.training.tail, 'drop');
  t.is(distil.training.steps, 3 * 15);
  t.deepEqual(distil.program.training?.batchSizes, [4]);
  t.deepEqual(teacher.program.training?.batchSizes, [64]);
  const plain = await plansOf(jobOf(), dataset, 'all');
  t.is(plain.distil.program.training?.mixed, undefined);
  t.deepEqual(plain.teacher.program.training?.batchSizes, [64, 56]);
});

for (const { title, job, field, message } of [
  {
    title: 'lanes that no epoch fills',
    job: jobOf('train.tail=drop', 'train.microBatch=61'),
    field: 'train.tail',
    message: /drop would drop all 120 training images of all: a whole step takes 2 x 61/,
  },
  {
    title: 'a teacher without a whole step',
    job: jobOf('teachers=[{name: big, arch: resnet-8, train: {tail: drop, microBatch: 121}}]'),
    field: 'teachers[0].train.tail',
    message: /all 120 training images of big/,
  },
  {
    title: 'a control arm without a whole step',
    job: jobOf('train.tail=drop', 'train.microBatch=16', 'data.labelled=20'),
    field: 'train.tail',
    message: /all 20 training images of the control arm of all/,
  },
  {
    title: 'dkd for a target without labels',
    job: jobOf(SOURCE, 'distill.loss=[{type: dkd, weight: 1}]'),
    field: 'distill.loss[0]',
    message: /data\.source leaves some without/,
  },
]) {
  test(`refused: ${title}`, async (t) => {
    const dataset = await dataOf(t, job);
    const error = await t.throwsAsync(checkSamples(job, dataset), { instanceOf: StillhouseError });
    t.is(error.field, field);
    t.regex(error.message, message);
  });
}

test('without a control arm few labels are enough for whole steps', async (t) => {
  const job = jobOf('train.tail=drop', 'train.microBatch=16', 'data.labelled=20', 'evaluate.control=false');
  const dataset = await dataOf(t, job);
  await t.notThrowsAsync(checkSamples(job, dataset));
});
