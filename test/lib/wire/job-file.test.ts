import { readFileSync } from 'node:fs';
import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { createRandom } from '../../../lib/base/random.ts';
import {
  jobSpecFromJson,
  jobSpecToJson,
  type ParseOptions,
  parseJobFile,
  readJobFile,
  validateJob,
} from '../../../lib/wire/job-file.ts';
import { trainedTeachers } from '../../../lib/wire/teaching.ts';

const MINIMAL = `apiVersion: stillhouse/v1
kind: Job
name: small
data:
  dataset: cifar10
teachers:
  - name: big
    arch: resnet-8
students:
  - name: first
    arch: simple-cnn
    classes: [cat, dog]
  - name: second
    arch: simple-cnn
`;

function refused(text: string, options: ParseOptions = {}): StillhouseError {
  try {
    parseJobFile(text, { where: 'job.yaml', ...options });
  } catch (error) {
    if (error instanceof StillhouseError && error.code === 'INVALID_ARGUMENT') return error;
    throw error;
  }
  throw new Error(`accepted: ${text}`);
}

test('all defaults are filled in', (t) => {
  const spec = parseJobFile(MINIMAL);
  t.is(spec.seed, 1);
  const views = { flip: false, shift: 0, cutout: 0, mixup: 0, cutmix: 0 };
  const asItIs = { labelNoise: 0, badSamples: 'fail', normalize: 'auto' } as const;
  t.deepEqual(spec.data, { dataset: 'cifar10', calibrate: 0, ...asItIs, views });
  const optimizer = {
    type: 'adam',
    learningRate: 1e-3,
    weightDecay: 0,
    schedule: { type: 'constant', warmupSteps: 0 },
  } as const;
  const common = { tail: 'weighted', checkpointEpochs: 0, optimizer, precision: 'float32', compile: 'auto' } as const;
  const [teacher] = trainedTeachers(spec);
  const keep = 'last' as const;
  t.deepEqual(teacher?.train, { lanes: 1, microBatch: 64, epochs: 5, workers: 1, ...common, keep });
  t.deepEqual(spec.train, { lanes: 4, microBatch: 16, epochs: 10, ...common, keep });
  t.is(teacher?.fineTune, 'all');
  t.is(spec.students[1]?.classes, undefined);
  t.is(spec.distill.temperature, 4);
  t.deepEqual(
    spec.distill.loss.map((term) => ('type' in term ? term.type : term.module)),
    ['cross-entropy', 'kl'],
  );
  const { loss: _loss, temperature: _temperature, ...supply } = spec.distill;
  t.deepEqual(supply, {
    teachers: { combine: 'mean-logits', weights: {}, classes: {} },
    logits: 'auto',
    request: 'ids',
    cache: { mode: 'auto', encoding: 'auto' },
    withoutTeachers: 'continue',
    merge: { images: 256, delayMs: 5 },
  });
  t.deepEqual(spec.averaging, { workers: 2, chunkKiB: 256, stallTimeoutMs: 2000, reproducible: true });
  t.deepEqual(spec.evaluate, { control: true, controlRoute: false, floors: { rules: {} } });
  t.deepEqual(spec.publish, { route: 'small', rule: 'max-softmax' });
  t.deepEqual(spec.limits, { workerWaitSeconds: 120, quick: {} });
});

test('a job and the same job read back from its JSON are the same text', (t) => {
  for (const given of [
    'train: {optimizer: {type: sgd, nesterov: true}}\ndistill: {alpha: 0.25}\n',
    'train: {earlyStopping: {patience: 2}}\ndistill: {logits: {topK: 2}, merge: {delayMs: 0}}\n',
  ]) {
    const spec = parseJobFile(`${MINIMAL}${given}`, { overrides: ['data.calibrate=10'] });
    t.is(JSON.stringify(jobSpecFromJson(JSON.stringify(spec))), JSON.stringify(spec));
    t.deepEqual(parseJobFile(jobSpecToJson(spec)), spec);
  }
});

test('how steps compute and how weights move', (t) => {
  const { precision, compile, optimizer } = parseJobFile(
    `${MINIMAL}train: {precision: bfloat16, compile: required, optimizer: {type: adamw, weightDecay: 0.05, clipNorm: 1}}`,
  ).train;
  t.deepEqual({ precision, compile }, { precision: 'bfloat16', compile: 'required' });
  t.like(optimizer, { type: 'adamw', weightDecay: 0.05, clipNorm: 1 });
});

