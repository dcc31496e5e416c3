/** Tensors as JSON: numbers, booleans and strings, nested as the shape says or flat, row-major. */
import { type Datatype, elementCount, parseDatatype, shapeText, tensorError } from './datatypes.ts';
import { fixedValues } from './typed-tensor.ts';
import type { OipTensor, Parameters } from './types.ts';

const BINARY_HINT = 'send it by the binary extension (binary_data_size)';

/**
 * @param data what stood under `data`
 * @param parameters the tensor's own; `content_type: base64` says that the strings of a BYTES tensor are base64, which
 * is how images travel in JSON
 * @throws INVALID_ARGUMENT naming the tensor.
 */
export function tensorFromJson(
  name: string,
  datatype: string,
  shape: readonly number[],
  data: unknown,
  parameters: Parameters,
): OipTensor {
  const type = parseDatatype(datatype, name);
  if (type === 'FP16') throw tensorError(name, 'is FP16, which has no form in JSON', BINARY_HINT);
  const count = elementCount(shape, name);
  const elements = flatten(data, shape, name);
  if (elements.length !== count) {
    throw tensorError(name, `has ${elements.length} elements, expected ${count} for ${type} ${shapeText(shape)}`);
  }
  const unfit = elements.findIndex((element) => !fits(element, type));
  if (unfit >= 0) {
    const found = JSON.stringify(elements[unfit]).slice(0, 40);
    throw tensorError(name, `has element ${unfit} = ${found}, which is no ${type}`);
  }
  if (type === 'BYTES') {
    const isBase64 = parameters.content_type === 'base64';
    const values = elements.map((element, index) => bytesOfText(element as string, isBase64, name, index));
    return { name, datatype: type, shape, values };
  }
  return { name, datatype: type, shape, values: fixedValues(type, elements as (number | boolean)[], name) };
}

function fits(element: unknown, type: Datatype): boolean {
  if (type === 'BYTES') return typeof element === 'string';
  if (type === 'BOOL') return typeof element === 'boolean' || element === 0 || element === 1;
  return typeof element === 'number';
}

function bytesOfText(text: string, isBase64: boolean, name: string, index: number): Uint8Array {
  if (!isBase64) return Buffer.from(text, 'utf8');
  if (/^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0) return Buffer.from(text, 'base64');
  throw tensorError(name, `has element ${index}, which is no base64 although its content_type says so`);
}

/** The elements in order, from a flat list or from lists nested as deep and as long as the shape says. */
function flatten(data: unknown, shape: readonly number[], name: string): readonly unknown[] {
  if (!Array.isArray(data)) throw tensorError(name, 'has no data, expected a list under "data"');
  if (!Array.isArray(data[0])) return data;
  const elements: unknown[] = [];
  const visit = (list: unknown, depth: number) => {
    if (depth === shape.length) {
      elements.push(list);
      return;
    }
    const expected = shape[depth] as number;
    if (!Array.isArray(list)) throw tensorError(name, `has data nested ${depth} deep, its shape ${shapeText(shape)}`);
    if (list.length !== expected) {
      const where = `dimension ${depth} of its shape ${shapeText(shape)}`;
      throw tensorError(name, `has a list of ${list.length} where ${where} expects ${expected}`);
    }
    for (const item of list) visit(item, depth + 1);
  };
  visit(data, 0);
  return elements;
}

/**
 * The flat list under `data`. BYTES become text.
 * @throws INVALID_ARGUMENT for values that JSON cannot hold: the caller has to ask for binary data.
 */
export function jsonOfTensor(tensor: OipTensor): (number | boolean | string)[] {
  const { values, datatype, name } = tensor;
  const refuse = (what: string) => tensorError(name, what, 'ask for it as binary data (binary_data: true)');
  if (!ArrayBuffer.isView(values)) {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    return values.map((element) => {
      try {
        return decoder.decode(element);
      } catch (error) {
        throw refuse(`holds bytes that are no text (${String(error)})`);
      }
    });
  }
  if (datatype === 'BOOL') return Array.from(values as Uint8Array, (value) => value !== 0);
  if (datatype === 'FP16') throw refuse('is FP16, which has no form in JSON');
  const numbers = Array.from(values as ArrayLike<number | bigint>, Number);
  const isFloat = datatype === 'FP32' || datatype === 'FP64';
  const unfit = numbers.findIndex((value) => (isFloat ? !Number.isFinite(value) : !Number.isSafeInteger(value)));
  if (unfit >= 0) throw refuse(`has element ${unfit} = ${values[unfit]}, which JSON cannot hold`);
  return numbers;
}
