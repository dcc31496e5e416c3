/** Says early which samples a training comes to, so that what they lie in is there by then: at a window's border it is all new. */
import { LaneWalk } from './lane-walk.ts';
import type { TrainingPlan } from './training-plan.ts';

/** Fetching a window takes seconds; it is done with after many more steps, of which there are some even with large pictures. */
const AHEAD_STEPS = 64;

export interface ReadAheadOptions {
  readonly plan: TrainingPlan;
  /** The worker's block of lanes. */
  readonly firstLane: number;
  readonly lanes: number;
  readonly prefetch: (ids: Uint32Array) => void;
}

export class ReadAhead {
  readonly #options: ReadAheadOptions;
  readonly #walk: LaneWalk;

  constructor(options: ReadAheadOptions) {
    this.#options = options;
    this.#walk = new LaneWalk(options.plan);
  }

  /** A step has been chosen: tells of the samples of one that comes later. */
  stepChosen(step: number): void {
    const { plan, firstLane, lanes, prefetch } = this.#options;
    const later = step + AHEAD_STEPS;
    if (later >= plan.steps) return;
    for (let lane = firstLane; lane < firstLane + lanes; lane++) {
      prefetch(this.#walk.idsOf(later, lane));
    }
  }
}
