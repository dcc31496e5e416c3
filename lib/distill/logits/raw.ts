/** Raw logits, each by itself. */
import { bfloatBits, HALVES, halfBits, isFiniteBfloat, isFiniteHalf } from '../../base/float16.ts';
import type { RowCodec } from './format.ts';
import { corruptLogit, requireFiniteLogits, unfitLogit } from './row-errors.ts';

export const fp32Rows: RowCodec = {
  rowBytes: ({ columns }) => 4 * columns,
  encode(logits, { columns }) {
    requireFiniteLogits(logits, columns);
    return new Uint8Array(logits.slice().buffer);
  },
  decode(bytes, { columns }, where) {
    const logits = new Float32Array(new Uint8Array(bytes).buffer);
    for (let at = 0; at < logits.length; at++) {
      const value = logits[at] as number;
      if (value - value !== 0) throw corruptLogit(where, at, columns, `the logit is ${value}`);
    }
    return { logits, tails: null };
  },
};

export const fp16Rows: RowCodec = {
  rowBytes: ({ columns }) => 2 * columns,
  encode(logits, { columns }) {
    requireFiniteLogits(logits, columns);
    const halves = new Uint16Array(logits.length);
    for (let start = 0; start < logits.length; start += columns) {
      const unfit = toHalves(logits, start, start + columns, halves);
      if (unfit >= 0) throw unfitLogit(unfit, columns, logits[unfit] as number, 'fp16, which ends at 65504');
    }
    return new Uint8Array(halves.buffer);
  },
  decode(bytes, { columns }, where) {
    const halves = new Uint16Array(new Uint8Array(bytes).buffer);
    const logits = new Float32Array(halves.length);
    for (let start = 0; start < logits.length; start += columns) {
      const corrupt = fromHalves(halves, start, start + columns, logits);
      if (corrupt >= 0)
        throw corruptLogit(where, corrupt, columns, `the logit is ${HALVES[halves[corrupt] as number]}`);
    }
    return { logits, tails: null };
  },
};

export const bf16Rows: RowCodec = {
  rowBytes: ({ columns }) => 2 * columns,
  encode(logits, { columns }) {
    requireFiniteLogits(logits, columns);
    const bits = new Int32Array(logits.buffer, logits.byteOffset, logits.length);
    const upper = new Uint16Array(logits.length);
    for (let start = 0; start < logits.length; start += columns) {
      const unfit = toBfloats(bits, start, start + columns, upper);
      if (unfit >= 0) throw unfitLogit(unfit, columns, logits[unfit] as number, 'bf16, which ends at 3.39e38');
    }
    return new Uint8Array(upper.buffer);
  },
  decode(bytes, { columns }, where) {
    const upper = new Uint16Array(new Uint8Array(bytes).buffer);
    const logits = new Float32Array(upper.length);
    const bits = new Int32Array(logits.buffer);
    for (let start = 0; start < logits.length; start += columns) {
      const corrupt = fromBfloats(upper, start, start + columns, bits);
      if (corrupt >= 0) throw corruptLogit(where, corrupt, columns, `the logit is ${logits[corrupt]}`);
    }
    return { logits, tails: null };
  },
};

// For a row each: functions that are called often are compiled after a few rows, a loop over all of them late and anew.

/** @returns where the first logit stands that does not fit; -1 where all do */
function toHalves(logits: Float32Array, from: number, to: number, halves: Uint16Array): number {
  for (let at = from; at < to; at++) {
    const bits = halfBits(logits[at] as number);
    if (!isFiniteHalf(bits)) return at;
    halves[at] = bits;
  }
  return -1;
}

/** @returns where the first half stands that is not finite; -1 where all are */
function fromHalves(halves: Uint16Array, from: number, to: number, logits: Float32Array): number {
  for (let at = from; at < to; at++) {
    const bits = halves[at] as number;
    if (!isFiniteHalf(bits)) return at;
    logits[at] = HALVES[bits] as number;
  }
  return -1;
}

/** @param bits of the logits @returns where the first logit stands that does not fit; -1 where all do */
function toBfloats(bits: Int32Array, from: number, to: number, upper: Uint16Array): number {
  for (let at = from; at < to; at++) {
    const rounded = bfloatBits(bits[at] as number);
    if (!isFiniteBfloat(rounded)) return at;
    upper[at] = rounded;
  }
  return -1;
}

/** @param bits of the logits @returns where the first logit stands that is not finite; -1 where all are */
function fromBfloats(upper: Uint16Array, from: number, to: number, bits: Int32Array): number {
  for (let at = from; at < to; at++) {
    bits[at] = (upper[at] as number) << 16;
    if (!isFiniteBfloat(upper[at] as number)) return at;
  }
  return -1;
}
