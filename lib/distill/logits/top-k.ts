/**
 * The k largest logits of a row, and the log-sum-exp of the others at the declared temperatures: a softmax at one of these knows
 * the probabilities of the k classes and of all others together.
 */
import { HALVES, halfBits, isFiniteHalf } from '../../base/float16.ts';
import type { LogitsFormat, RowCodec } from './format.ts';
import { softSum } from './log-sum-exp.ts';
import { corruptLogits, requireFiniteLogits, unfitLogit } from './row-errors.ts';

/** In place of a logit that was left out; no kept one is as low. */
export const TAIL = -(2 ** 127);

/** -65,504: kept logits that are lower below the largest are lifted to there, where no softmax sees them. */
const DEEPEST = 0xfbff;
const UINT16_COLUMNS = 65_535;

export const topKRows: RowCodec = {
  rowBytes: (format) => layoutOf(format).width,
  encode(logits, format) {
    const { columns, temperatures } = format;
    requireFiniteLogits(logits, columns);
    const layout = layoutOf(format);
    const bytes = new Uint8Array((logits.length / columns) * layout.width);
    const view = new DataView(bytes.buffer);
    const split = { kept: new Uint32Array(layout.k), others: new Float32Array(columns - layout.k) };
    const heap = new Float32Array(layout.k);
    for (let start = 0, to = 0; start < logits.length; start += columns, to += layout.width) {
      const row = logits.subarray(start, start + columns);
      const largest = splitRow(row, heap, split);
      if (largest <= TAIL)
        throw unfitLogit(start + row.indexOf(largest), columns, largest, 'topK, which begins above it');
      view.setFloat32(to, largest, true);
      for (let index = 0; index < layout.k; index++) {
        const column = split.kept[index] as number;
        const below = halfBits((row[column] as number) - largest);
        view.setUint16(to + layout.values + 2 * index, isFiniteHalf(below) ? below : DEEPEST, true);
        if (layout.indexBytes === 2) view.setUint16(to + layout.indices + 2 * index, column, true);
        else view.setUint32(to + layout.indices + 4 * index, column, true);
      }
      for (const [index, temperature] of temperatures.entries()) {
        view.setFloat32(to + layout.tails + 4 * index, softSum(split.others, temperature), true);
      }
    }
    return bytes;
  },
  decode(bytes, format, where) {
    const { columns, temperatures } = format;
    const layout = layoutOf(format);
    const rows = bytes.length / layout.width;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const logits = new Float32Array(rows * columns).fill(TAIL);
    const values = new Float32Array(rows * temperatures.length);
    for (let row = 0, from = 0; row < rows; row++, from += layout.width) {
      decodeKept(view, from, layout, logits.subarray(row * columns, (row + 1) * columns), { where, row });
      for (let index = 0; index < temperatures.length; index++) {
        const tail = view.getFloat32(from + layout.tails + 4 * index, true);
        if (!Number.isFinite(tail)) {
          throw corruptLogits(where, `row ${row}, column ${columns}: the tail at T=${temperatures[index]} is ${tail}`);
        }
        values[row * temperatures.length + index] = tail;
      }
    }
    return { logits, tails: { temperatures, values } };
  },
};

interface Layout {
  readonly k: number;
  readonly indexBytes: 2 | 4;
  /** Where in a row its parts begin. */
  readonly values: number;
  readonly indices: number;
  readonly tails: number;
  /** Bytes of a row. */
  readonly width: number;
}

function layoutOf({ encoding, columns, temperatures }: LogitsFormat): Layout {
  const k = (encoding as { readonly topK: number }).topK;
  const indexBytes = columns > UINT16_COLUMNS ? 4 : 2;
  const values = 4;
  const indices = values + 2 * k;
  const tails = indices + indexBytes * k;
  return { k, indexBytes, values, indices, tails, width: tails + 4 * temperatures.length };
}

/**
 * Which columns are kept, and the logits of the others, both in the order of the columns. Of equal logits the first are kept.
 * @param heap scratch of k numbers
 * @returns the largest logit
 */
function splitRow(row: Float32Array, heap: Float32Array, split: { kept: Uint32Array; others: Float32Array }): number {
  const k = heap.length;
  fillHeap(row, heap);
  const threshold = heap[0] as number;
  let equal = 0;
  let largest = threshold;
  for (let index = 0; index < k; index++) {
    const value = heap[index] as number;
    if (value === threshold) equal += 1;
    if (value > largest) largest = value;
  }
  const { kept, others } = split;
  let count = 0;
  for (let column = 0; column < row.length; column++) {
    const value = row[column] as number;
    if (value > threshold || (value === threshold && equal > 0)) {
      if (value === threshold) equal -= 1;
      kept[count++] = column;
    } else {
      others[column - count] = value;
    }
  }
  return largest;
}

/** The k largest values as a heap, the least first. */
function fillHeap(row: Float32Array, heap: Float32Array): void {
  const k = heap.length;
  heap.set(row.subarray(0, k));
  for (let index = (k >> 1) - 1; index >= 0; index--) siftDown(heap, index);
  let least = heap[0] as number;
  for (let column = k; column < row.length; column++) {
    const value = row[column] as number;
    if (value <= least) continue;
    heap[0] = value;
    siftDown(heap, 0);
    least = heap[0] as number;
  }
}

function siftDown(heap: Float32Array, from: number): void {
  const value = heap[from] as number;
  let at = from;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && (heap[child + 1] as number) < (heap[child] as number)) child += 1;
    if ((heap[child] as number) >= value) break;
    heap[at] = heap[child] as number;
    at = child;
  }
  heap[at] = value;
}

/** @param logits of the row, all `TAIL` yet */
function decodeKept(
  view: DataView,
  from: number,
  layout: Layout,
  logits: Float32Array,
  { where, row }: { readonly where: string; readonly row: number },
): void {
  const corrupt = (column: number, problem: string) => corruptLogits(where, `row ${row}, column ${column}: ${problem}`);
  const largest = view.getFloat32(from, true);
  if (!Number.isFinite(largest)) throw corrupt(0, `the largest logit is ${largest}`);
  let previous = -1;
  for (let index = 0; index < layout.k; index++) {
    const at = from + layout.indices + layout.indexBytes * index;
    const column = layout.indexBytes === 2 ? view.getUint16(at, true) : view.getUint32(at, true);
    if (column <= previous || column >= logits.length) {
      const range = `${previous + 1}..${logits.length - 1}`;
      throw corrupt(column, `the kept logit ${index} has a column in ${range}`);
    }
    previous = column;
    const below = HALVES[view.getUint16(from + layout.values + 2 * index, true)] as number;
    if (!(below <= 0 && below >= -65_504)) {
      throw corrupt(column, `the logit is ${below} above the largest`);
    }
    const logit = Math.fround(largest + below);
    if (logit <= TAIL) throw corrupt(column, `the logit is ${logit}, as low as what is left out`);
    logits[column] = logit;
  }
}
