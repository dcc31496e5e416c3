/** Losses on their way from the user's files into a job. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { readJob } from '../../cli/job-input.ts';
import { bundleLoss } from '../../cli/loss-bundle.ts';
import jensenShannon from '../../examples/my-loss.ts';
import { sha256 } from '../../lib/base/digest.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { loadCustomLoss } from '../../lib/distill/custom-loss.ts';
import { checkCustomLosses } from '../../lib/distill/custom-loss-check.ts';
import { tf } from '../../lib/engine/tf.ts';
import { jobSpecFromJson, jobSpecToJson } from '../../lib/wire/job-file.ts';
import { LOSS_SOURCE_BYTES_MAX } from '../../lib/wire/loss-schema.ts';
import { runCli } from '../helpers/cli.ts';
import { tempFolder } from '../helpers/temp-folder.ts';

// Serial where something is bundled: the bundler is one process, which each bundling ends.

const EXAMPLE = fileURLToPath(new URL('../../examples/custom-loss.yaml', import.meta.url));

async function write(t: ExecutionContext, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await tempFolder(t);
  for (const [name, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
    await writeFile(path.join(folder, name), text);
  }
  return folder;
}

const GOOD = {
  'loss.ts': `import type { LossArguments } from 'stillhouse/loss';
    import { type Power, power } from './parts/power.ts';
    import table from './table.json';
    const two: Power = table.two;
    export const needs = { teacher: false } as const;
    export default ({ tf, logits }: LossArguments) => power(tf, logits, two);`,
  'parts/power.ts': `import type { LossTf } from 'stillhouse/loss';
    export type Power = number;
    export const power = (tf: LossTf, x: any, n: Power) => tf.sum(tf.pow(x, n), 1);`,
  'table.json': '{ "two": 2 }',
};

test.serial('types go, own files come along, and the same files have the same digest anywhere', async (t) => {
  const [here, there] = [
    await write(t, GOOD),
    await write(t, { ...GOOD, 'tsconfig.json': '{"compilerOptions": {"target": "es5"}}' }),
  ];
  const bundle = await bundleLoss(path.join(here, 'loss.ts'), 'loss');
  t.deepEqual(await bundleLoss(path.join(there, 'loss.ts'), 'loss'), bundle);
  t.is(bundle.name, 'loss.ts');
  t.is(bundle.digest, sha256(bundle.source));
  t.notRegex(bundle.source, /stillhouse|LossArguments|^import/m);
  t.notRegex(bundle.source, new RegExp(here));
  const { compute, needsTeacher } = await loadCustomLoss(bundle);
  t.false(needsTeacher);
  const values = tf.tidy(() => {
    const labels = { labels: tf.tensor1d([0], 'int32'), targets: tf.tensor2d([[1, 0]]) };
    const inputs = { logits: tf.tensor2d([[1, 2]]), ...labels, temperature: tf.scalar(1) };
    return [...compute({ ...inputs, teacherLogits: null, parameters: {} }).dataSync()] as unknown as tf.TensorContainer;
  });
  t.deepEqual(values as unknown, [5]);
});

const REFUSED: readonly (readonly [what: string, files: Readonly<Record<string, string>>, message: RegExp])[] = [
  [
    'a package',
    { 'loss.ts': "import { z } from 'zod'; export default () => z;" },
    /loss\.ts:1:19: .*cannot import "zod": only its own files/,
  ],
  [
    'a package of a file of its own',
    { 'loss.ts': "export { default } from './b.ts';", 'b.ts': "import 'lodash'; export default 1;" },
    /b\.ts:1:8: .*"lodash"/,
  ],
  ['Node', { 'loss.ts': "import fs from 'node:fs'; export default () => fs;" }, /cannot import "node:fs"/],
  ['Node by require', { 'loss.js': "const fs = require('fs'); export default () => fs;" }, /cannot import "fs"/],
  ['what is not there', { 'loss.ts': "import './gone.ts'; export default 1;" }, /Could not resolve "\.\/gone\.ts"/],
  ['what is no code', { 'loss.ts': 'export default (' }, /loss\.ts:1:17: Unexpected end of file/],
  ['no default export', { 'loss.ts': 'export const loss = 1;' }, /loss\.ts has no default export/],
  ['too much', { 'loss.ts': `export default "${'x'.repeat(LOSS_SOURCE_BYTES_MAX)}"` }, /at most 262144 are allowed/],
];

for (const [what, files, message] of REFUSED) {
  test.serial(`refused: ${what}`, async (t) => {
    const folder = await write(t, files);
    const bundling = bundleLoss(path.join(folder, Object.keys(files)[0] as string), 'distill.loss[1].module');
    const error = await t.throwsAsync(bundling, { instanceOf: StillhouseError });
    t.is(error?.code, 'INVALID_ARGUMENT');
    t.is(error?.field, 'distill.loss[1].module');
    t.regex(error?.message ?? '', /^distill\.loss\[1\]\.module: /);
    t.regex(error?.message ?? '', message);
  });
}

test.serial('a job takes its loss along, found beside the job file', async (t) => {
  const { spec } = await readJob(EXAMPLE, { set: [], quick: false });
  const term = spec.distill.loss[1];
  t.true(term !== undefined && 'module' in term && typeof term.module === 'object');
  if (term === undefined || !('module' in term) || typeof term.module === 'string') return;
  t.is(term.module.name, 'my-loss.ts');
  t.deepEqual(jobSpecFromJson(jobSpecToJson(spec)).distill, spec.distill);
  const { compute, needsTeacher } = await loadCustomLoss(term.module);
  const { module, ...rest } = term;
  const loaded = { ...rest, type: 'custom', digest: module.digest, name: module.name, needsTeacher } as const;
  checkCustomLosses({ terms: [loaded], temperature: 4 }, new Map([[module.digest, compute]]), 6, 10);
});

test('the example’s loss is what its formula says', (t) => {
  const [p, q, share] = [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], 0.3];
  const kl = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * Math.log(x / (b[i] as number)), 0);
  const mixture = p.map((x, i) => share * x + (1 - share) * (q[i] as number));
  const T = 2;
  const logits = (x: number[]) => tf.tensor2d([x.map((value) => T * Math.log(value))]);
  const divergence = jensenShannon({
    tf,
    logits: logits(q),
    teacherLogits: logits(p),
    labels: tf.tensor1d([0], 'int32'),
    targets: tf.tensor2d([[1, 0, 0]]),
    temperature: tf.scalar(T),
    parameters: { teacherShare: share },
  });
  const found = divergence.dataSync()[0] as number;
  const expected = T * T * (share * kl(p, mixture) + (1 - share) * kl(q, mixture));
  t.true(Math.abs(found - expected) < 1e-5, `${found} is ${expected}`);
});

test('a missing module is named with its place in the job file', async (t) => {
  const folder = await write(t, {
    'job.yaml': `apiVersion: stillhouse/v1
kind: Job
name: demo
data: { dataset: cifar10 }
teachers: [{ name: big, arch: resnet-8 }]
students: [{ name: few, arch: simple-cnn }]
distill:
  loss:
    - module: ./gone.ts
      weight: 1
`,
  });
  const error = await t.throwsAsync(readJob(path.join(folder, 'job.yaml'), { set: [], quick: false }));
  t.regex(error?.message ?? '', /^distill\.loss\[0\]\.module: there is no file .*gone\.ts \(job\.yaml line 9\)$/);
});

test('a run refuses code that was not allowed, before it starts anything', async (t) => {
  const { code, err } = await runCli(t, ['run', EXAMPLE, '--quick', '--out', await tempFolder(t)], {
    STILLHOUSE_ALLOW_CUSTOM_CODE: '0',
  });
  t.is(code, 1);
  t.regex(err, /the job brings code of its own \(my-loss\.ts\), which is not allowed here/);
  t.regex(err, /STILLHOUSE_ALLOW_CUSTOM_CODE=1.*--allow-custom-code/);
});
