/** The `distill` block of job files. */
import test from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { jobSpecFromJson, parseJobFile } from '../../../lib/wire/job-file.ts';
import { LOSS_SOURCE_BYTES_MAX } from '../../../lib/wire/loss-schema.ts';

const jobWith = (distill: string) => `apiVersion: stillhouse/v1
kind: Job
name: small
data: { dataset: cifar10 }
teachers: [{ name: big, arch: resnet-8 }]
students: [{ name: first, arch: simple-cnn }]
distill: ${distill}
`;

const parse = (distill: string) => parseJobFile(jobWith(distill)).distill;

/** How answers get to the students, unless a job says otherwise. */
const SUPPLY = {
  teachers: { combine: 'mean-logits', weights: {}, classes: {} },
  logits: 'auto',
  request: 'ids',
  cache: { mode: 'auto', encoding: 'auto' },
  withoutTeachers: 'continue',
  merge: { images: 256, delayMs: 5 },
} as const;

const ACCEPTED: readonly (readonly [what: string, text: string, expected: unknown])[] = [
  [
    'the seed’s convention',
    '{convention: seed-004}',
    {
      loss: [
        { type: 'cross-entropy', weight: 0.75 },
        { type: 'kl', weight: 0.25, convention: 'seed-004' },
      ],
      temperature: 1,
    },
  ],
  [
    'the seed’s convention with its own numbers',
    '{convention: seed-004, alpha: 0.5, temperature: 3}',
    {
      loss: [
        { type: 'cross-entropy', weight: 0.5 },
        { type: 'kl', weight: 0.5, convention: 'seed-004' },
      ],
      temperature: 3,
    },
  ],
  [
    'the usual convention by name',
    '{convention: hinton, alpha: 0.5}',
    {
      loss: [
        { type: 'cross-entropy', weight: 0.5 },
        { type: 'kl', weight: 0.5 },
      ],
      temperature: 4,
    },
  ],
  [
    'every term, its defaults filled in',
    `{loss: [{type: cross-entropy, weight: 1, smoothing: 0.1}, {type: mse-probabilities, weight: 2, temperature: 1},
      {type: soft-cross-entropy, weight: 0.5}, {type: dkd, weight: 1}, {type: dist, weight: 1, gamma: 0.5}]}`,
    {
      loss: [
        { type: 'cross-entropy', weight: 1, smoothing: 0.1 },
        { type: 'mse-probabilities', weight: 2, temperature: 1 },
        { type: 'soft-cross-entropy', weight: 0.5 },
        { type: 'dkd', weight: 1, alpha: 1, beta: 8 },
        { type: 'dist', weight: 1, beta: 2, gamma: 0.5 },
      ],
      temperature: 4,
    },
  ],
  [
    'schedules of weights and temperatures',
    `{temperature: {type: linear, from: 8, to: 1}, loss: [
      {type: kl, weight: {type: warm-up, value: 1, steps: 20}, temperature: {type: step, value: 4, factor: 0.5, fraction: 0.3}},
      {type: cross-entropy, weight: {type: cosine, from: 1, to: 0, fraction: 0.5}},
      {type: mse-logits, weight: {type: constant, value: 2}}]}`,
    {
      loss: [
        {
          type: 'kl',
          weight: { type: 'warm-up', value: 1, steps: 20 },
          temperature: { type: 'step', value: 4, factor: 0.5, fraction: 0.3 },
        },
        { type: 'cross-entropy', weight: { type: 'cosine', from: 1, to: 0, fraction: 0.5 } },
        { type: 'mse-logits', weight: { type: 'constant', value: 2 } },
      ],
      temperature: { type: 'linear', from: 8, to: 1, fraction: 1 },
    },
  ],
  [
    'a module by its path',
    '{loss: [{module: ./my-loss.ts, weight: 1, temperature: 2, parameters: {focus: 2, names: [a, {b: null}]}}]}',
    {
      loss: [
        { module: './my-loss.ts', weight: 1, temperature: 2, parameters: { focus: 2, names: ['a', { b: null }] } },
      ],
      temperature: 4,
    },
  ],
  [
    'a module without parameters',
    '{loss: [{module: my-loss.ts, weight: 1}]}',
    { loss: [{ module: 'my-loss.ts', weight: 1, parameters: {} }], temperature: 4 },
  ],
];

for (const [what, text, expected] of ACCEPTED) {
  test(`accepted: ${what}`, (t) => {
    const { loss, temperature, ...supply } = parse(text);
    t.deepEqual({ loss, temperature } as unknown, expected);
    t.deepEqual(supply, SUPPLY);
    const spec = parseJobFile(jobWith(text));
    t.is(JSON.stringify(jobSpecFromJson(JSON.stringify(spec))), JSON.stringify(spec), 'read back as the same text');
  });
}

const code = (source: string, digest = sha256(source)) =>
  `{loss: [{module: ${JSON.stringify({ digest, name: 'my-loss.ts', source })}, weight: 1}]}`;

test('a module travels as its source', (t) => {
  const source = 'export default () => "a\\nb";\n';
  t.deepEqual(parse(code(source)).loss, [
    { module: { digest: sha256(source), name: 'my-loss.ts', source }, weight: 1, parameters: {} },
  ]);
});

