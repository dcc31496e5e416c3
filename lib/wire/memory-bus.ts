/** The bus within one process: same promises as the NATS adapter, for tests and simulation. */
import { type Bus, type BusHandler, payloadTooLarge, subjectMatches } from './bus.ts';

interface Subscription {
  readonly owner: Bus;
  readonly pattern: string;
  readonly handler: BusHandler;
}

/** Stands for the server; each `connect` is one client's connection. */
export class MemoryBroker {
  readonly #subscriptions = new Set<Subscription>();
  readonly #maxPayloadBytes: number;

  constructor(maxPayloadBytes = 1024 * 1024) {
    this.#maxPayloadBytes = maxPayloadBytes;
  }

  connect(): Bus {
    const bus: Bus = {
      maxPayloadBytes: this.#maxPayloadBytes,
      publish: (subject, payload) => this.#publish(bus, subject, payload),
      subscribe: (pattern, handler) => {
        const subscription = { owner: bus, pattern, handler };
        this.#subscriptions.add(subscription);
        return () => this.#subscriptions.delete(subscription);
      },
      flush: () => new Promise((resolve) => queueMicrotask(resolve)),
    };
    return bus;
  }

  #publish(from: Bus, subject: string, payload: Uint8Array): void {
    if (payload.byteLength > this.#maxPayloadBytes) throw payloadTooLarge(payload.byteLength, this.#maxPayloadBytes);
    for (const subscription of this.#subscriptions) {
      if (subscription.owner === from || !subjectMatches(subscription.pattern, subject)) continue;
      // Copied and later, as through a socket: nobody may rely on sharing memory or on the order of the stack.
      const copy = payload.slice();
      queueMicrotask(() => {
        if (this.#subscriptions.has(subscription)) subscription.handler(copy, subject);
      });
    }
  }
}
