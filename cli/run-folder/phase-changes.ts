/** What has changed between two snapshots of a watched job. Pure. */
import type { Job } from '../coordinator-client.ts';
import { type Phase, stateName } from '../job-view.ts';

export interface PhaseChange {
  readonly phase: Phase;
  /** Whether a step has been committed since. */
  readonly hasMoved: boolean;
  /** Whether another epoch has been trained to its end since; of several only the last one is known. */
  readonly hasFinishedEpoch: boolean;
  /** Whether it has ended since, well or not. */
  readonly hasEnded: boolean;
}

/** The phases that have moved or ended, in the order of the job. */
export function phaseChanges(before: Job | undefined, job: Job): PhaseChange[] {
  return job.phases
    .map((phase, index) => {
      const earlier = before?.phases[index];
      const hasMoved = phase.step > 0 && phase.step !== (earlier?.step ?? 0);
      const hasFinishedEpoch = phase.finishedEpoch > 0 && phase.finishedEpoch !== (earlier?.finishedEpoch ?? 0);
      return { phase, hasMoved, hasFinishedEpoch, hasEnded: isOver(phase) && !isOver(earlier) };
    })
    .filter(({ hasMoved, hasFinishedEpoch, hasEnded }) => hasMoved || hasFinishedEpoch || hasEnded);
}

function isOver(phase: Phase | undefined): boolean {
  return phase !== undefined && ['done', 'failed'].includes(stateName(phase.state));
}

/** `distil-first-five`: the phase as the name of a folder. */
export function phaseFolder({ kind, subject }: Phase): string {
  return `${phaseKind(kind)}-${subject}`;
}

/** `PHASE_KIND_TRAIN_TEACHER` as `train-teacher`. */
export function phaseKind(kind: string): string {
  return kind
    .replace(/^PHASE_KIND_/, '')
    .toLowerCase()
    .replaceAll('_', '-');
}