const TERM = 'distill.loss[0]';
const term = (rest: string) => `{loss: [{type: kl, ${rest}}]}`;
const weight = (rest: string) => term(`weight: {${rest}}`);

const REFUSED: readonly (readonly [what: string, text: string, field: string, message: RegExp])[] = [
  ['no weight', '{loss: [{type: kl}]}', `${TERM}.weight`, /a number ≥ 0, but it is missing \(the job file line 7\)/],
  ['a negative weight', term('weight: -1'), `${TERM}.weight`, /a number ≥ 0, got -1/],
  ['a weight as text', term('weight: much'), `${TERM}.weight`, /a number ≥ 0, got "much"/],
  ['a temperature of 0', term('weight: 1, temperature: 0'), `${TERM}.temperature`, /a number > 0, got 0/],
  ['another term’s key', term('weight: 1, beta: 8'), `${TERM}.beta`, /one of type, weight, temperature, convention/],
  ['a misspelt key', term('weight: 1, temprature: 8'), `${TERM}.temprature`, /did you mean "temperature"/],
  ['another convention', term('weight: 1, convention: x'), `${TERM}.convention`, /"seed-004", got "x"/],
  [
    'an unknown type',
    '{loss: [{type: l2, weight: 1}]}',
    `${TERM}.type`,
    /cross-entropy, kl.*dist, or a module, got "l2"/,
  ],
  ['no type', '{loss: [{weight: 1}]}', `${TERM}.type`, /one of cross-entropy, .* but it is missing/],
  ['a type of the prototype', '{loss: [{type: constructor, weight: 1}]}', `${TERM}.type`, /one of cross-entropy/],
  ['a term as text', '{loss: [kl]}', TERM, /a block with a type: one of cross-entropy.*got "kl"/],
  ['smoothing of 1', '{loss: [{type: cross-entropy, weight: 1, smoothing: 1}]}', `${TERM}.smoothing`, /below 1, got 1/],
  ['a negative beta', '{loss: [{type: dkd, weight: 1, beta: -8}]}', `${TERM}.beta`, /a number ≥ 0, got -8/],
  [
    'an unknown schedule',
    weight('type: exp'),
    `${TERM}.weight.type`,
    /constant, linear, cosine, step, warm-up, got "exp"/,
  ],
  [
    'a schedule without an end',
    weight('type: linear, from: 1'),
    `${TERM}.weight.to`,
    /a number ≥ 0, but it is missing/,
  ],
  ['a negative end', weight('type: linear, from: 1, to: -1'), `${TERM}.weight.to`, /a number ≥ 0, got -1/],
  ['both spans', weight('type: linear, from: 1, to: 0, steps: 3, fraction: 1'), `${TERM}.weight.fraction`, /not both/],
  ['no span', weight('type: warm-up, value: 1'), `${TERM}.weight.steps`, /steps, or a fraction of the training/],
  ['a span of 0', weight('type: warm-up, value: 1, fraction: 0'), `${TERM}.weight.fraction`, /above 0, to 1, got 0/],
  ['steps of 0', weight('type: warm-up, value: 1, steps: 0'), `${TERM}.weight.steps`, /≥ 1, got 0/],
  ['an unknown key of a schedule', weight('type: constant, valeu: 1, value: 1'), `${TERM}.weight.valeu`, /"value"/],
  [
    'a temperature that falls to 0',
    '{temperature: {type: linear, from: 4, to: 0}}',
    'distill.temperature.to',
    /> 0, got 0/,
  ],
  ['a list for a temperature', '{temperature: [4]}', 'distill.temperature', /a number > 0/],
  ['convention and loss', '{convention: hinton, loss: [{type: kl, weight: 1}]}', 'distill.convention', /not both/],
  ['an unknown convention', '{convention: seed-005}', 'distill.convention', /one of hinton, seed-004, got "seed-005"/],
  ['type and module', '{loss: [{module: a.ts, type: kl, weight: 1}]}', `${TERM}.type`, /one of module, weight/],
  ['a module that is no path', '{loss: [{module: 3, weight: 1}]}', `${TERM}.module`, /a path to a module.*got 3/],
  ['an empty path', '{loss: [{module: "", weight: 1}]}', `${TERM}.module`, /a path to a module/],
  ['a module without source', '{loss: [{module: {name: a}, weight: 1}]}', `${TERM}.module.digest`, /missing/],
  [
    'source of another digest',
    code('a', sha256('b')),
    `${TERM}.module.digest`,
    /the digest of its source, sha256:ca978/,
  ],
  ['too much source', code('x'.repeat(LOSS_SOURCE_BYTES_MAX + 1)), `${TERM}.module.source`, /at most 256 KiB/],
  [
    'parameters as a list',
    '{loss: [{module: a.ts, weight: 1, parameters: [1]}]}',
    `${TERM}.parameters`,
    /a block of values/,
  ],
  [
    'a parameter that JSON lacks',
    '{loss: [{module: a.ts, weight: 1, parameters: {a: [.nan]}}]}',
    `${TERM}.parameters.a`,
    /finite numbers/,
  ],
];

for (const [what, text, field, message] of REFUSED) {
  test(`refused: ${what}`, (t) => {
    const error = t.throws(() => parse(text), { instanceOf: StillhouseError, code: 'INVALID_ARGUMENT' });
    t.is(error?.field, field, error?.message);
    t.regex(error?.message ?? '', message);
  });
}
