/** What `stillhouse label` says cannot be stored beforehand. */
import test from 'ava';
import { refuseNothingToStore, unforeseen } from '../../cli/label-foresight.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { parseJobFile } from '../../lib/wire/job-file.ts';

const job = (views: string, students: string) =>
  parseJobFile(`{apiVersion: stillhouse/v1, kind: Job, name: trees, data: {dataset: trees, views: ${views}},
    teachers: [{name: big, arch: simple-cnn}], students: [${students}]}`);

const MIXED = '{mixup: 0.3, cycle: 2}';
const ALL = '{name: every, arch: simple-cnn}';
const SOME = '{name: few, arch: simple-cnn, classes: [ash, elm]}';
const REST = '{name: rest, arch: simple-cnn, classes: [ash, elm], dustbin: true}';

test('mixed images are refused where every student trains on some classes only, and said where some do', (t) => {
  const error = t.throws(() => refuseNothingToStore(job(MIXED, SOME)), { instanceOf: StillhouseError });
  t.is(error?.field, 'teachers[0].views');
  t.regex(error?.message ?? '', /images are mixed .* classes’ only for few: .*nothing to store beforehand/);
  const partly = job(MIXED, `${ALL}, ${SOME}, ${REST}`);
  refuseNothingToStore(partly);
  const [line, ...others] = unforeseen(partly);
  t.regex(line ?? '', /^what big answers few is not stored beforehand: images are mixed/);
  t.deepEqual(others, []);
});

test('where images are not mixed, or students train on all of them, everything can be stored', (t) => {
  for (const whole of [job('{flip: true, cycle: 2}', SOME), job('{}', SOME), job(MIXED, `${ALL}, ${REST}`)]) {
    refuseNothingToStore(whole);
    t.deepEqual(unforeseen(whole), []);
  }
});
