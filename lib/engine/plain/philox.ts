/**
 * TensorFlow's StatelessRandomUniform in JavaScript, bit for bit: the counter-based generator Philox 4x32-10 (Salmon et al.
 * 2011, "Parallel random numbers: as easy as 1, 2, 3"), keyed as tensorflow/core/kernels/stateless_random_ops.cc does it.
 */

type Four = [number, number, number, number];

const ROUNDS = 10;
const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57] as const;
/** What is added to the key from round to round. */
const WEYL = [0x9e3779b9, 0xbb67ae85] as const;
/** The key by which TensorFlow mixes the seed before it becomes key and counter. */
const SCRAMBLE = [0x3ec8f720, 0x02461e29] as const;
const MANTISSA_BITS = 23;

/** @param seed two int32 @returns numbers in [0, 1), float32 */
export function statelessUniform(seed: readonly [number, number], count: number): Float32Array {
  // The seed's numbers as 64-bit ones, low words first.
  const [a, b] = seed;
  const mixed = philox([a, a >> 31, b, b >> 31], SCRAMBLE);
  const key = [mixed[0], mixed[1]] as const;
  const values = new Float32Array(count);
  for (let start = 0; start < count; start += 4) {
    const words = philox([start / 4, 0, mixed[2], mixed[3]], key);
    for (let index = start; index < Math.min(start + 4, count); index++) {
      const mantissa = (words[index - start] as number) & (2 ** MANTISSA_BITS - 1);
      values[index] = mantissa / 2 ** MANTISSA_BITS;
    }
  }
  return values;
}

function philox(counter: Readonly<Four>, key: readonly [number, number]): Four {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = highProduct(MULTIPLIERS[0], c0);
    const high1 = highProduct(MULTIPLIERS[1], c2);
    [c0, c1, c2, c3] = [high1 ^ c1 ^ k0, Math.imul(MULTIPLIERS[1], c2), high0 ^ c3 ^ k1, Math.imul(MULTIPLIERS[0], c0)];
    k0 = (k0 + WEYL[0]) | 0;
    k1 = (k1 + WEYL[1]) | 0;
  }
  return [c0, c1, c2, c3];
}

/** The upper 32 bits of the product of two unsigned words. */
function highProduct(a: number, b: number): number {
  const [a1, a0, b1, b0] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const lower = a0 * b1 + (middle & 0xffff);
  return a1 * b1 + (middle >>> 16) + (lower >>> 16);
}
