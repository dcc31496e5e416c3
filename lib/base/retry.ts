/** Trying again where the other side may only be away for a moment. */
import { monotonicMs, sleep } from './clock.ts';
import { StillhouseError } from './errors.ts';

export interface Patience {
  /** From the first try on. */
  readonly patienceMs: number;
  readonly retryMs: number;
  /**
   * The waits double up to this, each shortened by up to half at random so that many who failed together do not come back
   * together; absent: all are `retryMs`.
   */
  readonly maxRetryMs?: number;
  readonly signal: AbortSignal;
}

/** Calls until it succeeds, fails with anything but UNAVAILABLE, or patience runs out. */
export async function retryUnavailable<T>(
  call: () => Promise<T>,
  { patienceMs, retryMs, maxRetryMs, signal }: Patience,
): Promise<T> {
  const deadlineMs = monotonicMs() + patienceMs;
  for (let tries = 0; ; tries++) {
    try {
      return await call();
    } catch (thrown) {
      const error = StillhouseError.from(thrown);
      if (error.code !== 'UNAVAILABLE' || monotonicMs() > deadlineMs) throw error;
      await sleep(maxRetryMs === undefined ? retryMs : backoffMs(retryMs, maxRetryMs, tries), signal);
    }
  }
}

function backoffMs(firstMs: number, maxMs: number, tries: number): number {
  return Math.min(maxMs, firstMs * 2 ** tries) * (1 - Math.random() / 2);
}
