/** The points of a job's curves, as TensorBoard shows them. Pure. */
import { accuracyOf, isTraining, type Phase } from '../job-view.ts';
import { type PhaseChange, phaseFolder } from './phase-changes.ts';
import type { Scalars } from './tensorboard-events.ts';

export interface CurvePoint {
  /** One run of TensorBoard's per phase: its folder. */
  readonly run: string;
  /** Optimizer steps, or batches where a phase trains nothing. */
  readonly step: number;
  readonly scalars: Scalars;
}

/**
 * `loss` and `images_per_second` at each progress, `epoch/loss` and `epoch/accuracy` over all of an epoch at its last step,
 * `test/accuracy` at the end of the phase. Epochs that ended within one progress but the last have no point.
 */
export function curvePoints(changes: readonly PhaseChange[]): CurvePoint[] {
  return changes.flatMap((change) => {
    const { phase, hasMoved, hasFinishedEpoch, hasEnded } = change;
    const run = phaseFolder(phase);
    const points: CurvePoint[] = [];
    if (hasFinishedEpoch) points.push({ run, step: lastStepOf(phase), scalars: epochScalars(phase) });
    const scalars: Scalars = {
      ...(hasMoved ? progressScalars(phase) : {}),
      ...(hasEnded ? testScalars(phase) : {}),
    };
    if (Object.keys(scalars).length > 0) points.push({ run, step: phase.step, scalars });
    return points;
  });
}

function progressScalars(phase: Phase): Scalars {
  const speed = phase.imagesPerSecond > 0 ? { images_per_second: phase.imagesPerSecond } : {};
  return isTraining(phase) ? { loss: phase.loss, ...speed } : speed;
}

function epochScalars({ finishedEpochLoss, finishedEpochAccuracy }: Phase): Scalars {
  return { 'epoch/loss': finishedEpochLoss, 'epoch/accuracy': finishedEpochAccuracy };
}

/** The finished epoch's last step; the current one where the job's steps are no whole number of epochs. */
function lastStepOf({ finishedEpoch, epochs, step, stepsTotal }: Phase): number {
  const stepsPerEpoch = stepsTotal / epochs;
  return Number.isInteger(stepsPerEpoch) ? Math.min(step, finishedEpoch * stepsPerEpoch) : step;
}

function testScalars(phase: Phase): Scalars {
  const accuracy = accuracyOf(phase);
  return accuracy === null ? {} : { 'test/accuracy': accuracy };
}
