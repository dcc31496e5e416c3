import test from 'ava';
import { z } from 'zod';
import { StillhouseError } from '../../../lib/base/errors.ts';
import { decodeUtf8, findDuplicateKey, parseJsonDocument } from '../../../lib/data/json-document.ts';

test('duplicate keys are found in every object, also when they are escaped', (t) => {
  t.is(findDuplicateKey('{"a":1,"b":{"c":1,"c":2}}'), 'c');
  t.is(findDuplicateKey('[{"a" : 1,\n"\\u0061"\t:2}]'), 'a');
  t.is(findDuplicateKey('{"":1,"":2}'), '');
});

test('equal keys of different objects, and text that looks like keys, are no duplicates', (t) => {
  t.is(findDuplicateKey('{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}'), undefined);
  t.is(findDuplicateKey('{"a":"\\"a\\":{","b":"}","c":["a","a"],"d":"\\\\"}'), undefined);
});

test('a string of many megabytes is no problem', (t) => {
  t.is(findDuplicateKey(`{"a":"${'\\n'.repeat(5_000_000)}","a":1}`), 'a');
});

test('errors name the document and the path in it', (t) => {
  const schema = z.strictObject({ files: z.array(z.strictObject({ records: z.number() })) });
  const cases: [string, RegExp, string | undefined][] = [
    ['{"files":', /^m\.json is not JSON/, undefined],
    ['{"files":[],"files":[]}', /^m\.json: the key "files" occurs twice/, 'files'],
    ['{"files":[{"records":"1"}]}', /^m\.json: files\[0\]\.records: /, 'files[0].records'],
    ['{"files":[],"more":1}', /^m\.json: .*more/, ''],
  ];
  for (const [text, message, field] of cases) {
    const error = t.throws(() => parseJsonDocument(text, schema, 'm.json'), { instanceOf: StillhouseError, message });
    t.is(error?.code, 'INVALID_ARGUMENT');
    t.is(error?.field, field);
  }
  t.throws(() => decodeUtf8(Uint8Array.of(0x22, 0xff), 'm.json'), { message: /m\.json is not UTF-8/ });
});
