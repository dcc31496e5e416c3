import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { checkJob, readJob } from '../../cli/job-input.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { writeSmallDataset } from '../helpers/small-dataset.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

test('a relative path to a data set is meant from the current folder', async (t) => {
  const file = path.join(await tempFolder(t), 'job.yaml');
  const datasetOf = async (dataset: string) => {
    const text = `{apiVersion: stillhouse/v1, kind: Job, name: demo, data: {dataset: "${dataset}", source: {dataset: "${dataset}"}},
      teachers: [{name: big, arch: resnet-8}], students: [{name: few, arch: simple-cnn}]}`;
    await writeFile(file, text);
    const { data } = (await readJob(file, { set: [], quick: false })).spec;
    t.is(data.source?.dataset, data.dataset, 'a source as the data set itself');
    return data.dataset;
  };
  t.is(await datasetOf('./data/trees'), path.resolve('data/trees'));
  t.is(await datasetOf('../trees'), path.resolve('../trees'));
  t.is(await datasetOf('/data/trees'), '/data/trees');
  t.is(await datasetOf('trees'), 'trees');
  t.is(await datasetOf('https://data.example/trees'), 'https://data.example/trees');
  t.is(await datasetOf('s3://bucket/trees'), 's3://bucket/trees');
});

const layers = (name: string, kernel: number, features: string | number) =>
  `{name: ${name}, layers: [{kind: conv2d, name: conv, filters: 2, kernel: ${kernel}}, ` +
  `{kind: global-average-pool}, {kind: linear, name: fc, features: ${features}}]}`;

for (const { title, network, field, message } of [
  {
    title: 'more blocks to fine-tune than there are',
    network: 'arch: resnet-8\n    init: ./big.pth\n    fineTune: {lastBlocks: 99}',
    field: 'students[0].fineTune',
    message: /the last 99 blocks of resnet-8 cannot be fine-tuned: it has 3 \(job\.yaml line 9\)$/,
  },
  {
    title: 'a window of 64 pixels over images of 32',
    network: `arch: ${layers('wide', 64, 'classes')}`,
    field: 'students[0].arch',
    message: /wide: conv2d conv .*64.*\(job\.yaml line 7\)$/,
  },
  {
    title: '7 features for 4 classes',
    network: `arch: ${layers('seven', 3, 7)}`,
    field: 'students[0].arch',
    message: /seven ends in a vector of 7, not in one logit for each of 4 classes \(job\.yaml line 7\)$/,
  },
  {
    title: 'images scaled to fewer pixels than a window has',
    network: `arch: ${layers('wide', 9, 'classes')}\n    inputSize: 8`,
    field: 'students[0].inputSize',
    message: /wide: conv2d conv .*9.*\(job\.yaml line 8\)$/,
  },
]) {
  test(`a network that cannot be built is refused with its field and line: ${title}`, async (t) => {
    const folder = await tempFolder(t);
    await writeSmallDataset(folder, 'trees');
    const file = path.join(folder, 'job.yaml');
    const text = `apiVersion: stillhouse/v1
kind: Job
name: demo
data: {dataset: trees}
teachers: [{name: big, arch: resnet-8}]
students:
  - ${network}
    name: few
`;
    await writeFile(file, text);
    const job = await readJob(file, { set: [], quick: false });
    const error = await t.throwsAsync(checkJob(job, folder), { instanceOf: StillhouseError });
    t.is(error?.code, 'INVALID_ARGUMENT');
    t.is(error?.field, field);
    t.true(error?.message.startsWith(`${field}: `), error?.message);
    t.regex(error?.message ?? '', message);
  });
}

test('what fits is accepted: its own scale, and a model to start from that decides the scale', async (t) => {
  const folder = await tempFolder(t);
  await writeSmallDataset(folder, 'trees');
  const file = path.join(folder, 'job.yaml');
  for (const network of [
    `arch: ${layers('wide', 64, 'classes')}, inputSize: 64`,
    `arch: ${layers('wide', 64, 'classes')}, init: ./wide.pth, fineTune: head`,
    'arch: resnet-8, init: ./big.pth, fineTune: {lastBlocks: 3}',
  ]) {
    const text = `{apiVersion: stillhouse/v1, kind: Job, name: demo, data: {dataset: trees},
      teachers: [{name: big, arch: resnet-8}], students: [{name: few, ${network}}]}`;
    await writeFile(file, text);
    const job = await readJob(file, { set: [], quick: false });
    await t.notThrowsAsync(checkJob(job, folder), network);
  }
});

test('a message that begins with its field is not given the field once more', async (t) => {
  const folder = await tempFolder(t);
  await writeSmallDataset(folder, 'trees');
  const file = path.join(folder, 'job.yaml');
  const head = 'apiVersion: stillhouse/v1\nkind: Job\nname: demo\n';
  const models = 'teachers: [{name: big, arch: resnet-8}]\nstudents: [{name: few, arch: simple-cnn}]\n';
  for (const field of ['labelled', 'train']) {
    await writeFile(file, `${head}data: {dataset: trees, ${field}: 20000}\n${models}`);
    const job = await readJob(file, { set: [], quick: false });
    const message = new RegExp(`^data\\.${field} asks for 20000, [^\\n]*\\(job\\.yaml line 4\\)$`);
    await t.throwsAsync(checkJob(job, folder), { code: 'INVALID_ARGUMENT', message });
  }
});

test('what the data do not have is refused with its field and line', async (t) => {
  const folder = await tempFolder(t);
  await writeSmallDataset(folder, 'trees');
  await writeSmallDataset(folder, 'woods', { seed: 2 });
  const file = path.join(folder, 'job.yaml');
  const models = 'teachers: [{name: big, arch: resnet-8}]\nstudents: [{name: few, arch: simple-cnn}]\n';
  for (const [line, expected] of [
    ['classes: [ash, oak]', /^data\.classes\[1\] is "oak".*\(job\.yaml line 6\)$/],
    ['classWeights: {ash: 2, oek: 3}', /^data\.classWeights\.oek: unknown class; .*ash, beech.*\(job\.yaml line 6\)$/],
    ['source: {dataset: moss}', /^data\.source\.dataset: .*moss.*\(job\.yaml line 6\)$/],
    ['source: {dataset: trees}', /^data\.source\.dataset: trees is the target itself.*\(job\.yaml line 6\)$/],
  ] as const) {
    await writeFile(
      file,
      `apiVersion: stillhouse/v1\nkind: Job\nname: demo\ndata:\n  dataset: trees\n  ${line}\n${models}`,
    );
    const job = await readJob(file, { set: [], quick: false });
    await t.throwsAsync(checkJob(job, folder), { message: expected }, line);
  }
  await writeFile(
    file,
    `apiVersion: stillhouse/v1\nkind: Job\nname: demo\ndata: {dataset: trees, source: {dataset: woods}}\n${models}`,
  );
  const checked = await checkJob(await readJob(file, { set: [], quick: false }), folder);
  t.is(checked.trainImages, 24, 'of both domains');
  t.is(checked.labelledImages, 12, 'those of the source');
  t.is(checked.testImages, 6);
});
