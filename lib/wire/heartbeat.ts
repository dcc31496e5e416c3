/** Heartbeats: who lives, told by everyone over the bus. */
import { every } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Bus } from './bus.ts';
import { decodeHeartbeat, encodeRecord, type Heartbeat } from './records.ts';
import { heartbeatPattern, heartbeatSubject } from './subjects.ts';

/** Five are missed before a worker counts as lost. */
export const HEARTBEAT_INTERVAL_MS = 1_000;
/** Silence after which a worker counts as lost. */
export const HEARTBEAT_LIMIT_MS = 5_000;

export interface Heart {
  /** Sends one now, besides the regular ones: what it tells has changed. */
  beat(): void;
  stop(): void;
}

/** Sends `describe()` now and then every `intervalMs`. */
export function startHeartbeat(bus: Bus, describe: () => Heartbeat, intervalMs = HEARTBEAT_INTERVAL_MS): Heart {
  const beat = () => {
    const heartbeat = describe();
    bus.publish(heartbeatSubject(heartbeat.role, heartbeat.id), encodeRecord(heartbeat));
  };
  beat();
  return { beat, stop: every(intervalMs, beat) };
}

/** Hands every heartbeat to `onHeartbeat`; malformed ones are logged and dropped. `role`: of this role only. */
export function watchHeartbeats(
  bus: Bus,
  onHeartbeat: (heartbeat: Heartbeat) => void,
  { logger, role }: { logger: Logger; role?: Heartbeat['role'] },
): () => void {
  return bus.subscribe(heartbeatPattern(role), (payload, subject) => {
    let heartbeat: Heartbeat;
    try {
      heartbeat = decodeHeartbeat(payload, subject);
    } catch (error) {
      logger.warn({ err: error, subject }, 'dropped a malformed heartbeat');
      return;
    }
    onHeartbeat(heartbeat);
  });
}

export interface Seen {
  readonly heartbeat: Heartbeat;
  readonly ageMs: number;
}

/** The latest heartbeat of each sender, by the receiver's monotonic clock. */
export class HeartbeatTable {
  readonly #nowMs: () => number;
  readonly #latest = new Map<string, { heartbeat: Heartbeat; atMs: number }>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  record(heartbeat: Heartbeat): void {
    this.#latest.set(heartbeat.id, { heartbeat, atMs: this.#nowMs() });
  }

  get(id: string): Seen | undefined {
    const entry = this.#latest.get(id);
    return entry === undefined ? undefined : { heartbeat: entry.heartbeat, ageMs: this.#nowMs() - entry.atMs };
  }

  /** Those heard of within `maxAgeMs`, by id. */
  alive(maxAgeMs: number): Seen[] {
    return [...this.#latest.keys()]
      .sort()
      .map((id) => this.get(id) as Seen)
      .filter(({ ageMs }) => ageMs <= maxAgeMs);
  }

  /** Forgets those not heard of for `maxAgeMs`, so that the table stays as small as the cluster. */
  forget(maxAgeMs: number): void {
    for (const [id, { atMs }] of this.#latest) {
      if (this.#nowMs() - atMs > maxAgeMs) this.#latest.delete(id);
    }
  }
}
