/**
 * From a teacher's logits to what is sent to a student: the one path, whoever takes it, so that what a student learns from does
 * not depend on whether the logits were stored in between, nor on who has read them.
 */
import { StillhouseError } from '../../base/errors.ts';
import { areAllColumns, type StudentColumns, selectColumns } from './columns.ts';
import { decodeRows, encodeRows, hasTails, isSameFormat, type LogitsFormat } from './format.ts';

export interface AnswerPath {
  /** Outputs of the teacher. */
  readonly teacherClasses: number;
  /** How logits are stored before they are answered; null where they are not. */
  readonly stored: LogitsFormat | null;
  /** What of the teacher's outputs the student gets. */
  readonly columns: StudentColumns;
  /** How its rows are sent. */
  readonly wire: LogitsFormat;
}

/**
 * @param full all logits of the teacher, row-major [rows, teacherClasses]
 * @returns rows in `path.wire`
 * @throws as `encodeRows` and `answerFromStored` do
 */
export function answerFromLogits(full: Float32Array, rows: number, path: AnswerPath): Uint8Array {
  if (path.stored !== null) return answerFromStored(encodeRows(full, path.stored), rows, path);
  return encodeRows(selectColumns(full, path.teacherClasses, path.columns), path.wire);
}

/**
 * @param stored rows in `path.stored`
 * @returns rows in `path.wire`; the same as `answerFromLogits` of the logits that have been stored
 * @throws DATA_LOSS where the rows are not what they should be; FAILED_PRECONDITION where only the largest logits are stored, and
 *   the student needs others
 */
export function answerFromStored(stored: Uint8Array, rows: number, path: AnswerPath): Uint8Array {
  const { teacherClasses, columns, wire } = path;
  const format = path.stored as LogitsFormat;
  if (isSameFormat(format, wire) && areAllColumns(columns, teacherClasses)) return stored;
  if (hasTails(format)) {
    const message =
      'only the largest logits are cached, and the student needs other classes of the teacher or another encoding';
    throw new StillhouseError('FAILED_PRECONDITION', message, {
      field: 'distill.cache.encoding',
      hint: 'cache raw logits, e.g. int8, or give the student all classes of the teacher and distill.logits the same topK',
    });
  }
  const { logits } = decodeRows(stored, rows, format, 'stored logits');
  return encodeRows(selectColumns(logits, teacherClasses, columns), wire);
}
