/** A student in virtual time: it decides with the real `TeacherBalance` and `StepPace`. */
import type { StillhouseError } from '../../lib/base/errors.ts';
import type { Effect } from '../../services/student-worker/balance-events.ts';
import { StepPace } from '../../services/student-worker/step-pace.ts';
import { TeacherBalance } from '../../services/student-worker/teacher-balance.ts';
import { type BatchKey, batchKey, type ReportedLoad, stepAndLane } from '../../services/student-worker/teacher-load.ts';
import type { VirtualCluster } from './virtual-cluster.ts';
import type { VirtualTeacher } from './virtual-teacher.ts';

/** Steps that a student asks for ahead of the one that it computes. */
export const LOOKAHEAD = 4;
const CREDITS = 64;

export class VirtualStudent {
  readonly place: number;
  readonly balance: TeacherBalance;
  isDone = false;
  doneMs = 0;
  waitedMs = 0;
  /** How often each batch was used. */
  readonly uses = new Map<BatchKey, number>();
  readonly failures: StillhouseError[] = [];
  readonly #cluster: VirtualCluster;
  readonly #pace = new StepPace();
  readonly #open = new Set<VirtualTeacher>();
  /** Batches whose first answer is on its way. */
  readonly returning = new Set<BatchKey>();
  #listed: readonly VirtualTeacher[] = [];
  #step = 0;
  #asked = 0;
  #isComputing = false;
  #waitsSinceMs = 0;

  constructor(cluster: VirtualCluster, place: number) {
    this.#cluster = cluster;
    this.place = place;
    this.balance = new TeacherBalance({ place, students: cluster.options.students });
  }

  /** The teachers that it is told of first; all, where nobody says otherwise. */
  starts: readonly VirtualTeacher[] | undefined;

  begin(): void {
    this.list(this.starts ?? this.#cluster.teachers);
    this.#ask();
  }

  list(teachers: readonly VirtualTeacher[]): void {
    this.#listed = teachers;
    this.#act(
      this.balance.list(
        teachers.map(({ name }) => name),
        this.#cluster.clockMs,
      ),
    );
  }

  isOpenTo(teacher: VirtualTeacher): boolean {
    return this.#open.has(teacher) && this.#listed.includes(teacher);
  }

  /** Whether it has nothing to do, and a batch of any step that nobody computes: it lies here, is on its way or stands in a queue. */
  get isStarving(): boolean {
    if (this.#isComputing || this.isDone) return false;
    return this.balance.waiting.some(
      (key) => !this.returning.has(key) && !this.#cluster.teachers.some((teacher) => teacher.isComputing(this, key)),
    );
  }

  opened(teacher: VirtualTeacher, load: ReportedLoad): void {
    this.#open.add(teacher);
    this.#act(this.balance.opened(teacher.name, CREDITS, load, this.#cluster.clockMs));
  }

  ended(teacher: VirtualTeacher, error: StillhouseError): void {
    this.#open.delete(teacher);
    this.#act(this.balance.ended(teacher.name, error, this.#cluster.clockMs));
  }

  waits(teacher: VirtualTeacher, key: BatchKey, load: ReportedLoad): void {
    this.#act(this.balance.waits(teacher.name, key, load, this.#cluster.clockMs));
  }

  begun(teacher: VirtualTeacher, key: BatchKey): void {
    this.#act(this.balance.begun(teacher.name, key, this.#cluster.clockMs));
  }

  loaded(teacher: VirtualTeacher, load: ReportedLoad): void {
    this.#act(this.balance.loaded(teacher.name, load, this.#cluster.clockMs));
  }

  refused(teacher: VirtualTeacher, key: BatchKey, refusal: Parameters<TeacherBalance['refused']>[2]): void {
    this.#act(this.balance.refused(teacher.name, key, refusal, this.#cluster.clockMs));
  }

  answered(teacher: VirtualTeacher, key: BatchKey, load: ReportedLoad): void {
    this.#act(this.balance.answered(teacher.name, key, true, load, this.#cluster.clockMs));
    this.#train();
  }

  /** Asks for coming steps. */
  #ask(): void {
    const { steps, lanes, microBatch } = this.#cluster.options;
    while (this.#asked < steps && this.#asked <= this.#step + LOOKAHEAD) {
      for (let lane = 0; lane < lanes; lane++) {
        this.#act(this.balance.add(batchKey(this.#asked, lane), microBatch, this.#cluster.clockMs));
      }
      this.#asked += 1;
    }
  }

  /** Computes the next step when all its logits are there. */
  #train(): void {
    const { lanes, steps, stepMs } = this.#cluster.options;
    if (this.#isComputing || this.isDone) return;
    for (let lane = 0; lane < lanes; lane++) if (!this.uses.has(batchKey(this.#step, lane))) return;
    this.waitedMs += this.#cluster.nowMs - this.#waitsSinceMs;
    this.#isComputing = true;
    this.#cluster.after(stepMs, () => {
      this.#isComputing = false;
      this.#waitsSinceMs = this.#cluster.nowMs;
      this.#pace.committed(this.#step, this.#cluster.clockMs);
      this.#step += 1;
      this.isDone = this.#step === steps;
      this.doneMs = this.#cluster.nowMs;
      this.#act(this.balance.reached(this.#step, this.#cluster.clockMs));
      this.#ask();
      this.#train();
    });
  }

  #act(effects: readonly Effect[]): void {
    for (const effect of effects) this.#do(effect);
    this.#arm();
  }

  #do(effect: Effect): void {
    const { options } = this.#cluster;
    const teacher =
      'teacher' in effect ? this.#cluster.teachers.find(({ name }) => name === effect.teacher) : undefined;
    switch (effect.type) {
      case 'open':
        this.#cluster.fly(() => teacher?.open(this));
        return;
      case 'close':
        this.#open.delete(teacher as VirtualTeacher);
        return;
      case 'cancel':
        this.#cluster.fly(() => teacher?.cancel(this, effect.key));
        return;
      case 'send': {
        const { key, deadlineMs } = effect;
        const neededInMs = this.#pace.neededInMs(stepAndLane(key).step, this.#cluster.clockMs);
        this.#cluster.fly(() => teacher?.offer(this, key, options.microBatch, neededInMs, deadlineMs));
        return;
      }
      case 'deliver':
        this.uses.set(effect.key, (this.uses.get(effect.key) ?? 0) + 1);
        return;
      case 'fail':
        this.failures.push(effect.error);
        return;
    }
  }

  #armedMs = Number.POSITIVE_INFINITY;

  #arm(): void {
    const { clockMs, nowMs } = this.#cluster;
    const dueMs = this.balance.nextTickMs(clockMs);
    if (!Number.isFinite(dueMs) || dueMs >= this.#armedMs) return;
    this.#armedMs = dueMs;
    this.#cluster.at(nowMs + Math.max(1, dueMs - clockMs), () => {
      if (this.#armedMs !== dueMs) return;
      this.#armedMs = Number.POSITIVE_INFINITY;
      this.#act(this.balance.tick(this.#cluster.clockMs));
    });
  }
}
