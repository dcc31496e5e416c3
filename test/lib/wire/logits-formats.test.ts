/** How a job's logits are sent and stored, on the wire and in the job file. */
import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { createRandom } from '../../../lib/base/random.ts';
import {
  decodeRows,
  encodeRows,
  isSameFormat,
  type LogitsEncoding,
  type LogitsFormat,
} from '../../../lib/distill/logits/format.ts';
import type { LogitsFormat__Output } from '../../../lib/wire/generated/stillhouse/v1/LogitsFormat.ts';
import { parseJobFile } from '../../../lib/wire/job-file.ts';
import {
  cacheFormat,
  formatMessage,
  formatOf,
  joinTemperature,
  smallestFormat,
  supplyProblems,
  wireFormat,
} from '../../../lib/wire/logits-formats.ts';

const job = (distill = '', students = '[{name: s, arch: simple-cnn}]', teachers = '[{name: t, arch: resnet-8}]') =>
  parseJobFile(`apiVersion: stillhouse/v1
kind: Job
name: small
data: {dataset: cifar10}
teachers: ${teachers}
students: ${students}
distill: {${distill}}
`);

/** What the parser says of a job that it refuses; '' of one that it takes. */
function refusal(distill: string, students?: string, teachers?: string): string {
  try {
    job(distill, students, teachers);
    return '';
  } catch (thrown) {
    if (thrown instanceof StillhouseError) return thrown.message;
    throw thrown;
  }
}

test('auto is the smaller of int8 and fp16, on the wire and in the cache', (t) => {
  const encodings = [2, 7, 8, 9, 10, 1000].map((columns) => smallestFormat(columns).encoding);
  t.deepEqual(encodings, ['fp16', 'fp16', 'fp16', 'int8', 'int8', 'int8']);
  t.deepEqual(wireFormat(job(), 10), { encoding: 'int8', columns: 10, temperatures: [] });
  t.deepEqual(cacheFormat(job(), 1000), { encoding: 'int8', columns: 1000, temperatures: [] });
});

test('what is chosen is taken, and the cache stores no less than is sent', (t) => {
  for (const encoding of ['fp32', 'fp16', 'bf16', 'int8', 'int4'] as const) {
    const sent = job(`logits: ${encoding}`);
    t.is(wireFormat(sent, 10).encoding, encoding);
    t.is(cacheFormat(sent, 10).encoding, encoding);
    t.is(cacheFormat(job(`logits: ${encoding}, cache: {encoding: bf16}`), 10).encoding, 'bf16');
  }
  t.deepEqual(wireFormat(job('logits: probabilities'), 10), {
    encoding: 'probabilities',
    columns: 10,
    temperatures: [4],
  });
  t.is(cacheFormat(job('logits: probabilities'), 10).encoding, 'int8');
  t.is(cacheFormat(job('logits: {topK: 3}'), 10).encoding, 'int8');
  const both = job('logits: {topK: 3}, cache: {encoding: {topK: 3}}');
  t.deepEqual(cacheFormat(both, 10), { encoding: { topK: 3 }, columns: 10, temperatures: [4] });
  t.true(isSameFormat(cacheFormat(both, 10), wireFormat(both, 10)));
});

test('where the k largest are all there are, all are sent', (t) => {
  const few = job('logits: {topK: 10}');
  t.deepEqual(wireFormat(few, 10), smallestFormat(10));
  t.deepEqual(wireFormat(few, 11).encoding, { topK: 10 });
});

const kl = (...temperatures: string[]) =>
  `loss: [${temperatures.map((T) => `{type: kl, weight: 0.5, temperature: ${T}}`).join(', ')}]`;

test('topK declares every temperature at which a term looks at the teacher', (t) => {
  const declared = (distill: string) => wireFormat(job(`logits: {topK: 3}, ${distill}`), 10).temperatures;
  t.deepEqual(declared('temperature: 2'), [2]);
  t.deepEqual(declared(`${kl('6', '2')}, temperature: 9`), [2, 6]);
  t.deepEqual(declared('loss: [{type: cross-entropy, weight: 1, temperature: 7}, {type: kl, weight: 1}]'), [4]);
  t.deepEqual(declared('loss: [{type: kl, weight: 0, temperature: 7}, {type: kl, weight: 1}]'), [4]);
  t.deepEqual(declared(`${kl('{type: constant, value: 3}')}`), [3]);
  const rounded = (distill: string) => declared(distill).map((T) => Math.round(1000 * T) / 1000);
  t.deepEqual(rounded(kl('{type: linear, from: 16, to: 1, fraction: 1}')), [1, 2, 4, 8, 16]);
  t.deepEqual(rounded(kl('{type: cosine, from: 1, to: 16, fraction: 0.5}')), [1, 2, 4, 8, 16]);
  t.deepEqual(rounded(kl('{type: warm-up, value: 16, steps: 16}')), [1, 2, 4, 8, 16]);
  t.deepEqual(rounded(kl('{type: step, value: 16, factor: 0.5, steps: 9}')), [1, 2, 4, 8, 16]);
  const both = `teachers: {combine: most-confident}, ${kl('6', '2')}`;
  t.deepEqual(declared(both), [1, 2, 6], 'and that at which the most confident teacher is found');
});

test('the temperature of joins is that of the terms, where they have one', (t) => {
  t.is(joinTemperature(job('temperature: 3').distill), 3);
  t.is(joinTemperature(job(kl('6', '6')).distill), 6);
  t.is(joinTemperature(job(kl('6', '2')).distill), 1);
  t.is(joinTemperature(job(kl('{type: linear, from: 1, to: 2, steps: 2}')).distill), 1);
});

