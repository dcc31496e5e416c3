/**
 * MATLAB's Level 5 MAT-file: numeric arrays in it, found by name and read without taking the file into memory. After "MAT-File Format"
 * (The MathWorks): a header of 128 bytes, then data elements, each an array or an array packed with zlib.
 */
import { StillhouseError } from '../../base/errors.ts';
import { canUnpackTo, inflateHead, inflateToFile, type PackedRange } from './inflate.ts';
import { SourceFile } from './source-file.ts';
import { damagedSource } from './source-options.ts';

const HEADER_BYTES = 128;
const TAG_BYTES = 8;
const VERSION = 0x0100;
const TYPE_MATRIX = 14;
const TYPE_COMPRESSED = 15;
const TYPE_INT8 = 1;
const TYPE_INT32 = 5;
const TYPE_UINT32 = 6;
/** Flags, a few dimensions and the name of an array stand before its values; names have at most 63 characters. */
const ARRAY_HEAD_BYTES = 1024;
const DIMENSIONS_MAX = 8;
/** A file with more elements than this is no data set of images. */
const ELEMENTS_MAX = 1000;
const FLAG_COMPLEX = 0x0800;

/** How the values of an array may be stored, whatever the class of the array: MATLAB stores them as small as they fit. */
const NUMBERS: Readonly<Record<number, { readonly bytes: number; readonly get: keyof DataView }>> = {
  1: { bytes: 1, get: 'getInt8' },
  2: { bytes: 1, get: 'getUint8' },
  3: { bytes: 2, get: 'getInt16' },
  4: { bytes: 2, get: 'getUint16' },
  5: { bytes: 4, get: 'getInt32' },
  6: { bytes: 4, get: 'getUint32' },
  7: { bytes: 4, get: 'getFloat32' },
  9: { bytes: 8, get: 'getFloat64' },
};
export const STORED_UINT8 = 2;

/** Classes 6 to 13 are numbers: double, single, and integers of 8 to 32 bits. */
const CLASS_FIRST = 6;
const CLASS_LAST = 13;

/** A numeric array, as its head describes it. */
export interface MatArray {
  readonly name: string;
  /** The first one is the fastest in storage. */
  readonly dimensions: readonly number[];
  /** Product of the dimensions. */
  readonly count: number;
  /** How its values are stored: a type number of the format. */
  readonly storedAs: number;
  /** Where its element begins in the file. */
  readonly elementOffset: number;
  /** From the beginning of the element, unpacked. */
  readonly valuesOffset: number;
  /** The whole element, unpacked, with its tag. */
  readonly elementBytes: number;
  readonly packed: PackedRange | null;
}

/** The stored bytes of an array, at any offset from its first value. */
export interface MatValues {
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

export class MatFile {
  readonly location: string;
  readonly #file: SourceFile;
  readonly #littleEndian: boolean;
  readonly #arrays: readonly MatArray[];

  private constructor(file: SourceFile, littleEndian: boolean, arrays: readonly MatArray[]) {
    this.location = file.location;
    this.#file = file;
    this.#littleEndian = littleEndian;
    this.#arrays = arrays;
  }

