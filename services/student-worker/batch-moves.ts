/** Which batch a teacher that has nothing to do is to be given, of those that others have. Pure. */
import type { OpenBatch, OpenBatches } from './open-batches.ts';
import type { TeacherSet } from './teacher-set.ts';

/** A second teacher computes what another one computes already when it will be done in this share of the time. */
const TAKEOVER_SHARE = 0.25;

export interface BatchMove {
  readonly batch: OpenBatch;
  /** The teacher that has it and does not compute it yet; null: it is computed, and will be computed twice. */
  readonly from: string | null;
  /** The idle one. */
  readonly to: string;
}

/**
 * The batch that is needed first of those that wait, rather one whose turn does not come just now; else one that a much slower
 * teacher would be long at. Null when no teacher is idle, or none can be helped.
 */
export function nextMove(batches: OpenBatches, teachers: TeacherSet, nowMs: number): BatchMove | null {
  const { meanPerMs } = teachers;
  if (teachers.idle(nowMs).length === 0) return null;
  let next: BatchMove | null = null;
  let twice: BatchMove | null = null;
  for (const key of batches.keys()) {
    const batch = batches.get(key) as OpenBatch;
    const [from] = batch.holders;
    if (from === undefined || batch.holders.size !== 1) continue;
    const at = teachers.get(from)?.load;
    const sent = at?.sent.get(key);
    const idle = teachers.earliestIdle(batch, nowMs);
    if (at === undefined || sent === undefined || idle === null) continue;
    const to = idle.id;
    if (sent.waits) {
      if (!at.isNext(sent, meanPerMs, nowMs)) return { batch, from, to };
      next ??= { batch, from, to };
      continue;
    }
    const hereMs = idle.load.finishMs(batch.samples, meanPerMs, nowMs);
    if (hereMs < TAKEOVER_SHARE * at.leftMs(sent, meanPerMs, nowMs)) twice ??= { batch, from: null, to };
  }
  return next ?? twice;
}
