import test from 'ava';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { canonicalJson } from '../../../lib/data/canonical-json.ts';

test('keys are sorted at every depth and nothing stands between tokens', (t) => {
  const value = { b: [{ z: 1, a: 'x y' }, null, true], a: { d: -0.5, c: 1e21 }, B: '\u00e9"\n' };
  t.is(canonicalJson(value), '{"B":"\u00e9\\"\\n","a":{"c":1e+21,"d":-0.5},"b":[{"a":"x y","z":1},null,true]}');
  t.deepEqual(JSON.parse(canonicalJson(value)), value);
});

test('the order of insertion makes no difference, undefined properties neither', (t) => {
  t.is(canonicalJson({ a: 1, b: 2, c: undefined }), canonicalJson({ b: 2, a: 1 }));
});

test('a key called __proto__ is a key like any other', (t) => {
  t.is(canonicalJson(JSON.parse('{"__proto__":{"b":1,"a":2}}')), '{"__proto__":{"a":2,"b":1}}');
});

test('what JSON cannot hold is refused with its path', (t) => {
  const cases: [unknown, string][] = [
    [{ a: [1, Number.NaN] }, '$.a[1]'],
    [{ a: Number.POSITIVE_INFINITY }, '$.a'],
    [[undefined], '$[0]'],
    [new Array(1), '$[0]'],
    [{ a: 1n }, '$.a'],
    [{ a: () => 1 }, '$.a'],
    [{ a: new Map() }, '$.a'],
    [new Float32Array(2), '$'],
    [undefined, '$'],
  ];
  for (const [value, path] of cases) {
    const error = t.throws(() => canonicalJson(value), { instanceOf: StillhouseError });
    t.is(error?.field, path);
  }
});
