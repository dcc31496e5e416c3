import test, { type ExecutionContext } from 'ava';
import { sha256 } from '../../../lib/base/digest.ts';
import { type ErrorCode, StillhouseError } from '../../../lib/base/errors.ts';
import type { Random } from '../../../lib/base/random.ts';
import {
  answersFor,
  answersOf,
  decodeLabels,
  encodeLabels,
  type LabelsTable,
  loadLabels,
  requireLabels,
  storeLabels,
} from '../../../lib/checkpoint/labels.ts';
import { createFolderStore, createMemoryStore } from '../../../lib/checkpoint/store.ts';
import { between, forCases } from '../../helpers/property.ts';
import { tempFolder } from '../../helpers/temp-folder.ts';

const TABLE: LabelsTable = {
  datasetDigest: sha256('data'),
  teacherDigest: sha256('teacher'),
  classes: 3,
  ids: Uint32Array.of(2, 5, 2 ** 32 - 2),
  answers: Uint16Array.of(2, 0, 1),
};

function randomTable(random: Random): LabelsTable {
  const chosen = new Set<number>();
  for (let left = between(random, 1, 60); left > 0; left--) {
    chosen.add(random.nextInt(2) === 1 ? random.nextInt(90) : random.nextUint32());
  }
  const ids = Uint32Array.from(chosen).sort();
  const classes = random.nextInt(2) === 1 ? between(random, 1, 12) : between(random, 65_530, 65_545);
  const answers = answersFor(ids.length, classes).map(() => random.nextInt(classes));
  return { ...TABLE, ids, classes, answers };
}

test('tables survive a round trip bit for bit, and every sample finds its answer', (t) =>
  forCases(t, 100, (random) => {
    const table = randomTable(random);
    const decoded = decodeLabels(encodeLabels(table), 'labels');
    t.deepEqual(decoded, table);
    const answers = new Map(Array.from(table.ids, (id, row) => [id, table.answers[row]]));
    const answer = answersOf(decoded);
    for (const id of [...Array(100).keys(), ...table.ids, ...table.ids.map((each) => each + 1)]) {
      const expected = answers.get(id);
      if (expected === undefined) t.throws(() => answer(id), { message: new RegExp(`lack the image ${id}$`) });
      else t.is(answer(id), expected);
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

test('labels of other data or other classes are refused', (t) => {
  const expected = { datasetDigest: TABLE.datasetDigest, classes: TABLE.classes };
  requireLabels(TABLE, 'L', expected);
  const refused = (change: Partial<typeof expected>, message: RegExp) =>
    refuses(t, () => requireLabels(TABLE, 'L', { ...expected, ...change }), 'FAILED_PRECONDITION', message);
  refused({ datasetDigest: sha256('x') }, /labels L are of data set sha256:.*, expected sha256:/);
  refused({ classes: 4 }, /number of classes is 3, expected 4/);
});

test('what would not be read again is not written', (t) => {
  const refused = (change: Partial<LabelsTable>, message: RegExp) =>
    refuses(t, () => encodeLabels({ ...TABLE, ...change }), 'INVALID_ARGUMENT', message);
  refused({ ids: Uint32Array.of(2, 5, 5) }, /ids\[2\] is 5, which is not above 5/);
  refused({ ids: Uint32Array.of(5, 2, 9) }, /ids\[1\] is 2, which is not above 5/);
  refused({ ids: new Uint32Array(0), answers: new Uint16Array(0) }, /0 ids and 3 classes/);
  refused({ classes: 0 }, /3 ids and 0 classes/);
  refused({ answers: new Uint16Array(2) }, /2 answers, expected 3/);
  refused({ classes: 2 }, /answer to sample 2 is class 2, expected 0 to 1/);
  refused({ datasetDigest: 'sha256:7' }, /datasetDigest is "sha256:7"/);
  refused({ teacherDigest: '' }, /teacherDigest is ""/);
});

test('damage is refused with the name of the object and what is wrong', (t) => {
  const whole = encodeLabels(TABLE);
  const headerEnd = 4 + new DataView(whole.buffer, whole.byteOffset).getUint32(0, true);
  const refused = (bytes: Uint8Array, message: RegExp) => {
    refuses(t, () => decodeLabels(bytes, 'labels seven'), 'DATA_LOSS', message);
    refuses(t, () => decodeLabels(bytes, 'labels seven'), 'DATA_LOSS', /labels seven/);
  };
  const withHeader = (change: (text: string) => string) => {
    const header = Buffer.from(change(Buffer.from(whole.subarray(4, headerEnd)).toString()));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(header.length);
    return Buffer.concat([length, header, whole.subarray(headerEnd)]);
  };
  t.deepEqual(
    decodeLabels(
      withHeader((text) => text),
      'labels',
    ),
    TABLE,
  );
  refused(new Uint8Array(3), /3 bytes, too few/);
  refused(new TextEncoder().encode('nothing of the kind'), /says its header has \d+ bytes/);
  refused(
    withHeader(() => 'nothing'),
    /is not JSON/,
  );
  refused(
    withHeader((text) => text.replace('"formatVersion":2', '"formatVersion":1')),
    /formatVersion/,
  );
  refused(
    withHeader((text) => text.replace('sha256:', 'sha255:')),
    /datasetDigest: expected sha256:/,
  );
  refused(
    withHeader((text) => text.replace('{', '{"note":1,')),
    /note/,
  );
  refused(
    withHeader((text) => text.replace('"samples":3', '"samples":4')),
    /18 bytes of values, expected 24/,
  );
  refused(
    withHeader((text) => text.replace('"classes":3', '"classes":2')),
    /answer to sample 2 is class 2/,
  );
  refused(whole.subarray(0, -1), /17 bytes of values, expected 18/);
  const swapped = Uint8Array.from(whole);
  swapped[headerEnd] = 7;
  refused(swapped, /ids\[1\] is 5, which is not above 7/);
});
