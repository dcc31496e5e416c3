/**
 * When students would have trained all steps with one queue for all and messages that take no time: an idle teacher takes the
 * batch whose step is needed first, and where several are idle the quickest takes first. Students ask as far ahead as in
 * `VirtualCluster`, so that no more batches are outstanding than there.
 */
import type { ClusterOptions } from './virtual-cluster.ts';
import { LOOKAHEAD } from './virtual-student.ts';

interface CentralStudent {
  step: number;
  asked: number;
  /** Lanes of each step that have no answer. */
  readonly left: Map<number, number>;
  /** When the step that it computes is done; infinite while it waits. */
  stepDoneMs: number;
  doneMs: number;
}

interface CentralTeacher {
  readonly perMs: number;
  freeMs: number;
  /** What it computes. */
  batch: { readonly student: CentralStudent; readonly step: number } | null;
}

export function centralQueue({ steps, lanes, microBatch, stepMs, students, teachers }: ClusterOptions): number[] {
  const all: CentralStudent[] = Array.from({ length: students }, () => {
    return { step: 0, asked: 0, left: new Map(), stepDoneMs: Number.POSITIVE_INFINITY, doneMs: 0 };
  });
  const working: CentralTeacher[] = teachers.map((perMs) => ({ perMs, freeMs: 0, batch: null }));
  working.sort((a, b) => b.perMs - a.perMs);
  const queue: NonNullable<CentralTeacher['batch']>[] = [];
  let nowMs = 0;
  for (;;) {
    for (const { batch, freeMs } of working) {
      if (batch === null || freeMs > nowMs) continue;
      batch.student.left.set(batch.step, (batch.student.left.get(batch.step) as number) - 1);
    }
    for (const teacher of working) if (teacher.freeMs <= nowMs) teacher.batch = null;
    for (const student of all) {
      if (student.stepDoneMs <= nowMs) {
        student.step += 1;
        student.stepDoneMs = Number.POSITIVE_INFINITY;
        student.doneMs = nowMs;
      }
      for (; student.asked < steps && student.asked <= student.step + LOOKAHEAD; student.asked++) {
        student.left.set(student.asked, lanes);
        for (let lane = 0; lane < lanes; lane++) queue.push({ student, step: student.asked });
      }
      const isReady = student.left.get(student.step) === 0;
      if (isReady && student.stepDoneMs === Number.POSITIVE_INFINITY) student.stepDoneMs = nowMs + stepMs;
    }
    if (all.every(({ step }) => step === steps)) return all.map(({ doneMs }) => doneMs);
    for (const teacher of working) {
      if (teacher.batch !== null || queue.length === 0) continue;
      queue.sort((a, b) => a.step - a.student.step - (b.step - b.student.step));
      teacher.batch = queue.shift() ?? null;
      teacher.freeMs = nowMs + microBatch / teacher.perMs;
    }
    const busy = working.filter(({ batch }) => batch !== null).map(({ freeMs }) => freeMs);
    nowMs = Math.min(...busy, ...all.map(({ stepDoneMs }) => stepDoneMs));
  }
}
