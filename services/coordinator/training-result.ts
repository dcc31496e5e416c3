/** What came out of a training phase, checked: workers that trained together must have ended alike. Pure. */
import type { TaskResult } from './job-events.ts';
import type { ShareRecord } from './job-record.ts';
import type { FinishedTask } from './phase-life.ts';

/**
 * Why the results cannot be accepted, one sentence naming the workers; undefined when they agree: same steps, as many as
 * planned or fewer where all of them say that they have stopped early, lanes and samples from everyone, bit-identical weights, and
 * one stored model.
 */
export function findDisagreement(tasks: readonly FinishedTask[], stepsTotal: number): string | undefined {
  const shares: { workerId: string; share: ShareRecord }[] = [];
  for (const { workerId, result } of tasks) {
    if (result.last?.share === undefined) return `worker ${workerId} ended without saying what it did`;
    shares.push({ workerId, share: result.last.share });
  }
  const list = (value: (share: ShareRecord) => string | number) =>
    shares.map(({ workerId, share }) => `${workerId}: ${value(share)}`).join(', ');
  const [steps = 0, ...others] = new Set(shares.map(({ share }) => share.stepsCommitted));
  const hasStopped = tasks.every(({ result }) => result.last?.stoppedEarly) && steps > 0 && steps < stepsTotal;
  if (others.length > 0 || (steps !== stepsTotal && !hasStopped)) {
    return `workers committed other than ${stepsTotal} steps: ${list((share) => share.stepsCommitted)}`;
  }
  const idle = shares.find(({ share }) => share.lanes === 0 || share.samplesCommitted === 0);
  if (idle !== undefined) return `worker ${idle.workerId} contributed no samples`;
  const digests = new Set(shares.map(({ share }) => share.weightsDigest));
  if (digests.size !== 1 || digests.has('')) {
    return `workers ended with different weights: ${list((share) => share.weightsDigest || 'none')}`;
  }
  const stored = tasks.filter(({ result }) => result.modelDigest !== '');
  if (stored.length !== 1) return `${stored.length} workers stored a model, expected one`;
  return undefined;
}

/** The result of the worker that evaluated and stored the model. */
export function storedResult(tasks: readonly FinishedTask[]): TaskResult | undefined {
  return tasks.find(({ result }) => result.modelDigest !== '')?.result;
}
