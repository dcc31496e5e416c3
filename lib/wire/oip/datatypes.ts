/** The protocol's datatypes: how their elements lie in memory, and how many a shape holds. */
import { StillhouseError } from '../../base/errors.ts';

/**
 * One per element for the fixed-size types (FP16 as its bits, BOOL as 0 or 1); one byte string per element for BYTES.
 */
export type TensorValues =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array
  | readonly Uint8Array[];

type FixedArray = Exclude<TensorValues, readonly Uint8Array[]>;

interface FixedArrayType {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): FixedArray;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): FixedArray;
}

/** The types of fixed size. */
export const FIXED_TYPES = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const satisfies Record<string, FixedArrayType>;

export type FixedDatatype = keyof typeof FIXED_TYPES;
export type Datatype = FixedDatatype | 'BYTES';

/** More elements than this cannot be meant: they would not fit into any message that we take. */
const ELEMENTS_MAX = 2 ** 31 - 1;
/** No model of ours has more dimensions than a few; a long list is an attack on whoever multiplies them. */
const DIMENSIONS_MAX = 16;

export function fixedType(datatype: FixedDatatype): FixedArrayType {
  return FIXED_TYPES[datatype];
}

export function isDatatype(text: string): text is Datatype {
  return text === 'BYTES' || Object.hasOwn(FIXED_TYPES, text);
}

/** @throws INVALID_ARGUMENT naming the tensor. */
export function parseDatatype(text: string, tensor: string): Datatype {
  if (isDatatype(text)) return text;
  const known = [...Object.keys(FIXED_TYPES), 'BYTES'].join(', ');
  throw tensorError(tensor, `has the datatype "${text}", expected one of ${known}`);
}

/**
 * Elements that a shape holds; the empty shape holds one.
 * @throws INVALID_ARGUMENT naming the tensor, for negative, broken or absurdly large dimensions.
 */
export function elementCount(shape: readonly number[], tensor: string): number {
  if (shape.length > DIMENSIONS_MAX) {
    throw tensorError(tensor, `has ${shape.length} dimensions, expected at most ${DIMENSIONS_MAX}`);
  }
  let count = 1;
  let largest = 1;
  for (const dimension of shape) {
    if (!Number.isInteger(dimension) || dimension < 0) {
      throw tensorError(tensor, `has the shape ${shapeText(shape)}, expected whole numbers that are not negative`);
    }
    count *= dimension;
    largest *= Math.max(dimension, 1);
    if (largest > ELEMENTS_MAX) {
      throw tensorError(tensor, `has the shape ${shapeText(shape)}, more than ${ELEMENTS_MAX} elements`);
    }
  }
  return count;
}

export function shapeText(shape: readonly number[]): string {
  return `[${shape.join(',')}]`;
}

/** What is wrong with one tensor: `what` continues the sentence that starts with its name. */
export function tensorError(tensor: string, what: string, hint?: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', `tensor "${tensor}" ${what}`, {
    field: tensor,
    ...(hint === undefined ? {} : { hint }),
  });
}
