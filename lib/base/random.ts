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
  return new Xoshiro128(mixSeeds(...seeds));
}

/** A class: views make several of them for every image, and four closures each cost more than the numbers drawn. */
class Xoshiro128 implements Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;
  #spare: number | undefined;

  constructor(seed: number) {
    this.#a = splitmix(seed, 1);
    this.#b = splitmix(seed, 2);
    this.#c = splitmix(seed, 3);
    this.#d = splitmix(seed, 4);
  }

  nextUint32(): number {
    const result = Math.imul(rotate(Math.imul(this.#b, 5), 7), 9);
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = rotate(this.#d, 11);
    return result >>> 0;
  }

  nextFloat(): number {
    return this.nextUint32() / 0x1_0000_0000;
  }

  nextInt(bound: number): number {
    for (;;) {
      const value = this.nextUint32();
      // Hardly ever is it so large that the remainder has to be known, which takes longer than all the rest.
      if (value <= 0x1_0000_0000 - bound || value < 0x1_0000_0000 - (0x1_0000_0000 % bound)) return value % bound;
    }
  }

  nextNormal(): number {
    if (this.#spare !== undefined) {
      const value = this.#spare;
      this.#spare = undefined;
      return value;
    }
    for (;;) {
      const x = 2 * this.nextFloat() - 1;
      const y = 2 * this.nextFloat() - 1;
      const square = x * x + y * y;
      if (square === 0 || square >= 1) continue;
      const factor = Math.sqrt((-2 * Math.log(square)) / square);
      this.#spare = y * factor;
      return x * factor;
    }
  }
}

/** The step-th number of splitmix32. */
function splitmix(seed: number, step: number): number {
  let word = seed + Math.imul(step, 0x9e3779b9);
  word = Math.imul(word ^ (word >>> 16), 0x21f0aaad);
  word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
  return (word ^ (word >>> 15)) >>> 0;
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

type Shuffled = { length: number; [index: number]: number };

/** Shuffles in place (Fisher–Yates). */
export function shuffle<T extends Shuffled>(values: T, random: Random): T {
  return shuffleEnd(values, values.length, random);
}

/** Brings to the last `count` places, in place, what `shuffle` brings there; the others hold the rest in some order. */
export function shuffleEnd<T extends Shuffled>(values: T, count: number, random: Random): T {
  const first = Math.max(1, values.length - count);
  for (let last = values.length - 1; last >= first; last--) {
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
