/** Trying again where the other side may only be away for a moment. */
import { monotonicMs, sleep } from './clock.ts';
import { StillhouseError } from './errors.ts';

export interface Patience {
  /** From the first try on. */
  readonly patienceMs: number;
  readonly retryMs: number;
  readonly signal: AbortSignal;
}

/** Calls until it succeeds, fails with anything but UNAVAILABLE, or patience runs out. */
export async function retryUnavailable<T>(
  call: () => Promise<T>,
  { patienceMs, retryMs, signal }: Patience,
): Promise<T> {
  const deadlineMs = monotonicMs() + patienceMs;
  for (;;) {
    try {
      return await call();
    } catch (thrown) {
      const error = StillhouseError.from(thrown);
      if (error.code !== 'UNAVAILABLE' || monotonicMs() > deadlineMs) throw error;
      await sleep(retryMs, signal);
    }
  }
}
