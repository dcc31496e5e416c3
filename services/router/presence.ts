/**
 * Which specialists are there. Silence counts against them only while we could hear them: a broker that is down takes
 * nobody off the routes, because requests do not need it.
 */
import { HEARTBEAT_LIMIT_MS, HeartbeatTable } from '../../lib/wire/heartbeat.ts';
import type { Heartbeat } from '../../lib/wire/records.ts';
import type { Specialist } from './route-table.ts';

export class Presence {
  readonly #nowMs: () => number;
  readonly #table: HeartbeatTable;
  /**
   * Those that were there when the connection was lost, by id; while it is, and until all had time to be heard again.
   */
  #remembered: ReadonlyMap<string, Specialist> = new Map();
  #isConnected = true;
  #reconnectedMs = Number.NEGATIVE_INFINITY;

  /** @param nowMs monotonic */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#table = new HeartbeatTable(nowMs);
  }

  record(heartbeat: Heartbeat): void {
    this.#table.record(heartbeat);
  }

  /** Events of the connection over which heartbeats come. */
  connectionLost(): void {
    if (!this.#isConnected) return;
    this.#remembered = new Map(this.alive().map((specialist) => [specialist.id, specialist]));
    this.#isConnected = false;
  }

  connectionRestored(): void {
    this.#isConnected = true;
    this.#reconnectedMs = this.#nowMs();
  }

  /** By id. */
  alive(): Specialist[] {
    const heard = this.#table.alive(HEARTBEAT_LIMIT_MS).map(({ heartbeat }) => heartbeat);
    const isListeningLong = this.#isConnected && this.#nowMs() - this.#reconnectedMs > HEARTBEAT_LIMIT_MS;
    if (isListeningLong) {
      this.#table.forget(HEARTBEAT_LIMIT_MS);
      this.#remembered = new Map();
    }
    const all = new Map(this.#remembered);
    for (const { id, address, modelDigests } of heard) all.set(id, { id, address, modelDigests });
    return [...all.values()].sort((one, other) => (one.id < other.id ? -1 : 1));
  }
}
