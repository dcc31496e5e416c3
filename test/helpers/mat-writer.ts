/** MATLAB's Level 5 MAT-files, written by the specification: in both byte orders, packed or not. */
import { deflateSync } from 'node:zlib';

const UINT8 = 2;
const DOUBLE_CLASS = 6;
const UINT8_CLASS = 9;

export interface MatOptions {
  readonly littleEndian?: boolean;
  readonly packed?: boolean;
}

export class MatWriter {
  readonly #littleEndian: boolean;
  readonly #packed: boolean;

  constructor({ littleEndian = true, packed = false }: MatOptions = {}) {
    this.#littleEndian = littleEndian;
    this.#packed = packed;
  }

  /** The header and the elements given. */
  file(...elements: readonly Buffer[]): Buffer {
    const header = Buffer.alloc(128, ' ');
    header.write('MATLAB 5.0 MAT-file');
    header.fill(0, 116, 124);
    const order = this.#littleEndian ? [0x00, 0x01, 0x49, 0x4d] : [0x01, 0x00, 0x4d, 0x49];
    header.set(order, 124);
    return Buffer.concat([header, ...elements]);
  }

  /** An array stored as bytes, of class uint8 or, as MATLAB does with labels, double. */
  bytes(name: string, dimensions: readonly number[], values: Uint8Array, isDouble = false): Buffer {
    const parts = [
      this.#element(6, this.words(isDouble ? DOUBLE_CLASS : UINT8_CLASS, 0)),
      this.#element(5, this.words(...dimensions)),
      this.#element(1, Buffer.from(name)),
      this.#element(UINT8, values),
    ];
    return this.top(14, Buffer.concat(parts));
  }

  /** An element as it stands in the file. */
  top(type: number, data: Uint8Array): Buffer {
    const element = Buffer.concat([this.words(type, data.length), data]);
    return this.#packed ? this.packed(element) : element;
  }

  packed(element: Uint8Array): Buffer {
    const bytes = deflateSync(element);
    return Buffer.concat([this.words(15, bytes.length), bytes]);
  }

  words(...values: readonly number[]): Buffer {
    const bytes = Buffer.alloc(4 * values.length);
    for (const [at, value] of values.entries()) {
      if (this.#littleEndian) bytes.writeUInt32LE(value, 4 * at);
      else bytes.writeUInt32BE(value, 4 * at);
    }
    return bytes;
  }

  /** Up to four bytes go into the short form, everything else is padded to eight. */
  #element(type: number, data: Uint8Array): Buffer {
    const isShort = data.length > 0 && data.length <= 4;
    const head = isShort ? this.words(data.length * 0x10000 + type) : this.words(type, data.length);
    const padded = Buffer.alloc(isShort ? 4 : Math.ceil(data.length / 8) * 8);
    padded.set(data);
    return Buffer.concat([head, padded]);
  }
}
