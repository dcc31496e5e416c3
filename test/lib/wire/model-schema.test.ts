import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { jobSpecFromJson, jobSpecToJson, readJobFile, validateJob } from '../../../lib/wire/job-file.ts';
import { trainedTeacher } from '../../../lib/wire/job-plan.ts';

/** @param teacher its keys beside the name @param student likewise */
function read(teacher: string, student = 'arch: simple-cnn') {
  const text = `apiVersion: stillhouse/v1
kind: Job
name: demo
data: {dataset: trees}
teachers:
  - {name: big, ${teacher}}
students:
  - {name: few, ${student}}
`;
  return readJobFile(text, { where: 'job.yaml' });
}

/** As the command line and the coordinator do, without a data set. */
function check(teacher: string, student?: string) {
  const { spec, locate } = read(teacher, student);
  validateJob(spec, undefined, locate);
  return spec;
}

/** The teacher `big`, which the job trains. */
function teacherOf(teacher: string) {
  return trainedTeacher(check(teacher), 'big');
}

const LAYERS = `layers: [{kind: conv2d, name: conv, filters: 2, kernel: 3}, {kind: global-average-pool}, {kind: linear, name: fc, features: classes}]`;

test('an architecture is a name, a name with another dropout, or layers', (t) => {
  t.is(teacherOf('arch: resnet-8').arch, 'resnet-8');
  t.deepEqual(teacherOf('arch: {name: resnet-8, dropout: 0.2}').arch, { name: 'resnet-8', dropout: 0.2 });
  const spec = check(`arch: {name: tiny, summary: mine, ${LAYERS}}`);
  t.like(trainedTeacher(spec, 'big').arch, { name: 'tiny', summary: 'mine' });
  t.deepEqual(jobSpecFromJson(jobSpecToJson(spec)), spec);
});

test('what is trained is all, the head, or the last blocks', (t) => {
  const init = 'arch: resnet-8, init: first/model';
  t.deepEqual(
    ['', ', fineTune: head', ', fineTune: {lastBlocks: 2}'].map((more) => teacherOf(init + more).fineTune),
    ['all', 'head', { lastBlocks: 2 }],
  );
});

test('images are scaled where the job says so', (t) => {
  t.is(teacherOf('arch: resnet-8, inputSize: 64').inputSize, 64);
  t.is(teacherOf('arch: resnet-8').inputSize, undefined);
});

const REFUSED: readonly (readonly [what: string, teacher: string, field: string, message: RegExp])[] = [
  ['a number for an architecture', 'arch: 18', 'arch', /the name of an architecture, \{name, dropout\} or .*got 18/],
  ['an unknown architecture', 'arch: resnet-9', 'arch', /one of simple-cnn.*"resnet-9" \(did you mean "resnet-8"/],
  ['a name with what it does not have', 'arch: {name: resnet-8, width: 2}', 'arch.width', /unknown key/],
  ['a dropout of all', 'arch: {name: resnet-8, dropout: 1}', 'arch.dropout', /from 0 to below 1, got 1/],
  ['layers without a name', `arch: {${LAYERS}}`, 'arch.name', /missing/],
  ['layers that are none', 'arch: {name: tiny, layers: 3}', 'arch.layers', /a list of layers, got 3/],
  ['a layer of no kind', 'arch: {name: tiny, layers: [{kind: lstm}]}', 'arch', /layers\[0\]/],
  ['only the head without init', 'arch: resnet-8, fineTune: head', 'fineTune', /"head" leaves the rest.*no init/],
  ['the last blocks without init', 'arch: resnet-8, fineTune: {lastBlocks: 1}', 'fineTune', /there is no init/],
  ['another word', 'arch: resnet-8, init: a, fineTune: tail', 'fineTune', /one of all, head, got "tail"/],
  ['no block', 'arch: resnet-8, init: a, fineTune: {lastBlocks: 0}', 'fineTune.lastBlocks', /≥ 1, got 0/],
  ['an empty init', 'arch: resnet-8, init: ""', 'init', /a published model, pretrained:<name>, or a path/],
  ['images without pixels', 'arch: resnet-8, inputSize: 0', 'inputSize', /from 1 to 1024, got 0/],
  ['images beyond memory', 'arch: resnet-8, inputSize: 1025', 'inputSize', /from 1 to 1024, got 1025/],
];

for (const [what, keys, field, message] of REFUSED) {
  test(`refused: ${what}`, (t) => {
    for (const [list, line, run] of [
      ['teachers', 6, () => check(keys)],
      ['students', 8, () => check('arch: resnet-8', keys)],
    ] as const) {
      const error = t.throws(run, { instanceOf: StillhouseError, code: 'INVALID_ARGUMENT' });
      t.is(error?.field, `${list}[0].${field}`, error?.message);
      t.regex(error?.message ?? '', message);
      t.true(error?.message.includes(`(job.yaml line ${line})`), error?.message);
    }
  });
}
