/** From the `distill` block to what a student trains with, and what is refused on the way. */
import test from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { needsTeacher } from '../../../lib/distill/loss-spec.ts';
import { jobSpecFromJson, jobSpecToJson, parseJobFile } from '../../../lib/wire/job-file.ts';
import {
  distillationLoss,
  NO_LOADED_LOSSES,
  refuseCustomCode,
  requireModuleCode,
  withoutSources,
} from '../../../lib/wire/job-losses.ts';

const job = (distill: string) =>
  parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: small, data: {dataset: cifar10},
    teachers: [{name: big, arch: resnet-8}], students: [{name: few, arch: simple-cnn}], distill: ${distill}}`);

const source = 'export default ({ tf, logits }) => tf.sum(tf.square(logits), 1);';
const digest = sha256(source);
const withCode = job(`{loss: [{type: cross-entropy, weight: 1}, {weight: 2, temperature: 3, parameters: {a: 1},
  module: {digest: "${digest}", name: mine.ts, source: "${source}"}}]}`);

test('terms of weight 0 are left out: alpha 0 asks no teacher, alpha 1 no labels', (t) => {
  const loss = (distill: string) => distillationLoss(job(distill).distill, NO_LOADED_LOSSES);
  t.deepEqual(loss('{alpha: 0}').terms, [{ type: 'cross-entropy', weight: 1 }]);
  t.false(needsTeacher(loss('{alpha: 0}').terms));
  t.deepEqual(loss('{alpha: 1, temperature: 2}'), { terms: [{ type: 'kl', weight: 1 }], temperature: 2 });
});

test('a custom term is known by its digest, and by what its code needs', (t) => {
  const { terms } = distillationLoss(withCode.distill, new Map([[digest, { needsTeacher: false }]]));
  const expected = { digest, name: 'mine.ts', weight: 2, temperature: 3, parameters: { a: 1 }, needsTeacher: false };
  t.deepEqual(terms[1], { type: 'custom', ...expected });
  t.false(needsTeacher(terms));
  t.throws(() => distillationLoss(withCode.distill, NO_LOADED_LOSSES), { message: /mine\.ts has been loaded/ });
});

test('code is refused where it is not allowed, naming the setting; other jobs are not', (t) => {
  const error = t.throws(() => refuseCustomCode(withCode, false), { instanceOf: StillhouseError });
  t.is(error?.code, 'FAILED_PRECONDITION');
  t.is(error?.field, 'distill.loss[1].module');
  t.regex(error?.message ?? '', /code of its own \(mine\.ts\)/);
  t.regex(error?.hint ?? '', /STILLHOUSE_ALLOW_CUSTOM_CODE=1/);
  t.notThrows(() => refuseCustomCode(withCode, true));
  t.notThrows(() => refuseCustomCode(job('{alpha: 0.5}'), false));
});

test('a path means nothing to a coordinator', (t) => {
  const error = t.throws(() => requireModuleCode(job('{loss: [{module: ./mine.ts, weight: 1}]}')));
  t.regex(
    error?.message ?? '',
    /^distill\.loss\[0\]\.module: expected the module's code .*got the path "\.\/mine\.ts"$/,
  );
  t.notThrows(() => requireModuleCode(withCode));
});

test('code survives the way as JSON, and is shown by its digest', (t) => {
  t.deepEqual(jobSpecFromJson(jobSpecToJson(withCode)).distill, withCode.distill);
  const shown = JSON.stringify(withoutSources(withCode));
  t.true(shown.includes(digest));
  t.false(shown.includes('tf.square'));
});
