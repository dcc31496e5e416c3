/**
 * safetensors, the format in which weights are stored (https://huggingface.co/docs/safetensors): 8 bytes of header length,
 * a JSON header, then the tensors' values without gaps. Everything little-endian. Files come from anywhere, so decoding
 * believes nothing: it allocates only what the file's own length covers.
 */
import { endianness } from 'node:os';
import { bytesOf } from '../base/digest.ts';
import { invariant, StillhouseError } from '../base/errors.ts';
import { canonicalJson } from '../data/canonical-json.ts';
import { decodeUtf8, parseJson } from '../data/json-document.ts';
import { isNumberType, NUMBER_BYTES, type NumberType, readNumbers } from './number-types.ts';

/** A tensor's values in row-major order: `values.length` is the product of `shape`. */
export interface NamedTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export type NamedTensors = ReadonlyMap<string, NamedTensor>;

/** What the header may say beside the tensors. */
export type SafetensorsMetadata = Readonly<Record<string, string>>;

const METADATA_KEY = '__metadata__';
const LENGTH_BYTES = 8;
/** The limit of the reference implementation. */
const HEADER_BYTES_MAX = 100_000_000;
/** Values begin at a multiple of this, so that readers may map them. */
const ALIGNMENT_BYTES = 8;
const VALUE_BYTES_MAX = Math.max(...Object.values(NUMBER_BYTES));
/** More dimensions than any tensor of a model has; keeps error messages short. */
const RANK_MAX = 32;

interface Entry {
  readonly name: string;
  readonly type: NumberType;
  readonly shape: readonly number[];
  /** Offsets into the values that follow the header. */
  readonly begin: number;
  readonly end: number;
}