test('formats travel', (t) => {
  const random = createRandom(5);
  const logits = Float32Array.from({ length: 20 }, () => random.nextNormal());
  for (const encoding of ['fp32', 'fp16', 'bf16', 'int8', 'int4', 'probabilities', { topK: 4 }] as LogitsEncoding[]) {
    const needs = encoding === 'probabilities' || typeof encoding !== 'string';
    const format: LogitsFormat = { encoding, columns: 10, temperatures: needs ? [0.1] : [] };
    const found = formatOf(formatMessage(format) as LogitsFormat__Output, 10);
    t.deepEqual(found, format);
    t.notThrows(() => decodeRows(encodeRows(logits, format), 2, found, 'a test'));
  }
});

test('what is no format is refused, naming the field', (t) => {
  const topK = { encoding: 'LOGITS_ENCODING_TOP_K', topK: 3, temperatures: [1, 4] } as const;
  const soft = { encoding: 'LOGITS_ENCODING_PROBABILITIES', topK: 0, temperatures: [4] } as const;
  const cases: [object | null, string][] = [
    [null, 'format.encoding'],
    [{ encoding: 'LOGITS_ENCODING_UNSPECIFIED', topK: 0, temperatures: [] }, 'format.encoding'],
    [{ encoding: 9, topK: 0, temperatures: [] }, 'format.encoding'],
    [{ ...topK, topK: 0 }, 'format.top_k'],
    [{ ...topK, topK: 10 }, 'format.top_k'],
    [{ ...topK, temperatures: [] }, 'format.temperatures'],
    [{ ...topK, temperatures: [4, 1] }, 'format.temperatures'],
    [{ ...topK, temperatures: [0, 1] }, 'format.temperatures'],
    [{ ...topK, temperatures: [1, Number.NaN] }, 'format.temperatures'],
    [{ ...topK, temperatures: [1, Number.POSITIVE_INFINITY] }, 'format.temperatures'],
    [{ ...topK, temperatures: Array.from({ length: 65 }, (_, index) => index + 1) }, 'format.temperatures'],
    [{ ...soft, temperatures: [] }, 'format.temperatures'],
    [{ ...soft, temperatures: [-1] }, 'format.temperatures'],
    [{ ...soft, temperatures: [1, 2] }, 'format.temperatures'],
  ];
  for (const [message, field] of cases) {
    const error = t.throws(() => formatOf(message as LogitsFormat__Output, 10), { instanceOf: StillhouseError });
    t.is(error?.code, 'INVALID_ARGUMENT', JSON.stringify(message));
    t.is(error?.field, field);
  }
});

const TWO = '[{name: t, arch: resnet-8}, {name: u, arch: resnet-8}]';

test('what an encoding cannot do is refused in the job file', (t) => {
  const mse = 'loss: [{type: kl, weight: 0.5}, {type: mse-logits, weight: 0.5}]';
  const refused: [string, RegExp, (string | undefined)?, (string | undefined)?][] = [
    [`logits: {topK: 3}, ${mse}`, /distill\.loss\[1\]\.type.*softmaxes.*topK: mse-logits/],
    [`logits: probabilities, ${mse}`, /distill\.loss\[1\]\.type.*probabilities: mse-logits/],
    [`logits: probabilities, ${kl('2', '4')}`, /distill\.temperature.*one fixed temperature.*probabilities/],
    [`logits: probabilities, ${kl('{type: linear, from: 1, to: 2, steps: 2}')}`, /one fixed temperature/],
    ['logits: {topK: 3}', /distill\.teachers\.combine.*by-class or most-confident.*mean-logits/, undefined, TWO],
    ['logits: {topK: 3}, teachers: {combine: mean-probabilities}', /combine.*mean-probabilities/, undefined, TWO],
    [`teachers: {combine: mean-probabilities}, ${kl('2', '4')}`, /distill\.temperature.*mean of prob/, undefined, TWO],
    [`teachers: {combine: mean-probabilities}, ${mse}`, /distill\.loss\[1\]\.type.*mean of prob/, undefined, TWO],
    ['cache: {encoding: {topK: 3}}', /distill\.cache\.encoding.*raw logits.*topK: 3/],
    ['logits: {topK: 4}, cache: {encoding: {topK: 3}}', /distill\.cache\.encoding.*topK: 3/],
    [
      'logits: {topK: 3}, cache: {encoding: {topK: 3}}',
      /distill\.cache\.encoding.*students\[1\] has classes of its own/,
      '[{name: s, arch: simple-cnn}, {name: r, arch: simple-cnn, classes: [cat, dog]}]',
    ],
  ];
  for (const [distill, message, students, teachers] of refused) {
    t.regex(refusal(distill, students, teachers), message, distill);
  }
  const accepted: [string, (string | undefined)?, (string | undefined)?][] = [
    ['logits: {topK: 3}, cache: {encoding: {topK: 3}}'],
    ['cache: {mode: off, encoding: {topK: 3}}'],
    ['logits: {topK: 3}, teachers: {combine: most-confident}', undefined, TWO],
    ['logits: {topK: 3}', '[{name: s, arch: simple-cnn, teachers: [u]}]', TWO],
    [`logits: {topK: 3}, ${kl('2', '4')}`],
    ['logits: probabilities', undefined, TWO],
    [`logits: int8, ${mse}`],
    ['logits: probabilities, loss: [{type: kl, weight: 1}, {type: mse-logits, weight: 0}]'],
  ];
  for (const [distill, students, teachers] of accepted) {
    t.is(refusal(distill, students, teachers), '', distill);
    t.deepEqual(supplyProblems(job(distill, students, teachers)), []);
  }
});
