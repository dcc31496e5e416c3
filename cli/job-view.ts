/** A job as lines for people. Pure. */
import { hasEnded, type Job } from './coordinator-client.ts';
import { clockTime, grouped, percent } from './text.ts';

export type Phase = Job['phases'][number];

/** `JOB_STATE_RUNNING` as `running`. */
export function stateName(state: string): string {
  return state.replace(/^(JOB|PHASE)_STATE_/, '').toLowerCase();
}

const PHASE_NAMES: Readonly<Record<string, string>> = {
  PHASE_KIND_TRAIN_TEACHER: 'train teacher',
  PHASE_KIND_DISTIL: 'distil',
  PHASE_KIND_CONTROL: 'control',
  PHASE_KIND_PUBLISH: 'publish',
  PHASE_KIND_EVALUATE_ROUTE: 'evaluate route',
};

/** `distil first-five`. */
export function phaseName(phase: Phase): string {
  return `${PHASE_NAMES[phase.kind] ?? phase.kind} ${phase.subject}`;
}

/** Accuracy where the phase evaluated, else null. */
export function accuracyOf(phase: Phase | undefined): number | null {
  return phase === undefined || phase.evaluatedImages === 0 ? null : phase.accuracy;
}

/** How far a running phase is, on one line. */
export function phaseProgress(phase: Phase): string {
  if (phase.stepsTotal === 0 || phase.step === 0) return `${phaseName(phase)}: running`;
  const remaining = ((phase.stepsTotal - phase.step) * phase.seconds) / phase.step;
  const parts = [`step ${phase.step}/${phase.stepsTotal}`, `loss ${phase.loss.toFixed(3)}`];
  if (phase.imagesPerSecond > 0) parts.push(`${grouped(phase.imagesPerSecond)} images/s`);
  if (phase.step < phase.stepsTotal) parts.push(`ETA ${clockTime(remaining)}`);
  else parts.push('evaluating');
  return `${phaseName(phase)}: ${parts.join(', ')}`;
}

/** What came of a phase that has ended, on one line. */
export function phaseResult(phase: Phase): string {
  const parts = [`${stateName(phase.state)} in ${phase.seconds.toFixed(1)} s`];
  if (phase.stepsTotal > 0) {
    parts.push(`${phase.step} steps`, `loss ${phase.firstLoss.toFixed(3)} -> ${phase.loss.toFixed(3)}`);
  }
  if (phase.imagesPerSecond > 0) parts.push(`${grouped(phase.imagesPerSecond)} images/s`);
  const accuracy = accuracyOf(phase);
  if (accuracy !== null) parts.push(`accuracy ${percent(accuracy)} of ${grouped(phase.evaluatedImages)} test images`);
  return `${phaseName(phase)}: ${parts.join(', ')}`;
}

/** Turns the snapshots of a watched job into lines: every change of state, and running phases now and then. */
export class ProgressLines {
  readonly #periodMs: number;
  readonly #lastState = new Map<number, string>();
  readonly #noticed = new Set<number>();
  #lastMessage = '';
  #lastProgressMs = Number.NEGATIVE_INFINITY;
  #lastProgress = '';

  /** @param periodMs shortest time between two progress lines. */
  constructor(periodMs: number) {
    this.#periodMs = periodMs;
  }

  /** @param nowMs monotonic milliseconds. */
  next(job: Job, nowMs: number): string[] {
    const lines: string[] = [];
    for (const [index, phase] of job.phases.entries()) {
      if (phase.notice !== '' && !this.#noticed.has(index)) {
        this.#noticed.add(index);
        lines.push(`${phaseName(phase)}: ${phase.notice}`);
      }
      const state = stateName(phase.state);
      const changed = (this.#lastState.get(index) ?? 'pending') !== state;
      this.#lastState.set(index, state);
      if (state === 'done' || state === 'failed') {
        if (changed) lines.push(phaseResult(phase));
      } else if (state === 'running' && (changed || nowMs - this.#lastProgressMs >= this.#periodMs)) {
        const line = phaseProgress(phase);
        if (line !== this.#lastProgress) lines.push(line);
        this.#lastProgress = line;
        this.#lastProgressMs = nowMs;
      }
    }
    // While a phase runs, the message only names it; otherwise it says what the job waits for.
    const isWaiting = !job.phases.some(({ state }) => stateName(state) === 'running') && !hasEnded(job);
    if (isWaiting && job.message !== '' && job.message !== this.#lastMessage) lines.push(job.message);
    this.#lastMessage = job.message;
    return lines;
  }
}
