/** Raw logits as whole numbers on a scale of the row's own: from its least logit in even steps to its largest. */
import type { LogitsFormat, RowCodec, TeacherLogits } from './format.ts';
import { corruptLogits, requireFiniteLogits, unfitLogit } from './row-errors.ts';

/** The least logit and the step. */
const SCALE_BYTES = 8;

export const int8Rows = scaledRows(8);
export const int4Rows = scaledRows(4);

function scaledRows(bits: 8 | 4): RowCodec {
  const levels = 2 ** bits - 1;
  const packed = ({ columns }: LogitsFormat) => SCALE_BYTES + (bits === 8 ? columns : Math.ceil(columns / 2));
  return {
    rowBytes: packed,
    encode(logits, format) {
      const { columns } = format;
      requireFiniteLogits(logits, columns);
      const width = packed(format);
      const bytes = new Uint8Array((logits.length / columns) * width);
      const view = new DataView(bytes.buffer);
      for (let start = 0, to = 0; start < logits.length; start += columns, to += width) {
        const { least, step } = scaleOf(logits, start, columns, levels);
        view.setFloat32(to, least, true);
        view.setFloat32(to + 4, step, true);
        const row = logits.subarray(start, start + columns);
        const into = bytes.subarray(to + SCALE_BYTES, to + width);
        if (bits === 8) toBytes(row, least, step, into);
        else toHalfBytes(row, least, step, into);
      }
      return bytes;
    },
    decode(bytes, format, where): TeacherLogits {
      const { columns } = format;
      const width = packed(format);
      const rows = bytes.length / width;
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      const logits = new Float32Array(rows * columns);
      for (let row = 0; row < rows; row++) {
        const from = row * width;
        const least = view.getFloat32(from, true);
        const step = view.getFloat32(from + 4, true);
        if (!(step >= 0 && isFiniteScale(least, step, levels))) {
          throw corruptLogits(
            where,
            `row ${row}: the scale from ${least} in steps of ${step} is none (columns 0..${columns - 1})`,
          );
        }
        const into = logits.subarray(row * columns, (row + 1) * columns);
        const packedRow = bytes.subarray(from + SCALE_BYTES, from + width);
        if (bits === 8) fromBytes(packedRow, least, step, into);
        else fromHalfBytes(packedRow, least, step, into);
      }
      return { logits, tails: null };
    },
  };
}

/** A row of equal logits has no step: the division is not a number, and that as a whole number 0. */
function stepsTo(logit: number, least: number, step: number): number {
  return ((logit - least) / step + 0.5) | 0;
}

function toBytes(row: Float32Array, least: number, step: number, into: Uint8Array): void {
  for (let column = 0; column < row.length; column++) {
    const steps = stepsTo(row[column] as number, least, step);
    into[column] = steps > 255 ? 255 : steps;
  }
}

function fromBytes(bytes: Uint8Array, least: number, step: number, into: Float32Array): void {
  for (let column = 0; column < into.length; column++) into[column] = least + (bytes[column] as number) * step;
}

/** Of two in a byte the first has the lower four bits. */
function toHalfBytes(row: Float32Array, least: number, step: number, into: Uint8Array): void {
  for (let column = 0; column < row.length; column++) {
    const nearest = stepsTo(row[column] as number, least, step);
    const steps = nearest > 15 ? 15 : nearest;
    if (column % 2 === 0) into[column >> 1] = steps;
    else into[column >> 1] = (into[column >> 1] as number) | (steps << 4);
  }
}

function fromHalfBytes(bytes: Uint8Array, least: number, step: number, into: Float32Array): void {
  for (let column = 0; column < into.length; column++) {
    const byte = bytes[column >> 1] as number;
    into[column] = least + (column % 2 === 0 ? byte & 15 : byte >> 4) * step;
  }
}

function scaleOf(logits: Float32Array, start: number, columns: number, levels: number) {
  let least = logits[start] as number;
  let largest = least;
  let at = start;
  for (let index = start + 1; index < start + columns; index++) {
    const value = logits[index] as number;
    if (value < least) least = value;
    if (value > largest) {
      largest = value;
      at = index;
    }
  }
  const step = Math.fround((largest - least) / levels);
  if (!isFiniteScale(least, step, levels)) throw unfitLogit(at, columns, largest, `a scale from ${least} on`);
  return { least, step };
}

/** Whether single precision holds the scale's end too. */
function isFiniteScale(least: number, step: number, levels: number): boolean {
  return Number.isFinite(least) && Number.isFinite(Math.fround(least + levels * step));
}
