/** Says early which samples a training comes to, so that what they lie in is there by then: at a window's border it is all new. */
import { laneBatch } from '../data/lanes.ts';
import { epochOrder, type SampleOrder } from '../data/order.ts';
import { epochSteps, type TrainingPlan } from './training-plan.ts';

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
  readonly #perEpoch: number;
  #epoch = -1;
  #order: SampleOrder | undefined;

  constructor(options: ReadAheadOptions) {
    this.#options = options;
    this.#perEpoch = epochSteps(options.plan);
  }

  /** A step has been chosen: tells of the samples of one that comes later. */
  stepChosen(step: number): void {
    const { plan, firstLane, lanes, prefetch } = this.#options;
    const later = step + AHEAD_STEPS;
    if (later >= plan.steps) return;
    const order = this.#orderOf(Math.floor(later / this.#perEpoch));
    for (let lane = firstLane; lane < firstLane + lanes; lane++) {
      prefetch(laneBatch(order, plan.lanes, lane, plan.microBatch, later % this.#perEpoch));
    }
  }

  #orderOf(epoch: number): SampleOrder {
    if (this.#order === undefined || epoch !== this.#epoch) {
      this.#order = epochOrder(this.#options.plan, epoch);
      this.#epoch = epoch;
    }
    return this.#order;
  }
}
