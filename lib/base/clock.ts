/**
 * Time. The only place that touches the timers and the clocks of Node, so that everything else takes them as an
 * argument or waits through here and tests can find every wait.
 */

/** Monotonic milliseconds; differences mean something, absolute values do not. */
export function monotonicMs(): number {
  return performance.now();
}

/**
 * Wall-clock time as ISO 8601, for records that people read; never for measuring.
 * @param ms since 1970; default now
 */
export function wallClockIso(ms = Date.now()): string {
  return new Date(ms).toISOString();
}

/** Wall-clock milliseconds since 1970, for ids and records. */
export function wallClockMs(): number {
  return Date.now();
}

/** Waits; rejects with the signal's reason when aborted. */
export function sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, delayMs);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Lets whatever else is due come first, timers too: between parts of work that takes long. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Lets what has come in by now be looked at first. Unlike `nextTurn` it takes no time by itself; timers may come later. */
export function nextPass(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Resolves when the signal is aborted. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/**
 * Settles as `work` does, or rejects with the signal's reason when that comes first. The work goes on by itself then, and
 * what becomes of it is not looked at.
 */
export function unlessAborted<T>(work: T | Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    Promise.resolve(work)
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** Calls `task` every `periodMs` until the returned function is called. Does not keep the process alive by itself. */
export function every(periodMs: number, task: () => void): () => void {
  const timer = setInterval(task, periodMs);
  timer.unref();
  return () => clearInterval(timer);
}

/** Calls `task` once after `delayMs` unless the returned function is called first. */
export function after(delayMs: number, task: () => void): () => void {
  const timer = setTimeout(task, delayMs);
  return () => clearTimeout(timer);
}

/** Resolves as `work` does, or rejects with `onTimeout()` after `timeoutMs`. The work itself is not cancelled. */
export function withTimeout<T>(work: Promise<T>, timeoutMs: number, onTimeout: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(onTimeout()), timeoutMs);
    work.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}
