/** Which images the arms of a job train on, and by which labels. */
import test, { type ExecutionContext } from 'ava';
import { nextTurn } from '../../../lib/base/clock.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import type { Dataset } from '../../../lib/data/dataset.ts';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import { selectSplits } from '../../../lib/data/splits.ts';
import { NO_VIEWS } from '../../../lib/data/views.ts';
import { NO_LABEL } from '../../../lib/distill/step-spec.ts';
import { type JobSpec, parseJobFile } from '../../../lib/wire/job-file.ts';
import { type ModelPlan, planStudent, planTeacher } from '../../../lib/wire/job-plan.ts';
import { checkSamples } from '../../../lib/wire/job-samples.ts';
import { writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const jobOf = (change = '', student = '') =>
  parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: demo, seed: 3,
    data: {dataset: trees, train: 40, labelled: 12, calibrate: 8, views: {flip: true, shift: 2}},
    teachers: [{name: big, arch: resnet-8, views: {flip: false, shift: 0}, train: {epochs: 2}}],
    students: [{name: few, arch: simple-cnn, classes: [elm, ash]${student}}],
    distill: {loss: [{type: kl, weight: 1}], temperature: 2},
    train: {lanes: 2, microBatch: 4, epochs: 3}, evaluate: {teacherImages: 5}${change}}`);

async function trees(t: ExecutionContext): Promise<Dataset> {
  const root = await tempFolder(t);
  await writeSmallDataset(root, 'trees', {
    files: [
      ['train', 60],
      ['test', 30],
    ],
  });
  const dataset = await openDataset(root, 'trees');
  t.teardown(() => dataset.close());
  return dataset;
}

/** The teacher's answers in these tests: right or wrong does not matter, only that they differ from the labels. */
const answers = (id: number) => (id * 7) % 4;

const labelsOf = ({ training }: ModelPlan) => new Map([...training.ids].map((id) => [id, training.labelOf(id)]));

test('the teacher and the control arm train on labelled images alone; the control arm takes as many steps', async (t) => {
  const dataset = await trees(t);
  const job = jobOf();
  const { train, test: testIds } = selectSplits(dataset, { seed: job.seed, ...job.data });
  const teacher = await planTeacher(job, dataset, 'big', null);
  t.is(teacher.training.ids.length, 12);
  t.true([...teacher.training.ids].every((id) => train.includes(id)));
  t.deepEqual(teacher.training.views, NO_VIEWS);
  t.is(teacher.testIds.length, 5);
  t.true([...teacher.testIds].every((id) => testIds.includes(id)));

  const distil = await planStudent(job, dataset, 'few', false, { init: null, answers });
  const control = await planStudent(job, dataset, 'few', true, { init: null, answers });
  t.deepEqual(distil.training.views, { ...NO_VIEWS, flip: true, shift: 2 });
  const own = [3, 0];
  const labelled = teacher.training.ids.filter((id) => own.includes(dataset.labels[id] as number));
  t.deepEqual(control.training.ids, labelled);
  t.true([...labelsOf(control)].every(([id, label]) => own[label] === dataset.labels[id]));
  t.is(control.training.steps, distil.training.steps);
  t.is(control.program.training?.totalSteps, distil.training.steps);
  t.is(distil.training.steps, 3 * Math.ceil(Math.ceil(distil.training.ids.length / 2) / 4));
  t.false(control.program.training?.unlabelled);
});

test('without a dustbin a student trains on its classes: by label, else by the teacher’s answer', async (t) => {
  const dataset = await trees(t);
  const job = jobOf();
  const { train } = selectSplits(dataset, { seed: job.seed, ...job.data });
  const labelled = new Set((await planTeacher(job, dataset, 'big', null)).training.ids);
  const plan = await planStudent(job, dataset, 'few', false, { init: null, answers });
  const own = [3, 0];
  const classOf = (id: number) => (labelled.has(id) ? (dataset.labels[id] as number) : answers(id));
  t.deepEqual(
    [...plan.training.ids],
    [...train].filter((id) => own.includes(classOf(id))),
  );
  for (const [id, label] of labelsOf(plan)) {
    t.is(label, labelled.has(id) ? own.indexOf(dataset.labels[id] as number) : NO_LABEL);
  }
  t.true(plan.program.training?.unlabelled);
  t.is(plan.program.model.classes, 2);
  t.is(plan.dustbinTemperature, 0);
  const nobodyAsked = () => planStudent(job, dataset, 'few', false, { init: null, answers: null });
  t.is((await t.throwsAsync(nobodyAsked, { instanceOf: StillhouseError })).code, 'FAILED_PRECONDITION');
});

test('with a dustbin a student trains on all images, and has one more output', async (t) => {
  const dataset = await trees(t);
  const job = jobOf('', ', dustbin: true');
  const { train } = selectSplits(dataset, { seed: job.seed, ...job.data });
  const labelled = (await planTeacher(job, dataset, 'big', null)).training.ids;
  const distil = await planStudent(job, dataset, 'few', false, { init: null, answers: null });
  t.deepEqual(distil.training.ids, train);
  t.is(distil.program.model.classes, 3);
  t.is(distil.dustbinTemperature, 2);
  const control = await planStudent(job, dataset, 'few', true, { init: null, answers: null });
  t.deepEqual(control.training.ids, labelled);
  t.is(control.program.model.classes, 3);
  const outputOf = (id: number) => [1, 2, 2, 0][dataset.labels[id] as number];
  t.true([...labelsOf(control)].every(([id, label]) => label === outputOf(id)));
  t.deepEqual(control.start.parameters, distil.start.parameters, 'both arms start alike');
  t.true([...distil.testIds].every((id) => [0, 3].includes(dataset.labels[id] as number)));
});

test('with all labels at hand nothing is asked of the teacher but its logits', async (t) => {
  const dataset = await trees(t);
  const job = jobOf('', '');
  const { labelled: _, ...data } = job.data;
  const plan = await planStudent({ ...job, data }, dataset, 'few', false, { init: null, answers: null });
  t.false(plan.program.training?.unlabelled);
  t.true([...labelsOf(plan)].every(([id, label]) => [3, 0][label] === dataset.labels[id]));
});

test('a loss of the job’s own that looks at labels alone: both arms see the same images, for as many steps', async (t) => {
  const dataset = await trees(t);
  const module = { digest: `sha256:${'0'.repeat(64)}`, name: 'mine.ts', source: '' };
  const plain = jobOf();
  const distill = { ...plain.distill, temperature: 2, loss: [{ module, weight: 1, parameters: {} }] };
  const job = { ...plain, distill };
  const losses = new Map([[module.digest, { needsTeacher: false }]]);
  const plans = await Promise.all(
    [false, true].map((control) => planStudent(job, dataset, 'few', control, { init: null, losses, answers: null })),
  );
  t.deepEqual(plans[0]?.training.ids, plans[1]?.training.ids);
  t.is(plans[0]?.training.steps, plans[1]?.training.steps);
  t.false(plans[0]?.usesTeacher);
});

const LOSSES = {
  dkd: { temperature: 2, loss: [{ type: 'dkd', weight: 1, alpha: 1, beta: 8 }] },
  scheduled: { temperature: { type: 'linear', from: 4, to: 1, fraction: 1 }, loss: [{ type: 'kl', weight: 1 }] },
  several: {
    temperature: 2,
    loss: [
      { type: 'kl', weight: 1 },
      { type: 'mse-probabilities', weight: 1, temperature: 3 },
    ],
  },
} as const;

const DUSTBIN = ', dustbin: true';

function withLoss(job: JobSpec, loss: Pick<JobSpec['distill'], 'loss' | 'temperature'>): JobSpec {
  return { ...job, distill: { ...job.distill, ...loss } };
}

for (const { title, job, field, message } of [
  {
    title: 'more labels than images',
    job: { ...jobOf(), data: { ...jobOf().data, labelled: 41 } },
    field: 'data.labelled',
    message: /from 1 to 40/,
  },
  {
    title: 'dkd where labels are missing',
    job: withLoss(jobOf(), LOSSES.dkd),
    field: 'distill.loss[0]',
    message: /needs the label of every image/,
  },
  {
    title: 'a dustbin beside all classes',
    job: parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: demo, data: {dataset: trees},
      teachers: [{name: big, arch: resnet-8}], students: [{name: few, arch: simple-cnn, dustbin: true}]}`),
    field: 'students[0].dustbin',
    message: /nothing to put into a dustbin/,
  },
  {
    title: 'a dustbin with a temperature that moves',
    job: withLoss(jobOf('', DUSTBIN), LOSSES.scheduled),
    field: 'distill.temperature',
    message: /one fixed temperature/,
  },
  {
    title: 'a dustbin with terms at several temperatures',
    job: withLoss(jobOf('', DUSTBIN), LOSSES.several),
    field: 'distill.temperature',
    message: /one fixed temperature/,
  },
  {
    title: 'more test images for teachers than there are',
    job: { ...jobOf(), evaluate: { ...jobOf().evaluate, teacherImages: 31 } },
    field: 'evaluate.teacherImages',
    message: /at most 30.*got 31/,
  },
]) {
  test(`refused: ${title}`, async (t) => {
    const dataset = await trees(t);
    const error = await t.throwsAsync(checkSamples(job, dataset), { instanceOf: StillhouseError });
    t.is(error.field, field);
    t.regex(error.message, message);
    t.true(error.message.startsWith(field));
  });
}

test('others have their turns while a job is checked and planned', async (t) => {
  const dataset = await trees(t);
  const job = jobOf();
  const works: [string, () => Promise<unknown>, number][] = [
    ['checkSamples', () => checkSamples(job, dataset), 4],
    ['planTeacher', () => planTeacher(job, dataset, 'big', null), 4],
    ['planStudent', () => planStudent(job, dataset, 'few', false, { init: null, answers }), 5],
  ];
  for (const [what, work, least] of works) {
    let turns = 0;
    let done = false;
    const working = work().finally(() => {
      done = true;
    });
    while (!done) {
      await nextTurn();
      turns++;
    }
    await working;
    t.true(turns >= least, `${what}: ${turns}`);
  }
});
