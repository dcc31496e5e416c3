/** A teacher in virtual time: it queues with the real `BatchQueue`, and says what a teacher-worker says. */
import { StillhouseError } from '../../lib/base/errors.ts';
import type { BatchKey, ReportedLoad } from '../../services/student-worker/teacher-load.ts';
import { BatchQueue, type QueuedBatch } from '../../services/teacher-worker/batch-queue.ts';
import type { VirtualCluster } from './virtual-cluster.ts';
import type { VirtualStudent } from './virtual-student.ts';

/** As `BatchComputer`: units that have left the queue, of which one is computed. */
const UNITS = 3;

interface Work {
  readonly student: VirtualStudent;
  readonly key: BatchKey;
  readonly samples: number;
}

type Underway = QueuedBatch<Work>;

export class VirtualTeacher {
  readonly name: string;
  readonly perMs: number;
  isAlive = true;
  isDraining = false;
  computedSamples = 0;
  readonly #cluster: VirtualCluster;
  readonly #queue = new BatchQueue<Work>({ samples: 4096, bytes: 2 ** 30 });
  readonly #queued = new Map<string, Underway>();
  readonly #underway: Underway[] = [];
  /** Those whose students were told that they wait. */
  readonly #told = new Set<Underway>();
  readonly #students = new Set<VirtualStudent>();

  constructor(cluster: VirtualCluster, name: string, perMs: number) {
    this.#cluster = cluster;
    this.name = name;
    this.perMs = perMs;
  }

  get isIdle(): boolean {
    return this.isAlive && !this.isDraining && this.#underway.length === 0;
  }

  isComputing(student: VirtualStudent, key: BatchKey): boolean {
    const [first] = this.#underway;
    return this.isAlive && first?.work.student === student && first.work.key === key;
  }

  load(): ReportedLoad {
    const { samples, samplesPerSecond } = this.#queue;
    return { queuedSamples: samples, samplesPerSecond, draining: this.isDraining };
  }

  open(student: VirtualStudent): void {
    if (!this.isAlive || this.isDraining) {
      this.#cluster.fly(() => student.ended(this, new StillhouseError('UNAVAILABLE', 'not there')));
      return;
    }
    this.#students.add(student);
    const load = this.load();
    this.#cluster.fly(() => student.opened(this, load));
  }

  offer(student: VirtualStudent, key: BatchKey, samples: number, neededInMs: number, deadlineMs: number): void {
    if (!this.isAlive) return;
    if (this.isDraining) {
      this.#refuse(student, key, 'UNAVAILABLE', 1000);
      return;
    }
    const work = { student, key, samples };
    const batch = { group: 'one', merging: null, samples, bytes: samples, neededInMs, deadlineMs, work };
    const offer = this.#queue.offer(batch, this.#cluster.clockMs);
    if (!('taken' in offer)) {
      this.#refuse(student, key, 'RESOURCE_EXHAUSTED', offer.retryAfterMs);
      return;
    }
    const waits = this.#queued.size > 0;
    this.#queued.set(nameOf(work), offer.taken);
    this.#pump();
    if (!waits) {
      const busy = this.load();
      for (const other of this.#students) if (other !== student) this.#cluster.fly(() => other.loaded(this, busy));
      return;
    }
    this.#told.add(offer.taken);
    const load = this.load();
    this.#cluster.fly(() => student.waits(this, key, load));
  }

  /** What is computed is computed to its end, and answered. */
  cancel(student: VirtualStudent, key: BatchKey): void {
    const name = nameOf({ student, key });
    const queued = this.#queued.get(name);
    if (!this.isAlive || queued === undefined || queued === this.#underway[0]) return;
    this.#queued.delete(name);
    const place = this.#underway.indexOf(queued);
    if (place === -1) this.#queue.cancel(queued);
    else {
      this.#underway.splice(place, 1);
      this.#queue.finished([queued], 0, this.#cluster.clockMs);
    }
    this.#refuse(student, key, 'CANCELLED', 0);
    this.#pump();
  }

  /** The process is gone; its students notice after a flight. */
  die(): void {
    this.isAlive = false;
    for (const student of this.#students) {
      this.#cluster.fly(() => student.ended(this, new StillhouseError('UNAVAILABLE', 'connection lost')));
    }
  }

  drain(): void {
    this.isDraining = true;
    this.#tell();
  }

  /** It computes nothing for so long, and says nothing. */
  hang(forMs: number): void {
    this.#hungUntilMs = this.#cluster.nowMs + forMs;
  }

  #hungUntilMs = 0;

  #pump(): void {
    const wasIdle = this.#underway.length === 0;
    for (;;) {
      const { unit, expired } = this.#queue.take(this.#cluster.clockMs, this.#underway.length < UNITS);
      for (const { work } of expired) {
        this.#queued.delete(nameOf(work));
        this.#refuse(work.student, work.key, 'DEADLINE_EXCEEDED', 0);
      }
      if (unit.length === 0) break;
      this.#underway.push(...unit);
    }
    if (wasIdle) this.#compute();
  }

  #compute(): void {
    const [batch] = this.#underway;
    if (batch === undefined) return;
    const { student, key } = batch.work;
    if (this.#told.delete(batch)) this.#cluster.fly(() => student.begun(this, key));
    const tookMs = batch.samples / this.perMs + Math.max(0, this.#hungUntilMs - this.#cluster.nowMs);
    this.#cluster.after(tookMs, () => {
      if (!this.isAlive) return;
      this.#underway.shift();
      this.computedSamples += batch.samples;
      this.#queue.finished([batch], batch.samples, this.#cluster.clockMs);
      const { work } = batch;
      this.#queued.delete(nameOf(work));
      const load = this.load();
      work.student.returning.add(work.key);
      this.#cluster.fly(() => work.student.answered(this, work.key, load));
      this.#compute();
      this.#pump();
      if (this.#queue.samples === 0) this.#tell();
    });
  }

  #tell(): void {
    const load = this.load();
    for (const student of this.#students) this.#cluster.fly(() => student.loaded(this, load));
    // Not always the same one hears of it first.
    for (const first of this.#students) {
      this.#students.delete(first);
      this.#students.add(first);
      break;
    }
  }

  #refuse(student: VirtualStudent, key: BatchKey, code: StillhouseError['code'], retryAfterMs: number): void {
    this.#cluster.fly(() => student.refused(this, key, { code, message: code, retryAfterMs }));
  }
}

function nameOf({ student, key }: Pick<Work, 'student' | 'key'>): string {
  return `${student.place}/${key}`;
}