/** The smallest job with these keys below `data`. */
const withData = (keys: string) =>
  MINIMAL.replace('dataset: cifar10', `dataset: cifar10\n${keys.replace(/^/gm, '  ')}`);

test('what a job says of its data', (t) => {
  const { data } = parseJobFile(
    withData(`source: {dataset: svhn, match: position}
classes: [cat, 5, ship]
labelled: 100
labelNoise: 0.2
classWeights: {cat: 2, ship: 0.5}
badSamples: {skip: 3}
normalize: {mean: [0.5, 0.4, 0.3], std: [0.1, 0.2, 0.3]}
views: {flip: true, crop: {}, jitter: {brightness: 0.4}, cutout: 8, mixup: 0.2, cutmix: 1, cycle: 4}`),
  );
  t.deepEqual(data, {
    dataset: 'cifar10',
    source: { dataset: 'svhn', match: 'position' },
    classes: ['cat', 5, 'ship'],
    labelled: 100,
    labelNoise: 0.2,
    classWeights: { cat: 2, ship: 0.5 },
    calibrate: 0,
    badSamples: { skip: 3 },
    normalize: { mean: [0.5, 0.4, 0.3], std: [0.1, 0.2, 0.3] },
    views: {
      flip: true,
      shift: 0,
      crop: { scale: [0.08, 1], ratio: [3 / 4, 4 / 3] },
      jitter: { brightness: 0.4, contrast: 0, saturation: 0, hue: 0 },
      cutout: 8,
      mixup: 0.2,
      cutmix: 1,
      cycle: 4,
    },
  });
  const spec = parseJobFile(withData('classWeights: balanced\nnormalize: imagenet\nsource: {dataset: svhn}'));
  t.like(spec.data, { classWeights: 'balanced', normalize: 'imagenet', source: { dataset: 'svhn', match: 'name' } });
  t.deepEqual(jobSpecFromJson(JSON.stringify({ ...spec, data })).data, data);
});

test('a teacher may see other views of the same mix', (t) => {
  const mixed = withData('views: {mixup: 0.2, cycle: 3, flip: true}').replace(
    'arch: resnet-8',
    'arch: resnet-8\n    views: {mixup: 0.2, cycle: 3, cutout: 4}',
  );
  t.is(parseJobFile(mixed).teachers[0]?.views?.cutout, 4);
  const unmixed = withData('views: {cycle: 3}').replace('arch: resnet-8', 'arch: resnet-8\n    views: {flip: true}');
  t.true(parseJobFile(unmixed).teachers[0]?.views?.flip);
  t.notThrows(() =>
    parseJobFile(`${withData('views: {mixup: 1}')}distill: {loss: [{type: kl, weight: 1}, {type: dkd, weight: 0}]}`),
  );
});

test('JSON is read as YAML is', (t) => {
  const spec = parseJobFile(MINIMAL);
  t.deepEqual(parseJobFile(JSON.stringify(spec, null, 2)), spec);
});

test('empty blocks mean their defaults', (t) => {
  t.deepEqual(parseJobFile(`${MINIMAL}gate:\ncalibrate: {}\ntrain:\nlimits:\n  quick:\n`), parseJobFile(MINIMAL));
});

test('alpha is shorthand for the two losses', (t) => {
  const { loss } = parseJobFile(`${MINIMAL}distill: {alpha: 0.25}`).distill;
  t.deepEqual(loss, [
    { type: 'cross-entropy', weight: 0.75 },
    { type: 'kl', weight: 0.25 },
  ]);
});

test('one lane alone needs no averaging block', (t) => {
  t.is(parseJobFile(`${MINIMAL}train: {lanes: 1}`).averaging.workers, 1);
});

