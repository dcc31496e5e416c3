import test from 'ava';
import { openDataset } from '../../../lib/data/open-dataset.ts';
import { architectureNamed } from '../../../lib/model/zoo.ts';
import { parseJobFile } from '../../../lib/wire/job-file.ts';
import { planStudent, planTeacher } from '../../../lib/wire/job-plan.ts';
import { artefactOf, decoded, randomModel } from '../../helpers/random-model.ts';
import { SMALL_CLASS_NAMES, writeSmallDataset } from '../../helpers/small-dataset.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const SEED = 20_261_203;
const images = { height: 32, width: 32, channels: 3 };

const JOB = `
apiVersion: stillhouse/v1
kind: Job
name: demo
data: { dataset: trees }
teachers:
  - name: big
    arch: resnet-8
    init: some/model
    inputSize: 40
    fineTune: { lastBlocks: 1 }
    train: { precision: float16, compile: auto, optimizer: { type: adam, clipNorm: 0.25 } }
students:
  - { name: few, arch: resnet-8, init: some/model, inputSize: 48, fineTune: head }
  - { name: plain, arch: simple-cnn }
train: { precision: bfloat16, compile: required, optimizer: { type: sgd, clipNorm: 2.5 } }
`;

test(`what a job says of its training reaches the program (seed ${SEED})`, async (t) => {
  const folder = await tempFolder(t);
  await writeSmallDataset(folder, 'trees', { seed: SEED });
  const dataset = await openDataset(folder, 'trees');
  t.teardown(() => dataset.close());
  const job = parseJobFile(JOB);
  const source = randomModel(architectureNamed('resnet-8'), images, SMALL_CLASS_NAMES.length, SEED);
  const init = decoded(artefactOf(source, [...SMALL_CLASS_NAMES]));

  const { program: teacher } = await planTeacher(job, dataset, 'big', init);
  t.like(teacher.training, { precision: 'float16', compile: 'auto', fineTune: { lastBlocks: 1 } });
  t.like(teacher.training?.optimizer, { type: 'adam', clipNorm: 0.25 });
  t.deepEqual(teacher.model.input, { height: 40, width: 40, channels: 3 });
  t.deepEqual(teacher.images, images, 'the images themselves stay as they are');

  for (const control of [false, true]) {
    const { program: student } = await planStudent(job, dataset, 'few', control, { init, answers: null });
    t.like(student.training, { precision: 'bfloat16', compile: 'required', fineTune: 'head' });
    t.like(student.training?.optimizer, { type: 'sgd', clipNorm: 2.5 });
    t.deepEqual(student.model.input, { height: 48, width: 48, channels: 3 });
  }

  const { program: plain } = await planStudent(job, dataset, 'plain', false, { init: null, answers: null });
  t.like(plain.training, { precision: 'bfloat16', compile: 'required', fineTune: 'all' });
  t.deepEqual(plain.model.input, images);
});

test('what a job leaves out: float32, compiled where possible, no limit on gradients', async (t) => {
  const folder = await tempFolder(t);
  await writeSmallDataset(folder, 'trees', { seed: SEED });
  const dataset = await openDataset(folder, 'trees');
  t.teardown(() => dataset.close());
  const job = parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: demo, data: {dataset: trees},
    teachers: [{name: big, arch: resnet-8}], students: [{name: few, arch: simple-cnn}]}`);
  const { program } = await planStudent(job, dataset, 'few', false, { init: null, answers: null });
  const { training } = program;
  t.like(training, { precision: 'float32', compile: 'auto', fineTune: 'all' });
  t.is(training?.optimizer.clipNorm, undefined);
});

test('a teacher that sends its largest logits alone, and epochs that are chosen among, reach the plan', async (t) => {
  const folder = await tempFolder(t);
  await writeSmallDataset(folder, 'trees', { seed: SEED });
  const dataset = await openDataset(folder, 'trees');
  t.teardown(() => dataset.close());
  const plans = async (...overrides: string[]) => {
    const job = parseJobFile(
      `{apiVersion: stillhouse/v1, kind: Job, name: demo, data: {dataset: trees, calibrate: 6},
      teachers: [{name: big, arch: resnet-8}], students: [{name: few, arch: simple-cnn}], train: {lanes: 1, microBatch: 2}}`,
      { overrides },
    );
    return Promise.all(
      [false, true].map((control) => planStudent(job, dataset, 'few', control, { init: null, answers: null })),
    );
  };
  const tailsOf = async (...overrides: string[]) =>
    (await plans(...overrides)).map(({ program }) => program.training?.tails);
  t.deepEqual(await tailsOf('distill.logits.topK=2'), [true, undefined]);
  t.deepEqual(await tailsOf('distill.logits=fp32'), [undefined, undefined]);
  for (const plan of await plans('train.keep=best', 'train.checkpointEpochs=2')) {
    const { arm, selection, checkpointEpochs, training, testIds } = plan;
    t.like(selection, { keepsBest: true, stopping: null });
    const ids = selection?.questions.ids ?? new Uint32Array(0);
    t.is(ids.length, 6);
    t.false([...ids].some((id) => training.ids.includes(id) || testIds.includes(id)));
    t.is(checkpointEpochs, arm === 'control' ? 0 : 2);
  }
  const [stopping] = await plans('train.earlyStopping.patience=3');
  t.like(stopping?.selection, { keepsBest: true, stopping: { patience: 3, minDelta: 0 } });
  const [plain] = await plans();
  t.is(plain?.selection, null);
});
