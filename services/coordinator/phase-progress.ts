/** How far a phase is, from what its workers report while they are at it. Pure; part of the machine. */
import type { Progress } from './job-events.ts';
import type { Turn } from './job-turn.ts';

/**
 * Takes a worker's progress into the phase. Workers are at most a step apart: the furthest one tells step, epoch and
 * losses. One worker stores checkpoints: they come from whoever has any.
 */
export function recordProgress(turn: Turn, workerId: string, progress: Progress, begunMs: number): void {
  const { share, teachers: _served, notice: _noted, checkpointDigest, checkpointEpoch, ...report } = progress;
  if (share !== undefined && share.workerId !== workerId) {
    turn.effects.push({ kind: 'warn', workerId, message: `the share of worker ${share.workerId} is ignored` });
    return;
  }
  const { phase } = turn;
  const workers = phase.workers.map((known) => (known.workerId === share?.workerId ? share : known));
  const samples = samplesOf(workers);
  const seconds = (turn.nowMs - begunMs) / 1000;
  // While the model is evaluated and stored no samples come in, and the rate stays as it was.
  const hasMoved = report.step > phase.step || samples > samplesOf(phase.workers);
  const hasCheckpoint = checkpointDigest !== '' && checkpointEpoch >= phase.checkpointEpoch;
  turn.patchPhase({
    workers,
    seconds: (turn.nowMs - turn.run.phaseStartedMs) / 1000,
    ...(report.step >= phase.step ? report : {}),
    ...(hasMoved && seconds > 0 ? { imagesPerSecond: samples / seconds } : {}),
    ...(hasCheckpoint ? { checkpointDigest, checkpointEpoch } : {}),
  });
}

function samplesOf(workers: readonly { readonly samplesCommitted: number }[]): number {
  return workers.reduce((sum, { samplesCommitted }) => sum + samplesCommitted, 0);
}