const REFUSED: readonly (readonly [what: string, text: string, field: string, message: RegExp])[] = [
  ['a wrong type', `${MINIMAL}train: {lanes: four}`, 'train.lanes', /whole number .*got "four" \(job\.yaml line 15\)/],
  ['a fraction', `${MINIMAL}train: {epochs: 1.5}`, 'train.epochs', /got 1\.5/],
  ['no lanes', `${MINIMAL}train: {lanes: 0}`, 'train.lanes', /got 0/],
  ['not a number', `${MINIMAL}distill: {temperature: .nan}`, 'distill.temperature', /a number > 0, got NaN/],
  ['infinity', `${MINIMAL}distill: {temperature: .inf}`, 'distill.temperature', /a number > 0/],
  ['an unknown key', `${MINIMAL}train: {lanse: 4}`, 'train.lanse', /unknown key.*did you mean "lanes"/],
  ['an unknown top-level key', `${MINIMAL}trian: {}`, 'trian', /unknown key.*did you mean "train"/],
  ['a key of the prototype', `${MINIMAL}__proto__: {}`, '__proto__', /unknown key/],
  ['a key in an empty block', `${MINIMAL}gate: {accuracy: 1}`, 'gate.accuracy', /no settings here yet/],
  ['another version', MINIMAL.replace('stillhouse/v1', 'stillhouse/v2'), 'apiVersion', /"stillhouse\/v1", got/],
  ['another kind', MINIMAL.replace('kind: Job', 'kind: Sweep'), 'kind', /"Job", got "Sweep"/],
  ['no name', MINIMAL.replace('name: small\n', ''), 'name', /missing/],
  ['a name that is no label', MINIMAL.replace('name: small', 'name: Small_1'), 'name', /got "Small_1"/],
  ['a name of 64', MINIMAL.replace('name: small', `name: ${'a'.repeat(64)}`), 'name', /at most 63/],
  ['a seed beyond 32 bits', `${MINIMAL}seed: 4294967296`, 'seed', /0 to 4294967295/],
  ['no data set', MINIMAL.replace('dataset: cifar10', 'calibrate: 1'), 'data.dataset', /missing/],
  ['a shift beyond 16', `${MINIMAL}`.replace('cifar10', 'cifar10\n  views: {shift: 17}'), 'data.views.shift', /got 17/],
  [
    'an unknown view',
    withData('views: {blur: 1}'),
    'data.views.blur',
    /unknown key; expected one of flip, shift, crop/,
  ],
  ['a crop as a flag', withData('views: {crop: true}'), 'data.views.crop', /a block of scale, ratio, got true/],
  ['a crop from 0', withData('views: {crop: {scale: [0, 1]}}'), 'data.views.crop.scale[0]', /a number > 0/],
  ['a crop beyond 1', withData('views: {crop: {scale: [0.5, 2]}}'), 'data.views.crop.scale[1]', /at most 1, got 2/],
  ['a span backwards', withData('views: {crop: {ratio: [2, 1]}}'), 'data.views.crop.ratio', /from and to, got \[2,1\]/],
  ['a strip', withData('views: {crop: {ratio: [1, 101]}}'), 'data.views.crop.ratio[1]', /0\.01 to 100, got 101/],
  ['a glare', withData('views: {jitter: {contrast: 11}}'), 'data.views.jitter.contrast', /from 0 to 10, got 11/],
  ['an alpha beyond all', withData('views: {cutmix: 1e9}'), 'data.views.cutmix', /from 0 to 1000, got 1000000000/],
  ['a hue beyond half', withData('views: {jitter: {hue: 0.6}}'), 'data.views.jitter.hue', /0 to 0\.5, got 0\.6/],
  ['a negative square', withData('views: {cutout: -1}'), 'data.views.cutout', /whole number from 0/],
  ['a negative alpha', withData('views: {mixup: -0.1}'), 'data.views.mixup', /a number from 0 to 1000, got -0\.1/],
  ['no view in the cycle', withData('views: {cycle: 0}'), 'data.views.cycle', /whole number ≥ 1, got 0/],
  [
    'an unknown statistic',
    withData('normalize: mnist'),
    'data.normalize',
    /one of auto, imagenet, cifar10, got "mnist"/,
  ],
  [
    'a mean of two',
    withData('normalize: {mean: [0, 0], std: [1, 1, 1]}'),
    'data.normalize.mean',
    /three numbers, for red/,
  ],
  [
    'no deviation',
    withData('normalize: {mean: [0, 0, 0], std: [1, 0, 1]}'),
    'data.normalize.std[1]',
    /a number from 0\.000001 to 1000, got 0/,
  ],
  ['skipping nothing', withData('badSamples: {skip: 0}'), 'data.badSamples.skip', /from 1 to 1000, got 0/],
  ['skipping in words', withData('badSamples: skip'), 'data.badSamples', /"fail", got "skip"/],
  ['noise beyond 1', withData('labelNoise: 1.5'), 'data.labelNoise', /from 0 to 1, got 1\.5/],
  ['weights in words', withData('classWeights: even'), 'data.classWeights', /"balanced", got "even"/],
  ['a weight of 0', withData('classWeights: {cat: 0}'), 'data.classWeights.cat', /a number > 0, got 0/],
  ['a source as text', withData('source: svhn'), 'data.source', /a block of dataset, match, got "svhn"/],
  ['a match by colour', withData('source: {dataset: a, match: colour}'), 'data.source.match', /one of name, position/],
  ['one class of the data', withData('classes: [cat]'), 'data.classes', /at least two/],
  ['an unknown tail', `${MINIMAL}train: {tail: cut}`, 'train.tail', /one of weighted, drop, got "cut"/],
  [
    'a share without a dustbin',
    MINIMAL.replace('[cat, dog]', '[cat, dog]\n    dustbinShare: 0.5'),
    'students[0].dustbinShare',
    /dustbin: true beside it, or nothing, got 0\.5 \(job\.yaml line 13\)/,
  ],
  [
    'a dustbin alone',
    MINIMAL.replace('[cat, dog]', '[cat, dog]\n    dustbin: true\n    dustbinShare: 1'),
    'students[0].dustbinShare',
    /from 0 to below 1, got 1/,
  ],
  [
    'dkd of mixed images',
    `${withData('views: {cutmix: 1}')}distill: {loss: [{type: kl, weight: 1}, {type: dkd, weight: 1}]}`,
    'distill.loss[1].type',
    /a term other than dkd.*mixes images, got "dkd"/,
  ],
  [
    'a teacher with one answer to mixed images',
    withData('views: {mixup: 0.2}').replace('arch: resnet-8', 'arch: resnet-8\n    views: {}'),
    'teachers[0].views',
    /same mixup, cutmix and cycle as data\.views \(mixup 0\.2, cutmix 0, cycle none\).*line 10/,
  ],
  [
    'a teacher that mixes by itself',
    MINIMAL.replace('arch: resnet-8', 'arch: resnet-8\n    views: {cutmix: 1}'),
    'teachers[0].views',
    /as data\.views \(no mixing\)/,
  ],
  [
    'a teacher that mixes in another turn',
    withData('views: {mixup: 0.2, cycle: 2}').replace('arch: resnet-8', 'arch: resnet-8\n    views: {mixup: 0.2}'),
    'teachers[0].views',
    /cycle 2/,
  ],
  ['no teacher', MINIMAL.replace(/teachers:.*students/s, 'teachers: []\nstudents'), 'teachers', /at least one teacher/],
  ['no student', MINIMAL.replace(/students:.*/s, 'students: []'), 'students', /at least one/],
  ['names twice', MINIMAL.replace('name: second', 'name: first'), 'students[1].name', /other than students\[0\]/],
  ['the teacher’s name', MINIMAL.replace('name: second', 'name: big'), 'students[1].name', /other than teachers\[0\]/],
  ['one class', MINIMAL.replace('[cat, dog]', '[cat]'), 'students[0].classes', /at least two/],
  ['a negative class', MINIMAL.replace('[cat, dog]', '[cat, -1]'), 'students[0].classes[1]', /got -1 .*line 12/],
  ['too many workers', `${MINIMAL}averaging: {workers: 5}`, 'averaging.workers', /at most train\.lanes \(4\), got 5/],
  ['alpha and loss', `${MINIMAL}distill: {alpha: 1, loss: [{type: kl, weight: 1}]}`, 'distill.alpha', /not both/],
  ['alpha beyond 1', `${MINIMAL}distill: {alpha: 1.5}`, 'distill.alpha', /from 0 to 1, got 1\.5/],
  ['weights of 0', `${MINIMAL}distill: {loss: [{type: kl, weight: 0}]}`, 'distill.loss', /weight > 0/],
  ['an unknown loss', `${MINIMAL}distill: {loss: [{type: l2, weight: 1}]}`, 'distill.loss[0].type', /one of .*kl/],
  [
    'an unknown optimizer',
    `${MINIMAL}train: {optimizer: {type: lamb}}`,
    'train.optimizer.type',
    /one of adam, adamw, sgd/,
  ],
  ['an optimizer as text', `${MINIMAL}train: {optimizer: sgd}`, 'train.optimizer', /a block with a type/],
  ['an unknown precision', `${MINIMAL}train: {precision: half}`, 'train.precision', /float32, bfloat16, float16, got/],
  ['an unknown compile', `${MINIMAL}train: {compile: never}`, 'train.compile', /one of auto, required, got "never"/],
  ['a limit of 0', `${MINIMAL}train: {optimizer: {clipNorm: 0}}`, 'train.optimizer.clipNorm', /a number > 0, got 0/],
  ['momentum for adam', `${MINIMAL}train: {optimizer: {momentum: 0.9}}`, 'train.optimizer.momentum', /unknown key/],
  [
    'a step schedule without steps',
    `${MINIMAL}train: {optimizer: {schedule: {type: step, factor: 0.1}}}`,
    'train.optimizer.schedule.everySteps',
    /missing/,
  ],
  [
    'an unknown rule',
    `${MINIMAL}publish: {rule: vote}`,
    'publish.rule',
    /one of max-softmax, max-logit, dustbin, best, got "vote"/,
  ],
  ['a list for a block', `${MINIMAL}publish: [a]`, 'publish', /a block of route, rule/],
];

