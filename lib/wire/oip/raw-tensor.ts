/**
 * Tensors as raw bytes: little-endian, row-major, no padding; elements of BYTES are each preceded by their length as a
 * 32-bit number. gRPC's raw contents and the binary extension of REST both use this form.
 */
import { endianness } from 'node:os';
import { bytesOf } from '../../base/digest.ts';
import { invariant } from '../../base/errors.ts';
import { elementCount, fixedType, parseDatatype, shapeText, tensorError } from './datatypes.ts';
import type { OipTensor } from './types.ts';

/** Typed arrays lie in memory as the machine counts, and the wire is little-endian. */
function requireLittleEndian(): void {
  invariant(endianness() === 'LE', 'the processor is little-endian');
}

/**
 * @param datatype as it came; checked here
 * @param raw may lie anywhere; the values share its memory where the alignment allows it
 * @throws INVALID_ARGUMENT naming the tensor, when the bytes are not what datatype and shape say.
 */
export function tensorFromRaw(name: string, datatype: string, shape: readonly number[], raw: Uint8Array): OipTensor {
  const type = parseDatatype(datatype, name);
  const count = elementCount(shape, name);
  if (type === 'BYTES') return { name, datatype: type, shape, values: splitBytes(raw, count, name) };
  requireLittleEndian();
  const array = fixedType(type);
  const expected = count * array.BYTES_PER_ELEMENT;
  if (raw.byteLength !== expected) {
    throw tensorError(name, `has ${raw.byteLength} bytes, expected ${expected} for ${type} ${shapeText(shape)}`);
  }
  const aligned = raw.byteOffset % array.BYTES_PER_ELEMENT === 0 ? raw : Uint8Array.from(raw);
  return { name, datatype: type, shape, values: new array(aligned.buffer, aligned.byteOffset, count) };
}

/** The inverse of `tensorFromRaw`; without a copy for types of fixed size. */
export function rawOfTensor(tensor: OipTensor): Uint8Array {
  const { values } = tensor;
  checkCount(tensor);
  if (!ArrayBuffer.isView(values)) return joinBytes(values);
  requireLittleEndian();
  return bytesOf(values);
}

/** A tensor that a server of ours makes; a wrong count is our own fault. */
function checkCount(tensor: OipTensor): void {
  const count = elementCount(tensor.shape, tensor.name);
  invariant(
    tensor.values.length === count,
    `tensor ${tensor.name} ${shapeText(tensor.shape)} holds ${count} values, not ${tensor.values.length}`,
  );
}

function splitBytes(raw: Uint8Array, count: number, name: string): Uint8Array[] {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const elements: Uint8Array[] = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    if (at + 4 > raw.byteLength) throw tensorError(name, `ends after ${index} of ${count} BYTES elements`);
    const length = view.getUint32(at, true);
    at += 4;
    if (at + length > raw.byteLength) {
      const left = raw.byteLength - at;
      throw tensorError(name, `is cut short: element ${index} should have ${length} bytes, ${left} are left`);
    }
    elements.push(raw.subarray(at, at + length));
    at += length;
  }
  if (at !== raw.byteLength) {
    throw tensorError(name, `has ${raw.byteLength - at} bytes more than its ${count} BYTES elements`);
  }
  return elements;
}

function joinBytes(elements: readonly Uint8Array[]): Uint8Array {
  const joined = Buffer.allocUnsafe(elements.reduce((sum, element) => sum + 4 + element.byteLength, 0));
  let at = 0;
  for (const element of elements) {
    at = joined.writeUInt32LE(element.byteLength, at);
    joined.set(element, at);
    at += element.byteLength;
  }
  return joined;
}

const encoder = new TextEncoder();

/** A BYTES tensor of texts. */
export function textTensor(name: string, texts: readonly string[]): OipTensor {
  return { name, datatype: 'BYTES', shape: [texts.length], values: texts.map((text) => encoder.encode(text)) };
}

/** Texts of a BYTES tensor. */
export function textValues(tensor: OipTensor): string[] {
  invariant(!ArrayBuffer.isView(tensor.values), `tensor ${tensor.name} is BYTES`);
  const decoder = new TextDecoder();
  return tensor.values.map((element) => decoder.decode(element));
}
