/** The one path from a teacher's logits to a student's rows: the same bytes, whether the logits were stored in between or not. */
import test from 'ava';
import type { StillhouseError } from '../../../../lib/base/errors.ts';
import type { Random } from '../../../../lib/base/random.ts';
import { type AnswerPath, answerFromLogits, answerFromStored } from '../../../../lib/distill/logits/answer.ts';
import { columnCount, type StudentColumns, selectColumns } from '../../../../lib/distill/logits/columns.ts';
import {
  decodeRows,
  encodeRows,
  type LogitsEncoding,
  type LogitsFormat,
} from '../../../../lib/distill/logits/format.ts';
import { forCases } from '../../../helpers/property.ts';

const CLASSES = 12;
const ROWS = 5;
const ALL: StudentColumns = { own: [...Array(CLASSES).keys()], dustbin: null };
const SOME: StudentColumns = { own: [7, 0, 3, 5], dustbin: null };
const DUSTBIN: StudentColumns = { own: [2, 1], dustbin: { rest: [0, 3, 4, 5, 6, 7, 8, 9, 10, 11], temperature: 4 } };

const formatOf = (encoding: LogitsEncoding, columns: number): LogitsFormat => ({
  encoding,
  columns,
  temperatures: encoding === 'probabilities' || typeof encoding !== 'string' ? [4] : [],
});

const logitsOf = (random: Random) => Float32Array.from({ length: ROWS * CLASSES }, () => 4 * random.nextNormal());

test('stored and answered is answered, byte for byte', async (t) => {
  await forCases(t, 10, (random) => {
    const full = logitsOf(random);
    for (const columns of [ALL, SOME, DUSTBIN]) {
      for (const sent of ['fp32', 'fp16', 'bf16', 'int8', 'int4', 'probabilities', { topK: 2 }] as const) {
        for (const kept of ['fp32', 'fp16', 'bf16', 'int8', 'int4'] as const) {
          const stored = formatOf(kept, CLASSES);
          const path: AnswerPath = {
            teacherClasses: CLASSES,
            stored,
            columns,
            wire: formatOf(sent, columnCount(columns)),
          };
          const rows = encodeRows(full, stored);
          const answer = answerFromLogits(full, ROWS, path);
          t.deepEqual(answer, answerFromStored(rows, ROWS, path));
          // Any part of the batch is answered by itself as it is within it.
          const [one] = [answerFromStored(rows.subarray(rows.length / ROWS, (2 * rows.length) / ROWS), 1, path)];
          t.deepEqual(one, answer.subarray(answer.length / ROWS, (2 * answer.length) / ROWS));
          t.notThrows(() => decodeRows(answer, ROWS, path.wire, 'a test'));
        }
      }
    }
  });
});

test('without a cache the student’s columns are encoded, and nothing else happens to them', async (t) => {
  await forCases(t, 5, (random) => {
    const full = logitsOf(random);
    for (const columns of [ALL, SOME, DUSTBIN]) {
      const wire = formatOf('fp32', columnCount(columns));
      const answer = answerFromLogits(full, ROWS, { teacherClasses: CLASSES, stored: null, columns, wire });
      t.deepEqual(decodeRows(answer, ROWS, wire, 'a test').logits, selectColumns(full, CLASSES, columns));
    }
  });
});

test('rows that are stored as they are sent are sent as they are stored', async (t) => {
  await forCases(t, 5, (random) => {
    const full = logitsOf(random);
    for (const encoding of ['int8', 'int4', { topK: 3 }] as const) {
      const format = formatOf(encoding, CLASSES);
      const path = { teacherClasses: CLASSES, stored: format, columns: ALL, wire: { ...format } };
      const rows = encodeRows(full, format);
      t.is(answerFromStored(rows, ROWS, path), rows);
      t.deepEqual(answerFromLogits(full, ROWS, path), rows);
    }
  });
});

test('from the largest logits alone no other columns and no other encoding are answered', (t) => {
  const stored = formatOf({ topK: 3 }, CLASSES);
  const rows = encodeRows(
    new Float32Array(CLASSES).map((_, index) => index),
    stored,
  );
  const cases: [StudentColumns, LogitsFormat][] = [
    [SOME, formatOf({ topK: 3 }, 4)],
    [DUSTBIN, formatOf('fp16', 3)],
    [ALL, formatOf('fp16', CLASSES)],
    [ALL, formatOf({ topK: 2 }, CLASSES)],
    [{ own: [...ALL.own].reverse(), dustbin: null }, stored],
  ];
  for (const [columns, wire] of cases) {
    const error = t.throws(() => answerFromStored(rows, 1, { teacherClasses: CLASSES, stored, columns, wire }));
    t.is((error as StillhouseError).code, 'FAILED_PRECONDITION');
    t.is((error as StillhouseError).field, 'distill.cache.encoding');
  }
});

test('stored rows that are broken are refused, naming the row', (t) => {
  const stored = formatOf('fp32', 2);
  const rows = new Uint8Array(Float32Array.of(1, 2, 3, Number.NaN).buffer);
  const path = { teacherClasses: 2, stored, columns: { own: [1], dustbin: null }, wire: formatOf('fp16', 1) };
  t.throws(() => answerFromStored(rows, 2, path), { message: 'stored logits: row 1, column 1: the logit is NaN' });
});