for (const [what, text, field, message] of REFUSED) {
  test(`refused: ${what}`, (t) => {
    const error = refused(text);
    t.is(error.field, field);
    t.regex(error.message, message);
    t.true(error.message.includes(field), error.message);
  });
}

test('every problem is reported, one a line', (t) => {
  const error = refused(`${MINIMAL}train: {lanes: four, epochs: -1, extra: 1}\nseed: x\n`);
  t.regex(error.message, /^4 problems in job\.yaml:\n/);
  for (const path of ['train.lanes', 'train.epochs', 'train.extra', 'seed'])
    t.true(error.message.includes(`${path}: `));
});

test('what is no mapping or no YAML is refused with its place', (t) => {
  t.regex(refused('').message, /expected a job file/);
  t.regex(refused('- a\n- b').message, /expected a job file/);
  t.regex(refused('name: [a\nkind: b').message, /job\.yaml line \d+, column \d+: not valid YAML/);
  t.regex(refused(`${MINIMAL}kind: Job\n`).message, /line 15.*unique/);
  t.regex(refused(`${MINIMAL}\n---\n${MINIMAL}`).message, /not valid YAML/);
});

test('aliases cannot blow a small file up', (t) => {
  const levels = Array.from({ length: 12 }, (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(', ')}]`);
  const error = refused(`l0: &l0 [a]\n${levels.join('\n')}\n`);
  t.regex(error.message, /alias/i);
});

test('--set overrides scalars, lists and entries of lists; the last one wins', (t) => {
  const spec = parseJobFile(MINIMAL, {
    overrides: [
      'train.epochs=3',
      'train.epochs=4',
      'students[0].arch=resnet-8',
      'students.1.classes=[ship, 9]',
      'train.optimizer={type: sgd, learningRate: 0.1}',
      'data.views.flip=true',
      'publish.route=other',
    ],
  });
  t.is(spec.train.epochs, 4);
  t.is(spec.students[0]?.arch, 'resnet-8');
  t.deepEqual(spec.students[1]?.classes, ['ship', 9]);
  t.is(spec.train.optimizer.type, 'sgd');
  t.true(spec.data.views.flip);
  t.is(spec.publish.route, 'other');
});

test('--set changes one place, also where the file repeats a value by an alias', (t) => {
  const text = MINIMAL.replace('classes: [cat, dog]', 'classes: &two [cat, dog]').replace(
    /simple-cnn\n$/,
    'simple-cnn\n    classes: *two\n',
  );
  const spec = parseJobFile(text, { overrides: ['students[0].classes[0]=ship'] });
  t.deepEqual(spec.students[0]?.classes, ['ship', 'dog']);
  t.deepEqual(spec.students[1]?.classes, ['cat', 'dog']);
});

const BAD_OVERRIDES: readonly (readonly [override: string, message: RegExp])[] = [
  ['distil.alpha=1', /distil: unknown key.*did you mean "distill".*from --set distil\.alpha=1/],
  ['train.lanes=x', /train\.lanes: expected a whole number.*got "x" \(from --set train\.lanes=x\)/],
  ['students[2].arch=x', /students has 2 entries/],
  ['students.one.arch=x', /students has 2 entries/],
  ['name.first=x', /name is "small", which has nothing inside/],
  ['train.epochs', /expected path=value/],
  ['=3', /expected path=value/],
  ['train..epochs=3', /is not a path/],
  ['__proto__.polluted=1', /is not a path/],
  ['constructor.prototype.polluted=1', /constructor: unknown key/],
  ['train.epochs=[', /not valid YAML/],
];

for (const [override, message] of BAD_OVERRIDES) {
  test(`refused: --set ${override}`, (t) => {
    t.regex(refused(MINIMAL, { overrides: [override] }).message, message);
    t.false('polluted' in {});
  });
}

const QUICK = `${MINIMAL}limits:\n  quick:\n    train.epochs: 2\n    students[0].arch: resnet-8\n    data.train: 100\n`;

test('limits.quick is applied on demand, before --set', (t) => {
  t.is(parseJobFile(QUICK).train.epochs, 10);
  const quick = parseJobFile(QUICK, { quick: true });
  t.is(quick.train.epochs, 2);
  t.is(quick.data.train, 100);
  t.is(quick.students[0]?.arch, 'resnet-8');
  t.is(parseJobFile(QUICK, { quick: true, overrides: ['train.epochs=7'] }).train.epochs, 7);
});

test('a slip in limits.quick is found without --quick, and named with its line', (t) => {
  const error = refused(QUICK.replace('train.epochs', 'train.epoch'));
  t.regex(error.message, /train\.epoch: unknown key.*from limits\.quick, job\.yaml line 17/);
});

test('what is submitted no longer depends on limits.quick', (t) => {
  const spec = parseJobFile(QUICK, { overrides: ['train.lanes=1'] });
  t.deepEqual(jobSpecFromJson(jobSpecToJson(spec)).limits.quick, {});
});

test('validateJob refuses architectures and classes that do not exist, and classes named twice', (t) => {
  const text = MINIMAL.replace('arch: resnet-8', 'arch: resnet8').replace('[cat, dog]', '[cta, dog, 1, 7, cat]');
  const { spec, locate } = readJobFile(text, { where: 'job.yaml' });
  const known = ['cat', 'dog', 'ship'];
  const error = t.throws(() => validateJob(spec, known, locate), { instanceOf: StillhouseError });
  t.is(error?.field, 'teachers[0].arch');
  const lines = error?.message.split('\n') ?? [];
  t.regex(lines[1] ?? '', /teachers\[0\]\.arch: .*did you mean "resnet-8"\?\) \(job\.yaml line 8\)/);
  t.regex(lines[2] ?? '', /students\[0\]\.classes\[0\]: .*got "cta".*did you mean "cat"/);
  t.regex(lines[3] ?? '', /students\[0\]\.classes\[2\]: .*once.*"dog"/);
  t.regex(lines[4] ?? '', /students\[0\]\.classes\[3\]: .*from 0 to 2, got 7/);
  t.is(lines.length, 5);
});

test('the example is a valid job, quick or not', (t) => {
  const text = readFileSync(new URL('../../../examples/cifar10-specialists.yaml', import.meta.url), 'utf8');
  const classNames = 'airplane automobile bird cat deer dog frog horse ship truck'.split(' ');
  for (const quick of [false, true]) {
    const spec = parseJobFile(text, { quick });
    validateJob(spec, classNames);
    t.deepEqual(
      spec.students.flatMap(({ classes }) => classes ?? []),
      classNames,
    );
  }
});

test('whatever the text, the answer is a job or an INVALID_ARGUMENT', (t) => {
  const seed = 20_24;
  const random = createRandom(seed);
  const pieces = [
    ...QUICK,
    '  ',
    '\n',
    ': ',
    '- ',
    '[',
    ']',
    '{',
    '}',
    '&a ',
    '*a',
    '"',
    '!!int ',
    '? ',
    '|',
    '%',
    '\u0000',
  ];
  for (let round = 0; round < 400; round++) {
    const letters = [...QUICK];
    for (let edits = 1 + random.nextInt(4); edits > 0; edits--) {
      letters.splice(random.nextInt(letters.length), random.nextInt(12), pieces[random.nextInt(pieces.length)] ?? '');
    }
    const text = letters.join('');
    try {
      parseJobFile(text);
    } catch (error) {
      const known = error instanceof StillhouseError && error.code === 'INVALID_ARGUMENT';
      t.true(known, `seed ${seed}, round ${round}: ${String(error)}\n${text}`);
    }
  }
  t.pass();
});