  /**
   * @throws StillhouseError INVALID_ARGUMENT for another version of the format; DATA_LOSS, naming the offset, when elements are
   *   cut off, overlap or cannot be unpacked; FAILED_PRECONDITION when the file is not at hand.
   */
  static async open(location: string): Promise<MatFile> {
    const file = await SourceFile.open(location);
    try {
      const littleEndian = await readHeader(file);
      return new MatFile(file, littleEndian, await readArrays(file, littleEndian));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** @throws StillhouseError DATA_LOSS when there is none of the name. */
  array(name: string): MatArray {
    const found = this.#arrays.find((array) => array.name === name);
    if (found !== undefined) return found;
    const names = this.#arrays.map((array) => array.name).join(', ');
    throw damagedSource(this.location, `holds no numeric array ${name}, only ${names === '' ? 'other things' : names}`);
  }

  /**
   * The values of a small array as numbers, in the order of storage.
   * @throws StillhouseError DATA_LOSS when they cannot be unpacked.
   */
  async numbers(array: MatArray, scratch: string): Promise<Float64Array> {
    const { bytes, get } = NUMBERS[array.storedAs] as (typeof NUMBERS)[number];
    const values = await this.openValues(array, scratch);
    try {
      const stored = await values.read(0, array.count * bytes);
      const view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength);
      const getNumber = view[get] as (offset: number, littleEndian: boolean) => number;
      return new Float64Array(array.count).map((_, at) => getNumber.call(view, at * bytes, this.#littleEndian));
    } finally {
      await values.close();
    }
  }

  /** Opens the values for reading; packed ones are unpacked to a file in `scratch`. The file must stay open meanwhile. */
  async openValues(array: MatArray, scratch: string): Promise<MatValues> {
    if (array.packed === null) {
      const start = array.elementOffset + array.valuesOffset;
      return { read: (offset, length) => this.#file.read(start + offset, length), close: async () => undefined };
    }
    const unpacked = await inflateToFile(array.packed, array.elementBytes, scratch);
    return {
      read: (offset, length) => unpacked.read(array.valuesOffset + offset, length),
      close: () => unpacked.close(),
    };
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** @returns whether numbers are little-endian. */
async function readHeader(file: SourceFile): Promise<boolean> {
  const refuse = (what: string, hint: string) => {
    throw new StillhouseError('INVALID_ARGUMENT', `${file.location} ${what}`, { field: file.location, hint });
  };
  const header = await file.read(0, Math.min(HEADER_BYTES, file.bytes));
  const text = Buffer.from(header).toString('latin1');
  if (text.startsWith('MATLAB 7.3') || text.startsWith('\x89HDF')) {
    refuse("is MATLAB's version 7.3, which is HDF5", "save it with MATLAB's option -v7, or with scipy.io.savemat");
  }
  const order = text.slice(126, 128);
  if (order !== 'IM' && order !== 'MI') {
    refuse(
      `is no MAT-file of version 5: expected the letters IM or MI at offset 126`,
      "fetch the file again, or save it with MATLAB's option -v7",
    );
  }
  const littleEndian = order === 'IM';
  const version = new DataView(header.buffer).getUint16(124, littleEndian);
  if (version !== VERSION) {
    refuse(`is a MAT-file of version 0x${version.toString(16)}, expected 0x100`, "save it with MATLAB's option -v7");
  }
  return littleEndian;
}

/** All numeric arrays of the file; elements must fill it to the last byte. */
async function readArrays(file: SourceFile, littleEndian: boolean): Promise<MatArray[]> {
  const arrays: MatArray[] = [];
  let offset = HEADER_BYTES;
  for (let element = 0; offset < file.bytes; element++) {
    if (element === ELEMENTS_MAX) throw damagedSource(file.location, `holds more than ${ELEMENTS_MAX} elements`);
    if (file.bytes - offset < TAG_BYTES) {
      throw damagedSource(file.location, `ends with ${file.bytes - offset} bytes at offset ${offset}: no element`);
    }
    const tag = await file.read(offset, TAG_BYTES);
    const [type, length] = words(tag, littleEndian) as [number, number];
    const end = offset + TAG_BYTES + length;
    if ((type !== TYPE_MATRIX && type !== TYPE_COMPRESSED) || length === 0) {
      throw damagedSource(file.location, `holds an element of type ${type} and ${length} bytes at offset ${offset}`);
    }
    if (end > file.bytes) {
      throw damagedSource(
        file.location,
        `ends at offset ${file.bytes}, within the element at ${offset} that ends at ${end}`,
      );
    }
    const packed: PackedRange | null =
      type === TYPE_COMPRESSED
        ? { location: file.location, packing: 'zlib', offset: offset + TAG_BYTES, length }
        : null;
    const head =
      packed === null
        ? await file.read(offset, Math.min(ARRAY_HEAD_BYTES, TAG_BYTES + length))
        : await inflateHead(packed, ARRAY_HEAD_BYTES);
    const array = new ArrayHead(head, littleEndian, file.location, offset).parse(packed);
    if (array !== null) arrays.push(array);
    offset = end;
  }
  return arrays;
}

/** The beginning of one array element, unpacked: subelements up to the tag of its values. */
class ArrayHead {
  readonly #head: Uint8Array;
  readonly #littleEndian: boolean;
  readonly #location: string;
  readonly #elementOffset: number;
  #at = TAG_BYTES;

  constructor(head: Uint8Array, littleEndian: boolean, location: string, elementOffset: number) {
    this.#head = head;
    this.#littleEndian = littleEndian;
    this.#location = location;
    this.#elementOffset = elementOffset;
  }

  /** @returns null for what is no plain array of numbers: text, cells, structures, complex or sparse ones. */
  parse(packed: PackedRange | null): MatArray | null {
    if (this.#head.length < TAG_BYTES) throw this.#damaged('is cut off');
    const [type, length] = words(this.#head.subarray(0, TAG_BYTES), this.#littleEndian) as [number, number];
    if (type !== TYPE_MATRIX) throw this.#damaged(`unpacks to type ${type}, expected an array`);
    const elementBytes = TAG_BYTES + length;
    if (packed !== null && !canUnpackTo(packed.length, elementBytes)) {
      throw this.#damaged(`announces ${elementBytes} bytes, more than its ${packed.length} packed ones can hold`);
    }
    const flags = this.#subelement(TYPE_UINT32, 'flags');
    if (flags.length !== 8) throw this.#damaged(`has flags of ${flags.length} bytes, expected 8`);
    const flagWord = words(flags, this.#littleEndian)[0] as number;
    const arrayClass = flagWord & 0xff;
    if (arrayClass < CLASS_FIRST || arrayClass > CLASS_LAST || (flagWord & FLAG_COMPLEX) !== 0) return null;
    const dimensions = this.#dimensions();
    const name = Buffer.from(this.#subelement(TYPE_INT8, 'name')).toString('latin1');
    const values = this.#tag();
    const count = dimensions.reduce((product, dimension) => product * dimension, 1);
    const number = NUMBERS[values.type];
    if (number === undefined) throw this.#damaged(`(${name}) stores its values as type ${values.type}`);
    if (values.length !== count * number.bytes) {
      throw this.#damaged(
        `(${name}) has the shape [${dimensions}] and ${values.length} bytes of values, expected ${count * number.bytes}`,
      );
    }
    const valuesOffset = values.start;
    if (valuesOffset + values.length > elementBytes) throw this.#damaged(`(${name}) is shorter than its values`);
    const elementOffset = this.#elementOffset;
    return { name, dimensions, count, storedAs: values.type, elementOffset, valuesOffset, elementBytes, packed };
  }

  #dimensions(): number[] {
    const stored = this.#subelement(TYPE_INT32, 'dimensions');
    const dimensions = words(stored, this.#littleEndian);
    if (dimensions.length < 2 || dimensions.length > DIMENSIONS_MAX || stored.length % 4 !== 0) {
      throw this.#damaged(`has dimensions of ${stored.length} bytes, expected 8 to ${4 * DIMENSIONS_MAX}`);
    }
    if (dimensions.some((dimension) => dimension > 0x7fffffff)) throw this.#damaged('has a negative dimension');
    return dimensions;
  }

  /** The data of the next subelement, which must be in the head as a whole. */
  #subelement(type: number, what: string): Uint8Array {
    const tag = this.#tag();
    if (tag.type !== type) throw this.#damaged(`has type ${tag.type} in place of its ${what}, expected ${type}`);
    if (tag.start + tag.length > this.#head.length) throw this.#damaged(`has ${what} of ${tag.length} bytes`);
    return this.#head.subarray(tag.start, tag.start + tag.length);
  }

  /** A tag of 8 bytes, data after it, padded to 8; or, up to 4 bytes of data, length and type in one word and the data after it. */
  #tag(): { type: number; length: number; start: number } {
    if (this.#at + TAG_BYTES > this.#head.length) throw this.#damaged('is cut off');
    const tag = this.#head.subarray(this.#at, this.#at + TAG_BYTES);
    const [first, second] = words(tag, this.#littleEndian) as [number, number];
    const shortLength = first >>> 16;
    if (shortLength > 4) throw this.#damaged(`has a short subelement of ${shortLength} bytes, expected at most 4`);
    const isShort = shortLength > 0;
    const start = this.#at + (isShort ? 4 : TAG_BYTES);
    const length = isShort ? shortLength : second;
    this.#at = isShort ? this.#at + TAG_BYTES : start + Math.ceil(length / 8) * 8;
    return { type: isShort ? first & 0xffff : first, length, start };
  }

  #damaged(what: string): StillhouseError {
    return damagedSource(this.#location, `: the element at offset ${this.#elementOffset} ${what}`);
  }
}

function words(bytes: Uint8Array, littleEndian: boolean): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, at) => view.getUint32(4 * at, littleEndian));
}
