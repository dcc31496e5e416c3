import test from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { StillhouseError } from '../../../lib/base/errors.ts';
import {
  type DroppedSamples,
  decodeDropped,
  encodeDropped,
  loadDropped,
  storeDropped,
} from '../../../lib/checkpoint/dropped.ts';
import { createMemoryStore } from '../../../lib/checkpoint/store.ts';
import { between, forCases } from '../../helpers/property.ts';

const datasetDigest = sha256('data');
const DROPPED: DroppedSamples = { datasetDigest, epochs: [Uint32Array.of(0, 7, 2 ** 32 - 1), Uint32Array.of()] };

test('lists survive a round trip', (t) =>
  forCases(t, 100, (random) => {
    const epochs = Array.from({ length: between(random, 0, 5) }, () => {
      const ids = new Set(Array.from({ length: between(random, 0, 40) }, () => random.nextInt(2 ** 32)));
      return Uint32Array.from(ids).sort();
    });
    t.deepEqual(decodeDropped(encodeDropped({ datasetDigest, epochs }), 'it'), { datasetDigest, epochs });
  }));

test('lists are found again by their digest', async (t) => {
  const store = createMemoryStore();
  const digest = await storeDropped(store, DROPPED);
  t.deepEqual(await loadDropped(store, digest), DROPPED);
  const absent = await t.throwsAsync(loadDropped(store, sha256('other')), { instanceOf: StillhouseError });
  t.is(absent?.code, 'NOT_FOUND');
});

const head = (text: string) => new TextEncoder().encode(`${text}\n`);
const bytes = encodeDropped(DROPPED);
const odd = bytes.slice();
odd[odd.length - 8] = 0;
const refused: [string, Uint8Array, RegExp][] = [
  ['nothing', new Uint8Array(0), /first line has no end/],
  ['what is no JSON', head('hello'), /is not JSON/],
  ['what is no text', Uint8Array.of(0xff, 0x0a), /it/],
  [
    'another version',
    head(`{"formatVersion": 2, "datasetDigest": "${datasetDigest}", "idsPerEpoch": []}`),
    /formatVersion/,
  ],
  [
    'an unknown field',
    head(`{"formatVersion": 1, "datasetDigest": "${datasetDigest}", "idsPerEpoch": [], "x": 1}`),
    /x/,
  ],
  ['no digest', head('{"formatVersion": 1, "datasetDigest": "me", "idsPerEpoch": []}'), /datasetDigest/],
  [
    'a negative count',
    head(`{"formatVersion": 1, "datasetDigest": "${datasetDigest}", "idsPerEpoch": [-1]}`),
    /idsPerEpoch/,
  ],
  [
    'a huge count',
    head(`{"formatVersion": 1, "datasetDigest": "${datasetDigest}", "idsPerEpoch": [4000000000]}`),
    /0 bytes of ids/,
  ],
  ['a cut end', bytes.subarray(0, -1), /11 bytes of ids, expected 12/],
  ['ids that do not ascend', odd, /in epoch 1 the id 0 is not above 0/],
];
for (const [what, content, message] of refused) {
  test(`refused as damaged: ${what}`, (t) => {
    const error = t.throws(() => decodeDropped(content, 'it'), { instanceOf: StillhouseError, message });
    t.is(error?.code, 'DATA_LOSS');
    t.true(error?.message.startsWith('it'));
  });
}

test('lists that could not be read back are not written', (t) => {
  const error = t.throws(() => encodeDropped({ datasetDigest, epochs: [Uint32Array.of(3, 3)] }));
  t.regex(error?.message ?? '', /in epoch 1 the id 3 is not above 3/);
});
