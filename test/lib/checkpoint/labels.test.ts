import test, { type ExecutionContext } from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { type ErrorCode, StillhouseError } from '../../../lib/base/errors.ts';
import type { Random } from '../../../lib/base/random.ts';
import {
  decodeLabels,
  encodeLabels,
  type LabelsTable,
  loadLabels,
  rowOf,
  storeLabels,
} from '../../../lib/checkpoint/labels.ts';
import { createFolderStore, createMemoryStore } from '../../../lib/checkpoint/store.ts';
import { encodeSafetensors, type NamedTensor } from '../../../lib/model/safetensors.ts';
import { between, forCases } from '../../helpers/property.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const TABLE: LabelsTable = {
  datasetDigest: sha256('data'),
  teacherDigest: sha256('teacher'),
  ids: Uint32Array.of(2, 5, 9),
  classes: 2,
  logits: Float32Array.of(0.5, -1, 3, -0, 1e30, 2 ** -149),
};

function randomTable(random: Random): LabelsTable {
  const chosen = new Set<number>();
  for (let left = between(random, 1, 60); left > 0; left--)
    chosen.add(random.nextInt(random.nextInt(2) ? 90 : 2 ** 24));
  const ids = Uint32Array.from(chosen).sort();
  const classes = between(random, 1, 12);
  const logits = Float32Array.from({ length: ids.length * classes }, () => 20 * random.nextNormal());
  return { ...TABLE, ids, classes, logits };
}

test('tables survive a round trip bit for bit, and every sample finds its row', (t) =>
  forCases(t, 100, (random) => {
    const table = randomTable(random);
    const decoded = decodeLabels(encodeLabels(table), 'labels');
    t.deepEqual(decoded, table);
    const rows = new Map(Array.from(table.ids, (id, row) => [id, row]));
    for (let id = 0; id < 100; id++) t.is(rowOf(decoded, id), rows.get(id) ?? -1);
    for (const [id, row] of rows) {
      t.is(rowOf(decoded, id), row);
      t.is(rowOf(decoded, id + 1), rows.get(id + 1) ?? -1);
    }
  }));

test('a table is found again by its digest, the same for the same answers', async (t) => {
  const digests = new Set<string>();
  for (const store of [createMemoryStore(), createFolderStore(await tempFolder(t))]) {
    const digest = await storeLabels(store, TABLE);
    t.deepEqual(await loadLabels(store, digest), TABLE);
    digests.add(digest);
    const absent = await t.throwsAsync(loadLabels(store, sha256('other')), { instanceOf: StillhouseError });
    t.is(absent?.code, 'NOT_FOUND');
  }
  t.is(digests.size, 1);
  const other = await storeLabels(createMemoryStore(), { ...TABLE, teacherDigest: sha256('another') });
  t.false(digests.has(other));
});

function refuses(t: ExecutionContext, attempt: () => unknown, code: ErrorCode, message: RegExp): void {
  const error = t.throws(attempt, { instanceOf: StillhouseError });
  t.is(error?.code, code, String(error));
  t.regex(error?.message ?? '', message);
}

test('what would not be read again is not written', (t) => {
  const refused = (change: Partial<LabelsTable>, message: RegExp) =>
    refuses(t, () => encodeLabels({ ...TABLE, ...change }), 'INVALID_ARGUMENT', message);
  const highest = { ...TABLE, ids: Uint32Array.of(2, 5, 2 ** 24 - 1) };
  t.deepEqual(decodeLabels(encodeLabels(highest), 'labels'), highest);
  refused({ ids: Uint32Array.of(2, 5, 2 ** 24) }, /id 16777216 is not below 16777216/);
  refused({ ids: Uint32Array.of(2, 5, 5) }, /ids\[2\] is 5, which is not above 5/);
  refused({ ids: Uint32Array.of(5, 2, 9) }, /ids\[1\] is 2, which is not above 5/);
  refused({ ids: new Uint32Array(0), logits: new Float32Array(0) }, /0 ids and 2 classes/);
  refused({ classes: 0, logits: new Float32Array(0) }, /3 ids and 0 classes/);
  refused({ classes: 3 }, /6 logits, expected 3 x 3/);
  refused({ logits: Float32Array.of(0, 1, 2, Number.NaN, 4, 5) }, /sample 5 for class 1 is NaN/);
  refused({ logits: Float32Array.of(0, 1, 2, 3, Number.NEGATIVE_INFINITY, 5) }, /sample 9 for class 0 is -Infinity/);
  refused({ datasetDigest: 'sha256:7' }, /datasetDigest is "sha256:7"/);
  refused({ teacherDigest: '' }, /teacherDigest is ""/);
});

