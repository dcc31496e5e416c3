/**
 * Students and teachers in virtual time: messages take a fixed time, computing takes as long as a teacher is fast. What decides is
 * what decides in the workers.
 */
import { VirtualStudent } from './virtual-student.ts';
import { VirtualTeacher } from './virtual-teacher.ts';

export interface ClusterOptions {
  /** Samples a millisecond of every teacher. */
  readonly teachers: readonly number[];
  readonly students: number;
  readonly steps: number;
  readonly lanes: number;
  readonly microBatch: number;
  /** What a student computes for a step by itself. */
  readonly stepMs: number;
  /** Of every message. */
  readonly flightMs: number;
  /** What is added to the clocks that cores are told, by true time; a jump must not matter to anyone. */
  readonly clockOf?: (trueMs: number) => number;
}

export class VirtualCluster {
  readonly options: ClusterOptions;
  readonly teachers: VirtualTeacher[];
  readonly students: VirtualStudent[];
  /** The longest time for which a teacher had nothing to do while the same student waited; see `VirtualStudent.isStarving`. */
  longestIdleMs = 0;
  /** All such time, of all teachers; of each as long as any student waited. */
  idleMs = 0;
  nowMs = 0;
  readonly #due: { atMs: number; sequence: number; run: () => void }[] = [];
  #sequence = 0;

  constructor(options: ClusterOptions) {
    this.options = options;
    this.teachers = options.teachers.map((perMs, index) => new VirtualTeacher(this, `t${index}`, perMs));
    this.students = Array.from({ length: options.students }, (_, place) => new VirtualStudent(this, place));
  }

  get clockMs(): number {
    return this.options.clockOf?.(this.nowMs) ?? this.nowMs;
  }

  at(atMs: number, run: () => void): void {
    const event = { atMs, sequence: this.#sequence++, run };
    let place = this.#due.length;
    while (place > 0 && (this.#due[place - 1] as typeof event).atMs <= atMs) place--;
    this.#due.splice(place, 0, event);
  }

  after(delayMs: number, run: () => void): void {
    this.at(this.nowMs + delayMs, run);
  }

  fly(run: () => void): void {
    this.after(this.options.flightMs, run);
  }

  /** Until every student has trained all steps, or nothing happens any more. */
  run(): void {
    for (const student of this.students) student.begin();
    for (let event = this.#due.pop(); event !== undefined; event = this.#due.pop()) {
      this.#watchIdle(event.atMs);
      this.nowMs = event.atMs;
      event.run();
      if (this.students.every(({ isDone }) => isDone)) return;
    }
  }

  /** Since when a teacher is idle while a student waits that could ask it. */
  readonly #idleSinceMs = new Map<string, number>();

  /** Between two events nothing changes: so much time has passed in that state. */
  #watchIdle(untilMs: number): void {
    if (untilMs === this.nowMs) return;
    const waiting = new Set(this.students.filter((student) => student.isStarving));
    for (const teacher of this.teachers) {
      let isMissed = false;
      for (const student of this.students) {
        const name = `${teacher.name}/${student.place}`;
        if (!teacher.isIdle || !waiting.has(student) || !student.isOpenTo(teacher)) {
          this.#idleSinceMs.delete(name);
          continue;
        }
        const sinceMs = this.#idleSinceMs.get(name) ?? this.nowMs;
        this.#idleSinceMs.set(name, sinceMs);
        this.longestIdleMs = Math.max(this.longestIdleMs, untilMs - sinceMs);
        isMissed = true;
      }
      if (isMissed) this.idleMs += untilMs - this.nowMs;
    }
  }
}
