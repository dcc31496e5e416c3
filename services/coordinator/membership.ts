/** Who is attached, who lives: a pure table over attach, detach and heartbeat, on a clock of the caller's. */
import { HEARTBEAT_LIMIT_MS, HeartbeatTable } from '../../lib/wire/heartbeat.ts';
import type { Heartbeat } from '../../lib/wire/records.ts';
import type { ClusterView, ClusterWorker } from './job-events.ts';

export interface AttachedWorker extends Omit<ClusterWorker, 'isDraining'> {
  readonly pid: number;
}

interface Attachment {
  readonly worker: AttachedWorker;
  readonly atMs: number;
  isDraining: boolean;
}

export interface MemberView {
  readonly id: string;
  readonly role: string;
  readonly address: string;
  readonly activity: string;
  readonly heartbeatAgeMs: number;
  readonly pid: number;
  readonly modelDigests: readonly string[];
}

/** Silence of everyone at once for longer than this is the bus's, not theirs. */
const COMMON_SILENCE_MS = 2_500;

/**
 * A worker is there while its Attend stream stands and its heartbeats come. Ages are measured on a clock that only runs
 * while anyone is heard: a broker that is down makes nobody lost.
 */
export class Membership {
  readonly #nowMs: () => number;
  readonly #attached = new Map<string, Attachment>();
  readonly #heartbeats: HeartbeatTable;
  #heardMs: number;
  #listenedMs = 0;

  /** @param nowMs monotonic */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#heardMs = nowMs();
    this.#heartbeats = new HeartbeatTable(() => this.#listenedNowMs());
  }

  attach(worker: AttachedWorker): void {
    this.#attached.set(worker.id, { worker, atMs: this.#listenedNowMs(), isDraining: false });
  }

  /** The worker has said that it will go; one that attaches anew has not. */
  drain(id: string): void {
    const attached = this.#attached.get(id);
    if (attached !== undefined) attached.isDraining = true;
  }

  detach(id: string): void {
    this.#attached.delete(id);
  }

  attached(id: string): AttachedWorker | undefined {
    return this.#attached.get(id)?.worker;
  }

  heartbeat(heartbeat: Heartbeat): void {
    this.#listenedMs = this.#listenedNowMs();
    this.#heardMs = this.#nowMs();
    this.#heartbeats.record(heartbeat);
  }

  /** Attached workers whose heartbeats have stopped. */
  silent(): string[] {
    return [...this.#attached.keys()].filter((id) => !this.#isAlive(id)).sort();
  }

  cluster(): ClusterView {
    const workers = [...this.#attached.values()]
      .map(({ worker: { id, role, address, fingerprint }, isDraining }) => ({
        id,
        role,
        address,
        fingerprint,
        isDraining,
      }))
      .filter(({ id }) => this.#isAlive(id))
      .sort((one, other) => (one.id < other.id ? -1 : 1));
    const routers = this.#heartbeats
      .alive(HEARTBEAT_LIMIT_MS)
      .flatMap(({ heartbeat: { id, role, address, routes } }) =>
        role === 'router' ? [{ id, address, routes: routes ?? {} }] : [],
      );
    return { workers, routers };
  }

  /** Everyone heard of lately or attached, by role and id. */
  members(): MemberView[] {
    const members = new Map<string, MemberView>();
    for (const { heartbeat, ageMs } of this.#heartbeats.alive(HEARTBEAT_LIMIT_MS)) {
      const { id, role, address, pid, modelDigests } = heartbeat;
      if (role === 'coordinator') continue;
      const activity = this.#attached.get(id)?.isDraining ? `drains: ${heartbeat.activity}` : heartbeat.activity;
      members.set(id, { id, role, address, activity, heartbeatAgeMs: Math.round(ageMs), pid, modelDigests });
    }
    for (const { worker, atMs } of this.#attached.values()) {
      if (members.has(worker.id)) continue;
      const { id, role, address, pid } = worker;
      const heartbeatAgeMs = Math.round(this.#heartbeats.get(id)?.ageMs ?? this.#listenedNowMs() - atMs);
      members.set(id, { id, role, address, activity: 'no heartbeat', heartbeatAgeMs, pid, modelDigests: [] });
    }
    const key = ({ role, id }: MemberView) => `${role} ${id}`;
    return [...members.values()].sort((one, other) => (key(one) < key(other) ? -1 : 1));
  }

  /** Forgets whoever has not been heard of for long. */
  sweep(): void {
    this.#heartbeats.forget(10 * HEARTBEAT_LIMIT_MS);
  }

  #isAlive(id: string): boolean {
    const attached = this.#attached.get(id);
    if (attached === undefined) return false;
    // Attaching counts as a sign of life: the first heartbeat may be on its way.
    const heartAgeMs = this.#heartbeats.get(id)?.ageMs ?? Number.POSITIVE_INFINITY;
    return Math.min(heartAgeMs, this.#listenedNowMs() - attached.atMs) <= HEARTBEAT_LIMIT_MS;
  }

  #listenedNowMs(): number {
    return this.#listenedMs + Math.min(this.#nowMs() - this.#heardMs, COMMON_SILENCE_MS);
  }
}
