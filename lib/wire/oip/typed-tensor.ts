/** Tensors as gRPC's typed contents: one repeated field per family of datatypes. */
import type { InferTensorContents, InferTensorContents__Output } from '../generated/inference/InferTensorContents.ts';
import { type Datatype, elementCount, FIXED_TYPES, parseDatatype, shapeText, tensorError } from './datatypes.ts';
import type { OipTensor } from './types.ts';

type ContentsField = Exclude<keyof InferTensorContents__Output, symbol>;

/** Which field holds which datatype; FP16 has none. */
const FIELD_OF: Readonly<Record<Exclude<Datatype, 'FP16'>, ContentsField>> = {
  BOOL: 'boolContents',
  UINT8: 'uintContents',
  UINT16: 'uintContents',
  UINT32: 'uintContents',
  UINT64: 'uint64Contents',
  INT8: 'intContents',
  INT16: 'intContents',
  INT32: 'intContents',
  INT64: 'int64Contents',
  FP32: 'fp32Contents',
  FP64: 'fp64Contents',
  BYTES: 'bytesContents',
};

const FIELDS = [...new Set(Object.values(FIELD_OF))];

export function hasElements(contents: InferTensorContents__Output): boolean {
  return FIELDS.some((field) => contents[field].length > 0);
}

/** @throws INVALID_ARGUMENT naming the tensor. */
export function tensorFromContents(
  name: string,
  datatype: string,
  shape: readonly number[],
  contents: InferTensorContents__Output,
): OipTensor {
  const type = parseDatatype(datatype, name);
  if (type === 'FP16') throw tensorError(name, 'is FP16, which has no typed contents', 'send it as raw contents');
  const field = FIELD_OF[type];
  const stray = FIELDS.find((other) => other !== field && contents[other].length > 0);
  if (stray !== undefined) {
    throw tensorError(name, `is ${type}, whose elements belong in ${snakeCase(field)}, not ${snakeCase(stray)}`);
  }
  const elements = contents[field];
  const count = elementCount(shape, name);
  if (elements.length !== count) {
    throw tensorError(name, `has ${elements.length} elements, expected ${count} for ${type} ${shapeText(shape)}`);
  }
  if (type === 'BYTES') return { name, datatype: type, shape, values: contents.bytesContents };
  return { name, datatype: type, shape, values: fixedValues(type, elements as (number | boolean)[], name) };
}

/** The inverse of `tensorFromContents`. @throws INVALID_ARGUMENT for FP16, which has no typed contents */
export function contentsOfTensor({ name, datatype, values }: OipTensor): InferTensorContents {
  if (datatype === 'FP16') throw tensorError(name, 'is FP16, which has no typed contents', 'send it as raw contents');
  return { [FIELD_OF[datatype]]: Array.from<number | bigint | Uint8Array>(values) };
}

/**
 * Numbers as a typed array, refusing those that the type cannot hold.
 * @throws INVALID_ARGUMENT naming the tensor and the element.
 */
export function fixedValues(
  type: Exclude<Datatype, 'BYTES' | 'FP16'>,
  elements: readonly (number | boolean)[],
  name: string,
): OipTensor['values'] {
  const bad = (index: number, what: string) => tensorError(name, `has element ${index} = ${elements[index]}, ${what}`);
  if (type === 'FP32') return Float32Array.from(elements, Number);
  if (type === 'FP64') return Float64Array.from(elements, Number);
  if (type === 'BOOL') return Uint8Array.from(elements, Number);
  if (type === 'INT64' || type === 'UINT64') {
    const unfit = elements.findIndex((element) => !Number.isSafeInteger(Number(element)));
    if (unfit >= 0) throw bad(unfit, 'beyond the whole numbers that survive here; send it as raw bytes');
    const negative = type === 'UINT64' ? elements.findIndex((element) => Number(element) < 0) : -1;
    if (negative >= 0) throw bad(negative, 'out of the range of UINT64');
    return type === 'INT64' ? BigInt64Array.from(elements, BigInt) : BigUint64Array.from(elements, BigInt);
  }
  const values = new FIXED_TYPES[type](elements.length);
  elements.forEach((element, index) => {
    values[index] = Number(element);
  });
  const changed = elements.findIndex((element, index) => Number(element) !== values[index]);
  if (changed >= 0) throw bad(changed, `out of the range of ${type}`);
  return values;
}

/** The field's name as the proto writes it. */
function snakeCase(field: string): string {
  return field.replace(/(?<=[a-z0-9])[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
