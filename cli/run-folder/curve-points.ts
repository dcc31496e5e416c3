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
 * `loss` and `images_per_second` at each progress, `epoch/loss` and `epoch/accuracy` once per epoch as they were last seen in
 * it, `test/accuracy` at the end of the phase.
 */
export function curvePoints(changes: readonly PhaseChange[]): CurvePoint[] {
  return changes.flatMap((change) => {
    const { phase, before, hasMoved, hasEnded } = change;
    const run = phaseFolder(phase);
    const points: CurvePoint[] = [];
    if (before !== undefined && before.epoch > 0 && phase.epoch > before.epoch) {
      points.push({ run, step: before.step, scalars: epochScalars(before) });
    }
    const scalars: Scalars = {
      ...(hasMoved ? progressScalars(phase) : {}),
      ...(hasEnded && phase.epoch > 0 ? epochScalars(phase) : {}),
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

function epochScalars({ epochLoss, epochAccuracy }: Phase): Scalars {
  return { 'epoch/loss': epochLoss, 'epoch/accuracy': epochAccuracy };
}

function testScalars(phase: Phase): Scalars {
  const accuracy = accuracyOf(phase);
  return accuracy === null ? {} : { 'test/accuracy': accuracy };
}
