/** Bounds of time and memory for work on bad input: far above what it takes, far below what such input can ask for. */
import type { ExecutionContext } from 'ava';
import { monotonicMs, withTimeout } from '../../lib/base/clock.ts';

const TIME_MAX_MS = 20_000;
const MEMORY_MAX_BYTES = 400e6;

/** The most memory that this process has ever had. */
const peakBytes = () => process.resourceUsage().maxRSS * 1024;

let peakBefore: number | undefined;

/**
 * Fails the test when the work takes longer than 20 s, or when this process's peak of memory has grown by more than 400 MB since
 * the first such work: one piece of work that takes as much fails, and many that each leave something behind. Other tests must not
 * run meanwhile.
 */
export async function withinBounds<T>(t: ExecutionContext, work: () => Promise<T>): Promise<T> {
  peakBefore ??= peakBytes();
  const startMs = monotonicMs();
  const result = await withTimeout(work(), TIME_MAX_MS, () => new Error(`hangs: not done after ${TIME_MAX_MS} ms`));
  const tookMs = monotonicMs() - startMs;
  if (tookMs > TIME_MAX_MS) t.fail(`took ${tookMs} ms, expected at most ${TIME_MAX_MS}`);
  const grown = peakBytes() - peakBefore;
  if (grown > MEMORY_MAX_BYTES) t.fail(`memory has grown by ${grown} bytes, expected at most ${MEMORY_MAX_BYTES}`);
  return result;
}
