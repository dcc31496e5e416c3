import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { parseJobFile } from '../../../lib/wire/job-file.ts';
import { checkRoutes, controlRouteName, publishedName, routeRules } from '../../../lib/wire/job-routes.ts';

const CLASS_NAMES = ['a', 'b', 'c', 'd'];

const job = (overrides: readonly string[]) =>
  parseJobFile(
    `{apiVersion: stillhouse/v1, kind: Job, name: demo, data: {dataset: small}, teachers: [{name: big, arch: simple-cnn}],
    students: [{name: left, arch: simple-cnn, classes: [a, b]}, {name: right, arch: simple-cnn, classes: [2, 3]}]}`,
    { overrides },
  );

const DUSTBINS = ['students[0].dustbin=true', 'students[1].dustbin=true'];
const LONG = 'a'.repeat(56);

// What is set, the field at fault, the message.
const REFUSALS: [string[], string, RegExp][] = [
  [['publish.rule=best'], 'publish.rule', /best is chosen on the calibrate split, which has no images/],
  [['publish.rule=dustbin'], 'publish.rule', /every student to have a dustbin, students\[0\] has none/],
  [['publish.rule=dustbin', 'students[0].dustbin=true'], 'publish.rule', /students\[1\] has none/],
  [
    ['publish.rule=dustbin', ...DUSTBINS, 'students[1].classes=[b, c]'],
    'publish.rule',
    /needs students without common classes: "b" is a class of left and of right/,
  ],
  [
    ['publish.rule=best', 'data.calibrate=5', ...DUSTBINS, 'students[1].classes=[3, 0]'],
    'publish.rule',
    /"a" is a class of left and of right/,
  ],
  [['evaluate={control: false, controlRoute: true}'], 'evaluate.controlRoute', /no control arm to publish/],
  [
    ['evaluate.controlRoute=true', `publish.route=${LONG}`],
    'publish.route',
    /-control has 64 characters, at most 63 are allowed/,
  ],
  [
    ['evaluate.controlRoute=true', 'students[1].name=left-control'],
    'students[1].name',
    /the control arm of student left is published as left-control/,
  ],
  [
    ['evaluate={control: false, floors: {gain: 0.1}}'],
    'evaluate.floors.gain',
    /a gain is above the control arm, and there is none/,
  ],
  [['evaluate={routeImages: 0, floors: {route: 0.1}}'], 'evaluate.floors.route', /evaluate.routeImages is 0/],
  [
    ['evaluate={routeImages: 0, floors: {rules: {max-softmax: 0.1}}}'],
    'evaluate.floors.rules.max-softmax',
    /evaluate.routeImages is 0/,
  ],
  [
    ['evaluate.floors.rules={max-softmax: 0, max-logit: 0.1}'],
    'evaluate.floors.rules.max-logit',
    /not evaluated by this rule, only by max-softmax/,
  ],
  [
    ['evaluate.floors.rules={dustbin: 0.1}', 'publish.rule=best', 'data.calibrate=5'],
    'evaluate.floors.rules.dustbin',
    /only by max-softmax, max-logit/,
  ],
];

for (const [overrides, field, message] of REFUSALS) {
  test(`refused with the field: ${overrides.join(', ')}`, (t) => {
    const error = t.throws(() => checkRoutes(job(overrides), CLASS_NAMES), { instanceOf: StillhouseError, message });
    t.like(error, { code: 'INVALID_ARGUMENT', field });
    t.true(error?.message.startsWith(`${field}: `));
    t.truthy(error?.hint);
  });
}

const ACCEPTED: string[][] = [
  [],
  ['publish.rule=max-logit', 'students[1].classes=[a, b]'],
  ['publish.rule=best', 'data.calibrate=5', 'students[0].dustbin=true', 'evaluate.floors.rules={max-logit: 0.5}'],
  ['publish.rule=dustbin', ...DUSTBINS, 'evaluate.floors={rules: {dustbin: 0.5}, route: 0.5, gain: 0.1, teacher: 1}'],
  ['publish.rule=best', 'data.calibrate=5', ...DUSTBINS, 'evaluate.floors.rules={dustbin: 0.5}'],
  ['evaluate.controlRoute=true', `publish.route=${LONG.slice(1)}`],
  ['evaluate={control: false, routeImages: 0, floors: {teacher: 0.5}}', 'students[1].name=left-control'],
];

for (const overrides of ACCEPTED) {
  test(`accepted: ${overrides.join(', ') || 'the defaults'}`, (t) => {
    t.notThrows(() => checkRoutes(job(overrides), CLASS_NAMES));
    t.notThrows(() => checkRoutes(job(overrides)), 'before the data set is at hand');
  });
}

test('without a data set, common classes are not looked for', (t) => {
  t.notThrows(() => checkRoutes(job(['publish.rule=dustbin', ...DUSTBINS, 'students[1].classes=[a, b]'])));
});

test('what is published: names, and the rules in the order in which they are tried', (t) => {
  t.is(controlRouteName(job(['publish.route=trees'])), 'trees-control');
  t.is(publishedName(job([]), 'left', false), 'demo/left');
  t.is(publishedName(job([]), 'left', true), 'demo/left-control');
  t.deepEqual(routeRules(job([])), ['max-softmax']);
  t.deepEqual(routeRules(job(['publish.rule=best', DUSTBINS[0] as string])), ['max-softmax', 'max-logit']);
  t.deepEqual(routeRules(job(['publish.rule=best', ...DUSTBINS])), ['max-softmax', 'max-logit', 'dustbin']);
});
