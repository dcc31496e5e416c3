import { readFileSync } from 'node:fs';
import test from 'ava';
import { parseJobFile, validateJob } from '../../../lib/wire/job-file.ts';
import { mayUseTeacher } from '../../../lib/wire/job-losses.ts';
import { checkRoutes, routeRules } from '../../../lib/wire/job-routes.ts';

const CLASS_NAMES = 'airplane automobile bird cat deer dog frog horse ship truck'.split(' ');
const TEXT = readFileSync(new URL('../../../examples/quickstart.yaml', import.meta.url), 'utf8');

const quickstart = (quick: boolean) => parseJobFile(TEXT, { where: 'quickstart.yaml', quick });

test('the whole quickstart has floors, its small version has none', (t) => {
  t.deepEqual(quickstart(false).evaluate.floors, {
    teacher: 0.79,
    gain: 0.09,
    route: 0.53,
    rules: { 'max-softmax': 0.46 },
  });
  t.deepEqual(quickstart(true).evaluate.floors, { rules: {} });
});

for (const quick of [false, true]) {
  test(`the quickstart is one job of all ten classes and few labels: ${quick ? 'small' : 'whole'}`, (t) => {
    const spec = quickstart(quick);
    validateJob(spec, CLASS_NAMES);
    checkRoutes(spec, CLASS_NAMES);
    const classes = spec.students.flatMap((student) => student.classes ?? []);
    t.deepEqual(classes, CLASS_NAMES);
    t.deepEqual(routeRules(spec), ['max-softmax', 'max-logit', 'dustbin']);
    t.true(mayUseTeacher(spec.distill));
    const { train = 0, labelled = 0, calibrate } = spec.data;
    t.deepEqual([train, labelled, calibrate], quick ? [1_200, 300, 300] : [10_000, 500, 2_000]);
    t.is(labelled % CLASS_NAMES.length, 0, 'as many labels of each class');
    t.true(spec.evaluate.control && spec.evaluate.controlRoute);
  });
}
