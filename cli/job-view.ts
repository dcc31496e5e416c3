/** A job as lines for people. Pure. */
import { hasEnded, type Job } from './coordinator-client.ts';
import { type PhaseRate, PhaseRates } from './phase-rates.ts';
import { teachingOf, waitShare } from './teaching.ts';
import { clockTime, grouped, percent, rate } from './text.ts';

export type Phase = Job['phases'][number];

/** `JOB_STATE_RUNNING` as `running`. */
export function stateName(state: string): string {
  return state.replace(/^(JOB|PHASE)_STATE_/, '').toLowerCase();
}

const PHASE_NAMES: Readonly<Record<string, string>> = {
  PHASE_KIND_TRAIN_TEACHER: 'train teacher',
  PHASE_KIND_EVALUATE_TEACHER: 'evaluate teacher',
  PHASE_KIND_LABEL: 'label by',
  PHASE_KIND_DISTIL: 'distil',
  PHASE_KIND_CONTROL: 'control',
  PHASE_KIND_PUBLISH: 'publish',
  PHASE_KIND_CHOOSE_RULE: 'choose rule of',
  PHASE_KIND_EVALUATE_ROUTE: 'evaluate route',
};

/** `distil first-five`. */
export function phaseName(phase: Phase): string {
  return `${PHASE_NAMES[phase.kind] ?? phase.kind} ${phase.subject}`;
}

/** Whether optimizer steps are what it is about; in other phases steps are batches, and there is no loss. */
export function isTraining({ kind }: Phase): boolean {
  return ['PHASE_KIND_TRAIN_TEACHER', 'PHASE_KIND_DISTIL', 'PHASE_KIND_CONTROL'].includes(kind);
}

/** Accuracy on test images where the phase evaluated, else null. */
export function accuracyOf(phase: Phase | undefined): number | null {
  if (phase === undefined || phase.kind === 'PHASE_KIND_CHOOSE_RULE' || phase.evaluatedImages === 0) return null;
  return phase.accuracy;
}

/** As `waitShare`, for images. */
export function dataWaitShare(phase: Phase | undefined): number | null {
  if (phase === undefined || !isTraining(phase)) return null;
  return waitShare(phase, ({ dataWaitMs }) => dataWaitMs);
}

/** Seconds that the worker that took longest looked at the calibrate split between epochs; null where none did. */
export function evaluationSeconds({ workers }: Pick<Phase, 'workers'>): number | null {
  const longestMs = Math.max(0, ...workers.map(({ evaluationMs }) => evaluationMs));
  return longestMs > 0 ? longestMs / 1000 : null;
}

/** The best epoch on the calibrate split, where the job looks at it after every epoch; else null. */
export function bestEpochOf(phase: Phase | undefined): BestEpoch | null {
  if (phase === undefined || phase.bestEpoch === 0) return null;
  return { epoch: phase.bestEpoch, accuracy: phase.bestAccuracy, stoppedEarly: phase.stoppedEarly };
}

export interface BestEpoch {
  /** From 1. */
  readonly epoch: number;
  /** On the calibrate split, 0..1. */
  readonly accuracy: number;
  /** Whether the training has ended before its last epoch, because it got no better. */
  readonly stoppedEarly: boolean;
}

/** Less of a running phase's time is not worth the room. */
const WAIT_SHOWN = 0.01;

/** How far a running phase is, in pieces that a line or a bar puts together. */
export interface ProgressParts {
  /** Epoch and step. */
  readonly counts: readonly string[];
  readonly speeds: readonly string[];
  /** Loss and accuracy. */
  readonly quality: readonly string[];
  /** The time that is left, once it can be told, or what is done after the last step. */
  readonly rest: readonly string[];
}

/**
 * Undefined before the first step.
 * @param now how fast it goes; without it there is no time that is left: the mean counts what came before the first step
 */
export function progressParts(phase: Phase, now?: PhaseRate): ProgressParts | undefined {
  const { step, stepsTotal, epoch, epochs } = phase;
  if (stepsTotal === 0 || step === 0) return undefined;
  const trains = isTraining(phase);
  const imagesPerSecond = now?.imagesPerSecond ?? phase.imagesPerSecond;
  const counts = [`${trains ? 'step' : 'batch'} ${grouped(step)}/${grouped(stepsTotal)}`];
  if (epochs > 0) counts.unshift(`epoch ${epoch}/${epochs}`);
  if (!trains) counts.push(imagesDone(phase));
  const speeds = trains && now !== undefined ? [`${rate(now.stepsPerSecond)} steps/s`] : [];
  if (imagesPerSecond > 0) speeds.push(`${rate(imagesPerSecond)} images/s`);
  const waited = teachingOf(phase)?.waitShare ?? 0;
  if (waited >= WAIT_SHOWN) speeds.push(`waits for logits ${percent(waited)} of the time`);
  const quality = trains ? [`loss ${(epoch > 0 ? phase.epochLoss : phase.loss).toFixed(3)}`] : [];
  if (epoch > 0) quality.push(`accuracy ${percent(phase.epochAccuracy)}`);
  if (step >= stepsTotal) return { counts, speeds, quality, rest: [trains ? 'evaluating' : 'finishing'] };
  const rest = now === undefined ? [] : [`ETA ${clockTime((stepsTotal - step) / now.stepsPerSecond)}`];
  return { counts, speeds, quality, rest };
}

