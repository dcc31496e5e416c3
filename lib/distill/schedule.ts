/** Learning-rate schedules: pure functions of the step. */

export interface ConstantSchedule {
  readonly type: 'constant';
  readonly warmupSteps: number;
}

/** Half a cosine from the full rate to 0 (Loshchilov and Hutter 2017, without restarts). */
export interface CosineSchedule {
  readonly type: 'cosine';
  readonly warmupSteps: number;
}

/** The rate is multiplied by `factor` after every `everySteps` steps. */
export interface StepSchedule {
  readonly type: 'step';
  readonly warmupSteps: number;
  readonly everySteps: number;
  readonly factor: number;
}

export type Schedule = ConstantSchedule | CosineSchedule | StepSchedule;

/**
 * The rate's multiple at a step, in 0..1. The warm-up rises linearly over `warmupSteps` and counts in the schedule.
 * @param step 0-based, less than `totalSteps`
 */
export function scheduleFactor(schedule: Schedule, step: number, totalSteps: number): number {
  const warmup = step < schedule.warmupSteps ? (step + 1) / schedule.warmupSteps : 1;
  if (schedule.type === 'constant') return warmup;
  if (schedule.type === 'cosine') return (warmup * (1 + Math.cos((Math.PI * step) / Math.max(1, totalSteps)))) / 2;
  return warmup * schedule.factor ** Math.floor(step / schedule.everySteps);
}
