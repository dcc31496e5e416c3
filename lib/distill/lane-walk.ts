/** Which samples each lane has in each step of a training: the plan's epochs one after the other. */
import { laneBatch } from '../data/lanes.ts';
import { epochOrder, type SampleOrder } from '../data/order.ts';
import { epochSteps, type TrainingPlan } from './training-plan.ts';

/** Quick where steps are asked for in order, since the order of one epoch is kept. */
export class LaneWalk {
  readonly #plan: TrainingPlan;
  readonly #perEpoch: number;
  #epoch = -1;
  #order: SampleOrder | undefined;

  constructor(plan: TrainingPlan) {
    this.#plan = plan;
    this.#perEpoch = epochSteps(plan);
  }

  /** The epoch of a step, both from 0. */
  epochOf(step: number): number {
    return Math.floor(step / this.#perEpoch);
  }

  /** The sample ids of the lane's micro-batch, see `laneBatch`. */
  idsOf(step: number, lane: number): Uint32Array {
    const { lanes, microBatch } = this.#plan;
    return laneBatch(this.#orderOf(this.epochOf(step)), lanes, lane, microBatch, step % this.#perEpoch);
  }

  #orderOf(epoch: number): SampleOrder {
    if (this.#order === undefined || epoch !== this.#epoch) {
      this.#order = epochOrder(this.#plan, epoch);
      this.#epoch = epoch;
    }
    return this.#order;
  }
}