test('damage is refused with the name of the object and what is wrong', (t) => {
  const metadata = { datasetDigest: TABLE.datasetDigest, teacherDigest: TABLE.teacherDigest, formatVersion: '1' };
  const ids: NamedTensor = { shape: [3], values: Float32Array.of(2, 5, 9) };
  const logits: NamedTensor = { shape: [3, 2], values: TABLE.logits };
  const whole = { ids, logits };
  const bytesOf = (tensors: Record<string, NamedTensor>, changes: Record<string, string> = {}) =>
    encodeSafetensors(new Map(Object.entries(tensors)), { ...metadata, ...changes });
  t.deepEqual(decodeLabels(bytesOf(whole), 'labels'), TABLE);
  const refused = (bytes: Uint8Array, message: RegExp) => {
    refuses(t, () => decodeLabels(bytes, 'labels seven'), 'DATA_LOSS', message);
    refuses(t, () => decodeLabels(bytes, 'labels seven'), 'DATA_LOSS', /labels seven/);
  };
  const withIds = (...values: number[]) => ({ ...whole, ids: { shape: [3], values: Float32Array.from(values) } });
  refused(new TextEncoder().encode('nothing'), /too few for a safetensors file/);
  refused(bytesOf(whole).subarray(0, -1), /ends at/);
  refused(bytesOf(whole, { formatVersion: '2' }), /formatVersion is 2, expected 1/);
  refused(encodeSafetensors(new Map(Object.entries(whole))), /formatVersion is missing/);
  refused(bytesOf(whole, { datasetDigest: 'x' }), /datasetDigest is "x"/);
  refused(bytesOf(whole, { teacherDigest: 'sha256:' }), /teacherDigest is "sha256:"/);
  refused(bytesOf(whole, { note: 'hello' }), /note does not belong/);
  refused(bytesOf({ ...whole, extra: ids }), /extra does not belong/);
  refused(bytesOf({ ids }), /tensor logits is missing/);
  refused(bytesOf({ logits }), /tensor ids is missing/);
  refused(bytesOf({ ...whole, ids: { shape: [3, 1], values: ids.values } }), /ids of \[3,1\] and logits of \[3,2\]/);
  refused(bytesOf({ ...whole, logits: { shape: [6], values: logits.values } }), /logits of \[6\]/);
  refused(
    bytesOf({ ...whole, logits: { shape: [2, 3], values: logits.values } }),
    /ids of \[3\] and logits of \[2,3\]/,
  );
  refused(bytesOf(withIds(2, 5.5, 9)), /ids\[1\] is 5.5, expected a whole number/);
  refused(bytesOf(withIds(-2, 5, 9)), /ids\[0\] is -2/);
  refused(bytesOf(withIds(2, 5, Number.NaN)), /ids\[2\] is NaN/);
  refused(bytesOf(withIds(2, 9, 5)), /ids\[2\] is 5, which is not above 9/);
  refused(bytesOf(withIds(2, 5, 2 ** 24)), /ids\[2\] is 16777216, expected a whole number below 16777216/);
  refused(bytesOf(withIds(2, 5, 2 ** 40 + 2 ** 20)), /ids\[2\] is 1099512676352/);
  const broken = Float32Array.of(0, 1, 2, 3, 4, Number.POSITIVE_INFINITY);
  refused(bytesOf({ ...whole, logits: { shape: [3, 2], values: broken } }), /sample 9 for class 1 is Infinity/);
  const narrow = new TextDecoder('latin1').decode(bytesOf(whole)).replace('"F32","shape":[3]', '"I32","shape":[3]');
  refused(
    Uint8Array.from(narrow, (letter) => letter.charCodeAt(0)),
    /tensor ids is of type I32, expected F32/,
  );
});
