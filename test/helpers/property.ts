/** Property tests: the same check on many seeded random cases; a failure prints the seed of its case. */
import type { ExecutionContext } from 'ava';
import { createRandom, hashName, type Random } from '../../lib/base/random.ts';

/** Runs `check` on `cases` random cases. The seeds follow from the test's title, so every run is the same. */
export async function forCases(
  t: ExecutionContext,
  cases: number,
  check: (random: Random, seed: number) => void | Promise<void>,
): Promise<void> {
  for (let index = 0; index < cases; index++) {
    const seed = (hashName(t.title) + index) >>> 0;
    const failedBefore = !t.passed;
    try {
      await check(createRandom(seed), seed);
    } finally {
      if (!failedBefore && !t.passed) t.log(`case ${index}, seed ${seed}`);
    }
  }
}

/** A whole number from `min` to `max`, both included. */
export function between(random: Random, min: number, max: number): number {
  return min + random.nextInt(max - min + 1);
}
