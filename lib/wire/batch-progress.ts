/** Progress of tasks that only predict, batch by batch: batches stand for steps, and no lane is computed. */
import type { TaskProgressFields } from './worker-session.ts';

/** @param batches that are done @param images that they hold */
export function batchProgress(workerId: string, batches: number, images: number): TaskProgressFields {
  const share = { workerId, firstLane: 0, lanes: 0, stepsCommitted: batches, samplesCommitted: images };
  return { step: batches, firstLoss: 0, loss: 0, share: { ...share, pid: process.pid } };
}
