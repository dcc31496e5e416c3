/**
 * Seeded randomness. Everything random in a job is a pure function of the job's seed and of what it is for, so that a run
 * can be repeated on any number of machines. Ids that only have to be unique come from `uniqueId`.
 */
import { randomBytes } from 'node:crypto';

/** A source of uniform 32-bit numbers. */
export interface Random {
  /** Uniform integer in [0, 2^32). */
  nextUint32(): number;
  /** Uniform in [0, 1), 32 bits of resolution. */
  nextFloat(): number;
  /** Uniform integer in [0, bound), free of modulo bias (Lemire 2019, arXiv:1805.10941, by rejection). */
  nextInt(bound: number): number;
  /** Standard normal (Marsaglia's polar method). */
  nextNormal(): number;
}

/** Mixes any number of 32-bit words into one (murmur3's finaliser over a running hash). */
export function mixSeeds(...words: readonly number[]): number {
  let hash = 0x9e3779b9;
  for (const word of words) {
    hash = Math.imul(hash ^ (word >>> 0), 0x85ebca6b);
    hash ^= hash >>> 13;
    hash = Math.imul(hash, 0xc2b2ae35);
    hash = (hash ^ (hash >>> 16)) + 0x9e3779b9;
  }
  return hash >>> 0;
}

/** A 32-bit hash of a string (FNV-1a), to give every name its own stream. */
export function hashName(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** xoshiro128** (Blackman and Vigna 2018), seeded through splitmix32 of the mixed words. */
export function createRandom(...seeds: readonly number[]): Random {
  let mix = mixSeeds(...seeds);
  const seedWord = () => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let word = mix;
    word = Math.imul(word ^ (word >>> 16), 0x21f0aaad);
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
    return (word ^ (word >>> 15)) >>> 0;
  };
  let a = seedWord();
  let b = seedWord();
  let c = seedWord();
  let d = seedWord();
  const rotate = (value: number, bits: number) => (value << bits) | (value >>> (32 - bits));
  const nextUint32 = () => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9);
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotate(d, 11);
    return result >>> 0;
  };
  const nextFloat = () => nextUint32() / 0x1_0000_0000;
  const nextInt = (bound: number) => {
    const limit = 0x1_0000_0000 - (0x1_0000_0000 % bound);
    for (;;) {
      const value = nextUint32();
      if (value < limit) return value % bound;
    }
  };
  let spare: number | undefined;
  const nextNormal = () => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    for (;;) {
      const x = 2 * nextFloat() - 1;
      const y = 2 * nextFloat() - 1;
      const square = x * x + y * y;
      if (square === 0 || square >= 1) continue;
      const factor = Math.sqrt((-2 * Math.log(square)) / square);
      spare = y * factor;
      return x * factor;
    }
  };
  return { nextUint32, nextFloat, nextInt, nextNormal };
}

/** Shuffles in place (Fisher–Yates). */
export function shuffle<T extends { length: number; [index: number]: number }>(values: T, random: Random): T {
  for (let last = values.length - 1; last > 0; last--) {
    const other = random.nextInt(last + 1);
    const held = values[last] as number;
    values[last] = values[other] as number;
    values[other] = held;
  }
  return values;
}

/** A short id that is unique for all practical purposes; not seeded, never used for anything a job computes. */
export function uniqueId(prefix: string): string {
  return `${prefix}-${randomBytes(5).toString('hex')}`;
}
