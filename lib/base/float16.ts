/** IEEE 754 half precision and bfloat16, rounded to nearest even. */

/** All bits of the exponent: infinity, and with more bits no number. */
const HALF_INFINITY = 0x7c00;
const SIGN = 0x8000;

const scratch = new Float32Array(1);
const scratchBits = new Int32Array(scratch.buffer);

/** 2^-14 in single precision: halves below it are multiples of 2^-24. */
const LEAST_NORMAL = 0x38800000;
/** 65,520 in single precision, the least that rounds to infinity. */
const OVERFLOW = 0x477ff000;
const INFINITY = 0x7f800000;
/** What the exponent of single precision is more than that of half precision, in place. */
const EXPONENT_SHIFT = (127 - 15) << 23;

/** The bits of the nearest half; those of infinity above the largest one, 65,504. */
export function halfBits(value: number): number {
  scratch[0] = value;
  const bits = scratchBits[0] as number;
  const sign = (bits >>> 16) & SIGN;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= OVERFLOW) return sign | (magnitude > INFINITY ? HALF_INFINITY + 1 : HALF_INFINITY);
  if (magnitude < LEAST_NORMAL) {
    // Beside 0.5, single precision has steps of 2^-24: the addition rounds as wanted.
    scratchBits[0] = magnitude;
    scratch[0] = (scratch[0] as number) + 0.5;
    return sign | ((scratchBits[0] as number) - 0x3f000000);
  }
  const isOdd = (magnitude >>> 13) & 1;
  return sign | ((magnitude - EXPONENT_SHIFT + 0xfff + isOdd) >>> 13);
}

/** The value of every half, by its bits. */
export const HALVES = Float32Array.from({ length: 0x10000 }, (_, bits) => {
  const fraction = bits & 0x3ff;
  const exponent = (bits >>> 10) & 0x1f;
  const sign = bits & SIGN ? -1 : 1;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
});

/** @param halves bits */
export function floatsOfHalves(halves: Uint16Array): Float32Array {
  return Float32Array.from(halves, (bits) => HALVES[bits] as number);
}

/** @param bits of a half */
export function isFiniteHalf(bits: number): boolean {
  return (bits & HALF_INFINITY) !== HALF_INFINITY;
}

/** The upper half of a finite float's bits, rounded to nearest even; may round to infinity. @param bits of the float */
export function bfloatBits(bits: number): number {
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** @param bits of a bfloat16 */
export function isFiniteBfloat(bits: number): boolean {
  return (bits & 0x7f80) !== 0x7f80;
}
