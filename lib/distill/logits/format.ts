/**
 * How logits are written, on the wire and in the cache: rows of a fixed number of bytes, little-endian, one after the other.
 *
 * | encoding        | a row                                                                                             |
 * |-----------------|---------------------------------------------------------------------------------------------------|
 * | `fp32`          | the logits in single precision                                                                    |
 * | `fp16`, `bf16`  | the logits, rounded to nearest even; what does not fit is refused, never saturated                |
 * | `int8`, `int4`  | the least logit and the step in single precision, then each logit's whole number of steps above it |
 * | `topK`          | the largest logit in single precision; how far each kept one is below it, in half precision; their classes, ascending, in 16 bits (32 above 65,535 columns); for each temperature T the others' T·log Σ exp(z / T) in single precision |
 * | `probabilities` | the softmax at T in half precision                                                                |
 */
import { invariant } from '../../base/errors.ts';
import { probabilityRows } from './probabilities.ts';
import { bf16Rows, fp16Rows, fp32Rows } from './raw.ts';
import { corruptLogits } from './row-errors.ts';
import { int4Rows, int8Rows } from './scaled.ts';
import { topKRows } from './top-k.ts';

/**
 * `probabilities`: the softmax at one temperature. `topK`: the k largest logits and, for each declared temperature, the
 * log-sum-exp of the others. Everything else is raw logits.
 */
export type LogitsEncoding = 'fp32' | 'fp16' | 'bf16' | 'int8' | 'int4' | 'probabilities' | { readonly topK: number };

export interface LogitsFormat {
  readonly encoding: LogitsEncoding;
  /** Logits of a row. `topK` keeps fewer than that. */
  readonly columns: number;
  /** Ascending: for `topK` those at which the tail is told, at least one; for `probabilities` the one T; else none. */
  readonly temperatures: readonly number[];
}

export interface TeacherLogits {
  /** Row-major [rows, columns]; `TAIL` where `topK` has left a logit out. */
  readonly logits: Float32Array;
  /** Null where all logits are there. */
  readonly tails: Tails | null;
}

/** What is known of the logits that `topK` has left out. */
export interface Tails {
  /** Ascending. */
  readonly temperatures: readonly number[];
  /** T·log Σ exp(z / T) over the logits z that were left out, row-major [rows, temperatures]. */
  readonly values: Float32Array;
}

/** One way of writing rows. */
export interface RowCodec {
  rowBytes(format: LogitsFormat): number;
  encode(logits: Float32Array, format: LogitsFormat): Uint8Array;
  /** @param bytes of whole rows */
  decode(bytes: Uint8Array, format: LogitsFormat, where: string): TeacherLogits;
}

const CODECS: Readonly<Record<Extract<LogitsEncoding, string> | 'topK', RowCodec>> = {
  fp32: fp32Rows,
  fp16: fp16Rows,
  bf16: bf16Rows,
  int8: int8Rows,
  int4: int4Rows,
  probabilities: probabilityRows,
  topK: topKRows,
};

function codecOf({ encoding }: LogitsFormat): RowCodec {
  return CODECS[typeof encoding === 'string' ? encoding : 'topK'];
}

/** Whether rows tell only their largest logits, and of the others the tails. */
export function hasTails({ encoding }: LogitsFormat): boolean {
  return typeof encoding !== 'string';
}

export function isSameFormat(one: LogitsFormat, other: LogitsFormat): boolean {
  const kind = ({ encoding }: LogitsFormat) => (typeof encoding === 'string' ? encoding : encoding.topK);
  return (
    kind(one) === kind(other) &&
    one.columns === other.columns &&
    one.temperatures.length === other.temperatures.length &&
    one.temperatures.every((temperature, index) => temperature === other.temperatures[index])
  );
}

/** Bytes of a row. */
export function rowBytes(format: LogitsFormat): number {
  return codecOf(format).rowBytes(format);
}

/**
 * @param logits row-major [rows, columns]
 * @throws DATA_LOSS for a logit that is not finite, FAILED_PRECONDITION for one that the encoding cannot hold; both name row
 *   and column
 */
export function encodeRows(logits: Float32Array, format: LogitsFormat): Uint8Array {
  invariant(logits.length % format.columns === 0, 'logits come in whole rows');
  return codecOf(format).encode(logits, format);
}

/**
 * @param where the bytes come from, for messages
 * @throws DATA_LOSS for another length, and for what no row can hold: a value that is not finite, a class that does not exist,
 *   probabilities that do not add up; names row and column
 */
export function decodeRows(bytes: Uint8Array, rows: number, format: LogitsFormat, where: string): TeacherLogits {
  const expected = rows * rowBytes(format);
  if (bytes.length !== expected) {
    throw corruptLogits(where, `expected ${expected} bytes for ${rows} rows of ${format.columns}, got ${bytes.length}`);
  }
  return codecOf(format).decode(bytes, format, where);
}
