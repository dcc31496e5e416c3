import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { readJob } from '../../cli/job-input.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { resolveArchitecture } from '../../lib/model/architecture-choice.ts';
import { jobSpecFromJson, jobSpecToJson } from '../../lib/wire/job-file.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

const LAYERS = `
name: tiny
layers:
  - {kind: conv2d, name: conv, filters: 2, kernel: 3}
  - {kind: global-average-pool}
  - {kind: linear, name: fc, features: classes}
`;

/** The job's file is in a folder of its own, which is not the current one. */
async function writeJob(folder: string, student: string): Promise<string> {
  await mkdir(path.join(folder, 'nets'), { recursive: true });
  await writeFile(path.join(folder, 'nets/tiny.yaml'), LAYERS);
  await writeFile(path.join(folder, 'nets/bad.yaml'), LAYERS.replace('filters: 2', 'filters: none'));
  await writeFile(path.join(folder, 'nets/broken.yaml'), 'layers: [{kind: conv2d');
  const file = path.join(folder, 'job.yaml');
  const text = `apiVersion: stillhouse/v1
kind: Job
name: demo
data: {dataset: trees}
teachers: [{name: big, arch: resnet-8}]
students:
  - name: few
    ${student}
`;
  await writeFile(file, text);
  return file;
}

const OPTIONS = { set: [], quick: false };

test('a file of layers becomes part of the job, wherever the command is run', async (t) => {
  const file = await writeJob(await tempFolder(t), 'arch: ./nets/tiny.yaml');
  const { spec } = await readJob(file, OPTIONS);
  const arch = spec.students[0]?.arch ?? '';
  t.like(arch, { name: 'tiny' });
  const { layers } = resolveArchitecture(arch);
  t.deepEqual(
    layers.map(({ kind }) => kind),
    ['conv2d', 'global-average-pool', 'linear'],
  );
  // What the services read from it is the same network.
  const received = jobSpecFromJson(jobSpecToJson(spec)).students[0]?.arch ?? '';
  t.deepEqual(resolveArchitecture(received), resolveArchitecture(arch));
});

test('a file of weights is meant from the folder of the job, a name is left alone', async (t) => {
  const folder = await tempFolder(t);
  const initOf = async (init: string) =>
    (await readJob(await writeJob(folder, `arch: resnet-8\n    init: "${init}"`), OPTIONS)).spec.students[0]?.init;
  t.is(await initOf('./weights/a.pth'), path.join(folder, 'weights/a.pth'));
  t.is(await initOf('../a.safetensors'), path.resolve(folder, '../a.safetensors'));
  t.is(await initOf('a.pt'), path.join(folder, 'a.pt'));
  t.is(await initOf('/models/a'), '/models/a');
  for (const name of ['pretrained:efficientnet-lite0', 'demo/few', `sha256:${'0'.repeat(64)}`]) {
    t.is(await initOf(name), name);
  }
});

for (const { what, arch, code, message } of [
  {
    what: 'missing',
    arch: './nets/none.yaml',
    code: 'NOT_FOUND',
    message: /cannot read \.\/nets\/none\.yaml: there is no such file/,
  },
  {
    what: 'no YAML',
    arch: './nets/broken.yaml',
    code: 'INVALID_ARGUMENT',
    message: /\.\/nets\/broken\.yaml.* not valid YAML/,
  },
  {
    what: 'wrong',
    arch: './nets/bad.yaml',
    code: 'INVALID_ARGUMENT',
    message: /nets\/bad\.yaml.*layers\[0\]\.filters.*whole number/s,
  },
]) {
  test(`a file of layers that is ${what} is refused with the field and its line`, async (t) => {
    const file = await writeJob(await tempFolder(t), `arch: ${arch}`);
    const error = await t.throwsAsync(readJob(file, OPTIONS), { instanceOf: StillhouseError, code });
    t.is(error?.field, 'students[0].arch');
    t.regex(error?.message ?? '', message);
    t.regex(error?.message ?? '', /^students\[0\]\.arch: .*\(job\.yaml line 8\)$/s);
  });
}
