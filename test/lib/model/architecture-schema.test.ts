import { readFileSync } from 'node:fs';
import test from 'ava';
import { parse } from 'yaml';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { parseArchitecture } from '../../../lib/model/architecture-schema.ts';
import { describeModel } from '../../../lib/model/parameters.ts';
import { architectureNamed, architectureNames } from '../../../lib/model/zoo.ts';

const example = () =>
  parse(readFileSync(new URL('../../../examples/architectures/small-net.yaml', import.meta.url), 'utf8'));

test('every net of the zoo comes back from its JSON as it was', (t) => {
  for (const name of architectureNames) {
    const architecture = architectureNamed(name);
    t.deepEqual(parseArchitecture(JSON.parse(JSON.stringify(architecture)), name), architecture);
  }
});

test('the example is a network, and comes back from its JSON as it was', (t) => {
  const architecture = parseArchitecture(example(), 'small-net.yaml');
  const model = describeModel(architecture, { height: 32, width: 32, channels: 3 }, 10);
  t.is(model.blocks, 2);
  t.is(model.parameters.at(-1)?.depth, 3);
  t.deepEqual(parseArchitecture(JSON.parse(JSON.stringify(architecture)), 'again'), architecture);
});

test('what is left out has the default of PyTorch', (t) => {
  const layers = [
    { kind: 'conv2d', name: 'conv', filters: 4, kernel: 3 },
    { kind: 'max-pool', size: 2 },
    { kind: 'residual', main: [{ kind: 'relu' }] },
  ];
  t.deepEqual(parseArchitecture({ name: 'a', layers }, 'a.yaml').layers, [
    { kind: 'conv2d', name: 'conv', filters: 4, kernel: 3, padding: 0, bias: true },
    { kind: 'max-pool', size: 2, stride: 2 },
    { kind: 'residual', main: [{ kind: 'relu' }], shortcut: [] },
  ]);
});

const conv = { kind: 'conv2d', name: 'conv', filters: 4, kernel: 3 };
const bad: [string, unknown, string, RegExp][] = [
  ['no mapping', [], '', /expected a mapping of name, summary, initialisation, layers/],
  ['no layers', { name: 'a', layers: [] }, 'layers', /at least one layer/],
  ['a name that is a path', { name: '../a', layers: [conv] }, 'name', /lower-case letters/],
  ['an unknown kind', { name: 'a', layers: [{ kind: 'conv3d' }] }, 'layers[0].kind', /one of conv2d, depthwise-conv2d/],
  [
    'an unknown key',
    { name: 'a', layers: [{ ...conv, kernal: 3 }] },
    'layers[0]',
    /unknown key "kernal", expected kind, filters/,
  ],
  [
    'no filters',
    { name: 'a', layers: [{ kind: 'conv2d', name: 'conv', kernel: 3 }] },
    'layers[0].filters',
    /whole number from 1/,
  ],
  ['half a stride', { name: 'a', layers: [{ ...conv, stride: 1.5 }] }, 'layers[0].stride', /whole number from 1/],
  ['endless filters', { name: 'a', layers: [{ ...conv, filters: 1e9 }] }, 'layers[0].filters', /from 1 to 65536/],
  ['padding in words', { name: 'a', layers: [{ ...conv, padding: 'valid' }] }, 'layers[0].padding', /≥ 0 or "same"/],
  ['a name with a slash', { name: 'a', layers: [{ ...conv, name: 'a/b' }] }, 'layers[0].name', /letters, digits/],
  ['a certain dropout', { name: 'a', layers: [{ kind: 'dropout', rate: 1 }] }, 'layers[0].rate', /0 to below 1/],
  [
    'a block in a block',
    { name: 'a', layers: [{ kind: 'block', name: 'b', layers: [{ kind: 'block', name: 'c', layers: [] }] }] },
    'layers[0].layers[0].kind',
    /blocks stand only at the top/,
  ],
  [
    'a bad layer in a branch',
    { name: 'a', layers: [{ kind: 'residual', main: [{ kind: 'linear', name: 'fc', features: 'all' }] }] },
    'layers[0].main[0].features',
    /whole number ≥ 1 or "classes"/,
  ],
];

for (const [what, value, field, message] of bad) {
  test(`${what} is refused with the path and what was expected`, (t) => {
    const error = t.throws(() => parseArchitecture(value, 'net.yaml'), { instanceOf: StillhouseError });
    t.is(error.code, 'INVALID_ARGUMENT');
    t.is(error.field, field);
    t.true(error.message.startsWith(field === '' ? 'net.yaml: ' : `net.yaml: ${field}: `), error.message);
    t.regex(error.message, message);
  });
}

test('a list that is nested beyond reason is refused before it overflows anything', (t) => {
  let layer: unknown = { kind: 'relu' };
  for (let depth = 0; depth < 100_000; depth++) layer = { kind: 'residual', main: [layer] };
  t.throws(() => parseArchitecture({ name: 'deep', layers: [layer] }, 'deep.json'), {
    message: /deep\.json: too large/,
  });
  const wide = Array.from({ length: 300_000 }, () => ({ kind: 'relu' }));
  t.throws(() => parseArchitecture({ name: 'wide', layers: wide }, 'wide.json'), { message: /wide\.json: too large/ });
});
