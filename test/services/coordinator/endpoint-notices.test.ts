/** What a reproducible job says of teachers that are somebody else's servers. */
import test from 'ava';
import { Harness } from './job-harness.ts';

const SERVER = '{name: theirs, from: {type: endpoint, url: "grpc://host:1", model: m}}';
const NOTICE = /^teacher theirs is an endpoint: averaging\.reproducible cannot promise the bits of its answers/;

/** Notices of the phases that an endpoint may teach in. */
function notices(...overrides: string[]) {
  const h = new Harness('', [
    `teachers=[{name: big, arch: simple-cnn}, ${SERVER}]`,
    'students[1].teachers=[big]',
    ...overrides,
  ]);
  h.begin();
  while (h.phase?.kind !== 'PUBLISH' && h.phase !== undefined) h.finishPhase();
  return h.job.phases.map(({ kind, subject, notice }) => [`${kind} ${subject}`, notice] as const);
}

test('the evaluation of an endpoint, and students that learn from it, say what cannot be promised', (t) => {
  const said = notices().filter(([, notice]) => notice !== '');
  t.deepEqual(
    said.map(([phase]) => phase),
    ['EVALUATE_TEACHER theirs', 'DISTIL left'],
  );
  for (const [, notice] of said) t.regex(notice, NOTICE);
});

test('a job that promises no bits, and other teachers of its own, need no such word', (t) => {
  t.true(notices('averaging.reproducible=false').every(([, notice]) => notice === ''));
  t.true(notices('teachers[1].from={type: onnx, path: a.onnx}').every(([, notice]) => notice === ''));
});