/** `2,304 images labelled`. */
function imagesDone({ kind, workers }: Phase): string {
  const images = workers.reduce((sum, { samplesCommitted }) => sum + samplesCommitted, 0);
  return `${grouped(images)} images${kind === 'PHASE_KIND_LABEL' ? ' labelled' : ''}`;
}

/** How far a running phase is, on one line. */
export function phaseProgress(phase: Phase, now?: PhaseRate): string {
  const parts = progressParts(phase, now);
  if (parts === undefined) return `${phaseName(phase)}: running`;
  return `${phaseName(phase)}: ${[...parts.counts, ...parts.speeds, ...parts.quality, ...parts.rest].join(', ')}`;
}

/** What came of a phase that has ended, on one line. */
export function phaseResult(phase: Phase): string {
  const parts = [`${stateName(phase.state)} in ${phase.seconds.toFixed(1)} s`];
  if (phase.stepsTotal > 0 && isTraining(phase)) {
    parts.push(`${phase.step} steps`, `loss ${phase.firstLoss.toFixed(3)} -> ${phase.loss.toFixed(3)}`);
  } else if (phase.kind === 'PHASE_KIND_LABEL') {
    parts.push(imagesDone(phase));
  }
  if (phase.imagesPerSecond > 0) parts.push(`${grouped(phase.imagesPerSecond)} images/s`);
  const waited = dataWaitShare(phase);
  if (waited !== null) parts.push(`waited for data ${percent(waited)} of the time`);
  const evaluated = evaluationSeconds(phase);
  if (evaluated !== null) parts.push(`looked at the calibrate split for ${evaluated.toFixed(1)} s`);
  const waitedForLogits = teachingOf(phase)?.waitShare ?? null;
  if (waitedForLogits !== null) parts.push(`waited for logits ${percent(waitedForLogits)} of the time`);
  const best = bestEpochOf(phase);
  if (best !== null) parts.push(bestText(best, phase));
  const accuracy = accuracyOf(phase);
  if (accuracy !== null) parts.push(`accuracy ${percent(accuracy)} of ${grouped(phase.evaluatedImages)} test images`);
  return `${phaseName(phase)}: ${parts.join(', ')}${ruleResults(phase)}`;
}

function bestText({ epoch, accuracy, stoppedEarly }: BestEpoch, { epoch: last }: Phase): string {
  const kept = `epoch ${epoch} of ${last} kept (${percent(accuracy)} on the calibrate split)`;
  return stoppedEarly ? `stopped early, ${kept}` : kept;
}

/** What each rule of the router came to; the one that counts is marked. */
function ruleResults({ kind, rules, rule }: Phase): string {
  if (rules.length === 0) return '';
  const isChoice = kind === 'PHASE_KIND_CHOOSE_RULE';
  const results = rules.map((result) => {
    const mark = result.rule === rule ? ` (${isChoice ? 'chosen' : 'in use'})` : '';
    return `${result.rule} ${percent(shareOf(result))}${mark}`;
  });
  const images = isChoice ? ` of ${grouped(rules[0]?.evaluatedImages ?? 0)} calibrate images` : '';
  return `; ${results.join(', ')}${images}`;
}

/** Right answers, 0..1; null where nothing was asked. */
export function shareOf({ correct, evaluatedImages }: Phase['rules'][number]): number | null {
  return evaluatedImages === 0 ? null : correct / evaluatedImages;
}

/** Turns the snapshots of a watched job into lines: every change of state, and running phases now and then. */
export class ProgressLines {
  readonly #periodMs: number;
  readonly #rates = new PhaseRates();
  readonly #lastState = new Map<number, string>();
  readonly #noticed = new Set<number>();
  readonly #advised = new Map<number, string>();
  #lastMessage = '';
  #lastProgressMs = Number.NEGATIVE_INFINITY;
  #lastProgress = '';

  /** @param periodMs shortest time between two progress lines; infinite: running phases are shown by something else. */
  constructor(periodMs: number) {
    this.#periodMs = periodMs;
  }

  /** @param nowMs monotonic milliseconds. */
  next(job: Job, nowMs: number): string[] {
    const lines: string[] = [];
    this.#rates.observe(job, nowMs);
    for (const [index, phase] of job.phases.entries()) {
      if (phase.notice !== '' && !this.#noticed.has(index)) {
        this.#noticed.add(index);
        lines.push(`${phaseName(phase)}: ${phase.notice}`);
      }
      if (phase.advice !== '' && this.#advised.get(index) !== phase.advice) {
        this.#advised.set(index, phase.advice);
        lines.push(`${phaseName(phase)}: ${phase.advice}`);
      }
      const state = stateName(phase.state);
      const changed = (this.#lastState.get(index) ?? 'pending') !== state;
      this.#lastState.set(index, state);
      if (state === 'done' || state === 'failed') {
        if (changed) lines.push(phaseResult(phase));
      } else if (state === 'running' && this.#isDue(changed, nowMs)) {
        const line = phaseProgress(phase, this.#rates.of(index));
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

  #isDue(changed: boolean, nowMs: number): boolean {
    if (this.#periodMs === Number.POSITIVE_INFINITY) return false;
    return changed || nowMs - this.#lastProgressMs >= this.#periodMs;
  }
}
