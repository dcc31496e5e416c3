/** The number types of weights files, all little-endian, read as float32. */
import { endianness } from 'node:os';
import { bytesOf } from '../base/digest.ts';
import { invariant } from '../base/errors.ts';

/** Under safetensors' names. */
export type NumberType = 'F64' | 'F32' | 'F16' | 'BF16' | 'I64' | 'I32' | 'I16' | 'I8' | 'U8' | 'BOOL';

/** Bytes per number. */
export const NUMBER_BYTES: Readonly<Record<NumberType, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

export function isNumberType(name: string): name is NumberType {
  return Object.hasOwn(NUMBER_BYTES, name);
}

/**
 * The numbers as float32, a copy. Wider types are rounded to the nearest; what is beyond float32's range becomes infinite,
 * which whoever takes finite weights refuses.
 *
 * @param bytes whole numbers of the type, at any alignment
 */
export function readNumbers(type: NumberType, bytes: Uint8Array): Float32Array {
  invariant(endianness() === 'LE', 'typed arrays of this machine are little-endian, as weights files are');
  const values = new Float32Array(bytes.length / NUMBER_BYTES[type]);
  if (type === 'F32') {
    bytesOf(values).set(bytes);
    return values;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const read = READERS[type];
  for (let index = 0; index < values.length; index++) values[index] = read(view, index);
  return values;
}

const READERS: Readonly<Record<Exclude<NumberType, 'F32'>, (view: DataView, index: number) => number>> = {
  F64: (view, index) => view.getFloat64(8 * index, true),
  F16: (view, index) => halfToNumber(view.getUint16(2 * index, true)),
  BF16: (view, index) => bfloatToNumber(view.getUint16(2 * index, true)),
  I64: (view, index) => Number(view.getBigInt64(8 * index, true)),
  I32: (view, index) => view.getInt32(4 * index, true),
  I16: (view, index) => view.getInt16(2 * index, true),
  I8: (view, index) => view.getInt8(index),
  U8: (view, index) => view.getUint8(index),
  BOOL: (view, index) => (view.getUint8(index) === 0 ? 0 : 1),
};

/** IEEE 754 binary16: sign, 5 bits of exponent with bias 15, 10 bits of fraction. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

const floatBits = new Uint32Array(1);
const floatValue = new Float32Array(floatBits.buffer);

/** bfloat16 is the upper half of a float32. */
function bfloatToNumber(bits: number): number {
  floatBits[0] = bits << 16;
  return floatValue[0] as number;
}
