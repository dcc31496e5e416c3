/** Work that several ask for and that is done once. */
import { unlessAborted } from './clock.ts';

interface Running<T> {
  readonly done: Promise<T>;
  readonly stop: AbortController;
  waiting: number;
}

export class SharedWork<T> {
  /** By what it is about. */
  readonly #running = new Map<string, Running<T>>();

  /**
   * Answers what the work under way about `key` answers; `start` begins it where none is. It goes on while anyone waits for it,
   * whoever has begun it: the signal that `start` is given is aborted once nobody does.
   *
   * @throws what `start` throws; the reason of the caller's own signal
   */
  async join(key: string, start: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const running = this.#running.get(key) ?? this.#start(key, start);
    running.waiting++;
    try {
      return await (signal === undefined ? running.done : unlessAborted(running.done, signal));
    } finally {
      running.waiting--;
      if (running.waiting === 0) running.stop.abort();
    }
  }

  #start(key: string, start: (signal: AbortSignal) => Promise<T>): Running<T> {
    const stop = new AbortController();
    const forget = () => {
      if (this.#running.get(key) === running) this.#running.delete(key);
    };
    const done = start(stop.signal).finally(forget);
    const running: Running<T> = { done, stop, waiting: 0 };
    // Nobody joins what is being stopped.
    stop.signal.addEventListener('abort', forget);
    // Looked at by those who wait; when all have gone, by nobody.
    done.catch(() => undefined);
    this.#running.set(key, running);
    return running;
  }
}