/** Encodes tensors as F32, sorted by name: equal tensors and metadata give equal bytes, whatever the order of the map. */
export function encodeSafetensors(tensors: NamedTensors, metadata?: SafetensorsMetadata): Uint8Array {
  requireLittleEndian();
  const names = [...tensors.keys()].sort();
  const header: [string, unknown][] = metadata === undefined ? [] : [[METADATA_KEY, metadata]];
  let dataBytes = 0;
  for (const name of names) {
    const { shape, values } = tensors.get(name) as NamedTensor;
    invariant(name !== METADATA_KEY, `a tensor may not be called ${METADATA_KEY}`);
    invariant(sizeOf(shape) === values.length, `tensor ${name} has as many values as its shape [${shape}] says`);
    const end = dataBytes + values.byteLength;
    header.push([name, { dtype: 'F32', shape, data_offsets: [dataBytes, end] }]);
    dataBytes = end;
  }
  // Object.fromEntries defines own properties, also for a tensor that is called `__proto__`.
  const text = new TextEncoder().encode(canonicalJson(Object.fromEntries(header)));
  const headerBytes = Math.ceil(text.length / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
  const bytes = new Uint8Array(LENGTH_BYTES + headerBytes + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.fill(0x20, LENGTH_BYTES, LENGTH_BYTES + headerBytes);
  bytes.set(text, LENGTH_BYTES);
  let offset = LENGTH_BYTES + headerBytes;
  for (const name of names) {
    const { values } = tensors.get(name) as NamedTensor;
    bytes.set(bytesOf(values), offset);
    offset += values.byteLength;
  }
  return bytes;
}

/**
 * Decodes a safetensors file into copies of its tensors as float32, in the order in which they lie in the file.
 *
 * @param where names the file in errors.
 * @returns `types`: what each tensor's numbers are in the file
 * @throws StillhouseError INVALID_ARGUMENT for a malformed file; UNIMPLEMENTED for a tensor of a type that is not read;
 *   `field` is the tensor's name where one is at fault.
 */
export function decodeSafetensors(
  bytes: Uint8Array,
  where: string,
): { tensors: NamedTensors; types: ReadonlyMap<string, NumberType>; metadata: SafetensorsMetadata } {
  const headerBytes = readHeaderLength(bytes, where);
  const header = readHeader(bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + headerBytes), where);
  const data = bytes.subarray(LENGTH_BYTES + headerBytes);
  const entries: Entry[] = [];
  let metadata: SafetensorsMetadata = {};
  for (const [name, value] of Object.entries(header)) {
    if (name === METADATA_KEY) metadata = readMetadata(value, where);
    else entries.push(readEntry(name, value, where));
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  requireSeamless(entries, data.length, where);
  const tensors = new Map<string, NamedTensor>();
  for (const { name, type, shape, begin, end } of entries) {
    tensors.set(name, { shape, values: readNumbers(type, data.subarray(begin, end)) });
  }
  return { tensors, types: new Map(entries.map(({ name, type }) => [name, type])), metadata };
}

function readHeaderLength(bytes: Uint8Array, where: string): number {
  if (bytes.length < LENGTH_BYTES) throw malformed(where, `has ${bytes.length} bytes, too few for a safetensors file`);
  const length = new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length > HEADER_BYTES_MAX) {
    throw malformed(where, `says its header has ${length} bytes, more than the format's limit of ${HEADER_BYTES_MAX}`);
  }
  const available = bytes.length - LENGTH_BYTES;
  if (length > available) throw malformed(where, `says its header has ${length} bytes, but only ${available} follow`);
  return Number(length);
}

function readHeader(bytes: Uint8Array, where: string): Record<string, unknown> {
  const name = `the header of ${where}`;
  if (bytes[0] !== 0x7b) throw malformed(where, 'has a header that does not begin with {');
  // The text begins with { and is JSON, so it is an object.
  return parseJson(decodeUtf8(bytes, name), name) as Record<string, unknown>;
}

function readMetadata(value: unknown, where: string): SafetensorsMetadata {
  if (isRecord(value) && Object.values(value).every((item) => typeof item === 'string')) {
    return value as SafetensorsMetadata;
  }
  throw malformed(where, `has ${METADATA_KEY} that is not an object of strings`, METADATA_KEY);
}

function readEntry(name: string, value: unknown, where: string): Entry {
  const refuse = (problem: string) => malformed(where, `has a tensor ${quote(name)} ${problem}`, name);
  if (!isRecord(value)) throw refuse('that is not described by an object');
  const { dtype, shape, data_offsets: offsets, ...rest } = value;
  const unknownKey = Object.keys(rest)[0];
  if (unknownKey !== undefined) throw refuse(`with the unknown key ${quote(unknownKey)}`);
  if (typeof dtype !== 'string') throw refuse('without a dtype');
  if (!isNumberType(dtype)) {
    throw new StillhouseError('UNIMPLEMENTED', `${where}: tensor ${quote(name)} is of type ${quote(dtype)}`, {
      field: name,
      hint: `read are ${Object.keys(NUMBER_BYTES).join(', ')}: convert the file to float32`,
    });
  }
  if (!isSizes(shape)) throw refuse('whose shape is not a short list of whole numbers');
  if (!isSizes(offsets) || offsets.length !== 2) throw refuse('whose data_offsets are not two whole numbers');
  const [begin, end] = offsets as [number, number];
  const size = sizeOf(shape);
  if (size === undefined) throw refuse(`whose shape [${shape}] is too large`);
  const needed = size * NUMBER_BYTES[dtype];
  if (end - begin !== needed) {
    throw refuse(`whose shape [${shape}] takes ${needed} bytes, but its data_offsets span ${end - begin}`);
  }
  return { name, type: dtype, shape, begin, end };
}

/** Sorted entries must tile the data: then none overlap, none lie outside, and nothing is hidden between them. */
function requireSeamless(entries: readonly Entry[], dataBytes: number, where: string): void {
  let covered = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== covered) {
      const problem = begin < covered ? 'overlaps the tensor before it' : 'leaves a gap before it';
      throw malformed(where, `has a tensor ${quote(name)} at ${begin} that ${problem}`, name);
    }
    if (end > dataBytes) {
      throw malformed(where, `has a tensor ${quote(name)} that ends at ${end} of ${dataBytes} bytes`, name);
    }
    covered = end;
  }
  if (covered !== dataBytes) throw malformed(where, `has ${dataBytes - covered} bytes after its last tensor`);
}

/** The product of a shape, or undefined when it is beyond what a number holds exactly. */
function sizeOf(shape: readonly number[]): number | undefined {
  let size = 1;
  for (const length of shape) size *= length;
  return Number.isSafeInteger(size * VALUE_BYTES_MAX) ? size : undefined;
}

function isSizes(value: unknown): value is number[] {
  return (
    Array.isArray(value) && value.length <= RANK_MAX && value.every((item) => Number.isSafeInteger(item) && item >= 0)
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** For messages: whatever the file calls it, shortened. */
function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

function malformed(where: string, problem: string, tensor?: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', `${where} ${problem}`, tensor === undefined ? {} : { field: tensor });
}

function requireLittleEndian(): void {
  invariant(endianness() === 'LE', 'typed arrays of this machine are little-endian, as the format is');
}
