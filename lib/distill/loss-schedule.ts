/** Schedules of loss weights and temperatures: pure functions of the step. Their values are fed per step. */

/** How far a schedule reaches: a number of steps, or a share of the training. */
export type ScheduleSpan = { readonly steps: number } | { readonly fraction: number };

export type LossSchedule =
  | { readonly type: 'constant'; readonly value: number }
  /** A straight line from `from`, on the first step, to `to`, on the span's last step; `to` from then on. */
  | ({ readonly type: 'linear'; readonly from: number; readonly to: number } & ScheduleSpan)
  /** As `linear`, along half a cosine: slow at both ends. */
  | ({ readonly type: 'cosine'; readonly from: number; readonly to: number } & ScheduleSpan)
  /** `value`, multiplied by `factor` each time the span has passed. */
  | ({ readonly type: 'step'; readonly value: number; readonly factor: number } & ScheduleSpan)
  /** Rises to `value` in equal parts, one a step, and stays there: at step s of n, value · (s + 1) / n. */
  | ({ readonly type: 'warm-up'; readonly value: number } & ScheduleSpan);

/** A weight or temperature as a job gives it: the same on every step, or by a schedule. */
export type Scheduled = number | LossSchedule;

/**
 * The value at a step.
 * @param step 0-based, less than `totalSteps`
 */
export function scheduledValue(scheduled: Scheduled, step: number, totalSteps: number): number {
  if (typeof scheduled === 'number') return scheduled;
  if (scheduled.type === 'constant') return scheduled.value;
  const steps = spanSteps(scheduled, totalSteps);
  switch (scheduled.type) {
    case 'step':
      return scheduled.value * scheduled.factor ** Math.floor(step / steps);
    case 'warm-up':
      return scheduled.value * Math.min(1, (step + 1) / steps);
    case 'linear':
      return between(scheduled.from, scheduled.to, progress(step, steps));
    case 'cosine':
      return between(scheduled.from, scheduled.to, (1 - Math.cos(Math.PI * progress(step, steps))) / 2);
  }
}

/** At least one step, rounded to whole ones. */
function spanSteps(span: ScheduleSpan, totalSteps: number): number {
  return Math.max(1, 'steps' in span ? span.steps : Math.round(span.fraction * totalSteps));
}

/** 0 on the first step, 1 on the last of `steps` and after it. */
function progress(step: number, steps: number): number {
  return steps === 1 ? 1 : Math.min(1, step / (steps - 1));
}

/** Both ends are met exactly. */
function between(from: number, to: number, share: number): number {
  return from * (1 - share) + to * share;
}
