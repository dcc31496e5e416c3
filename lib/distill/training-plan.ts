/** What makes up every step of a training, whoever computes it. */
import type { Dataset, ShardRange } from '../data/dataset.ts';
import { droppedIds, stepsPerEpoch, type Tail } from '../data/lanes.ts';
import { epochOrder } from '../data/order.ts';
import { type ViewRule, type ViewsSpec, viewNumber } from '../data/views.ts';
import type { ImageSource, RequestedImages, ViewedSamples } from './trainable-model.ts';

export interface TrainingPlan {
  /** The samples to train on, ascending. */
  readonly ids: Uint32Array;
  /** Of the data set. */
  readonly shards: readonly ShardRange[];
  /** Class number within the model, by sample id of the data set; `NO_LABEL` where there is none. */
  readonly labelOf: (id: number) => number;
  readonly seed: number;
  readonly lanes: number;
  readonly microBatch: number;
  /** What becomes of an epoch's samples that fill no whole step. */
  readonly tail: Tail;
  /** All that will be committed. The last epoch may be cut short by it. */
  readonly steps: number;
  readonly views: ViewsSpec;
}

/** Steps of an epoch over the plan's samples. */
export function epochSteps({ ids, lanes, microBatch, tail }: TrainingPlan): number {
  return stepsPerEpoch(ids.length, lanes, microBatch, tail);
}

/** How many epochs the plan's steps take; the last one may be cut short. */
export function epochCount(plan: TrainingPlan): number {
  return Math.ceil(plan.steps / epochSteps(plan));
}

/**
 * The samples that no step of an epoch, from 0, has used, ascending, under a plan whose tail is dropped: its tail, and in an epoch
 * that is cut short all that it did not come to.
 */
export function droppedOfEpoch(plan: TrainingPlan, epoch: number): Uint32Array {
  const perEpoch = epochSteps(plan);
  const steps = Math.min(perEpoch, plan.steps - epoch * perEpoch);
  return droppedIds(epochOrder(plan, epoch), plan.lanes, plan.microBatch, steps);
}

/** What an epoch, from 0, shows of an image. */
export function viewRule({ seed, views }: Pick<TrainingPlan, 'seed' | 'views'>, epoch: number): ViewRule {
  return { ...views, seed, number: viewNumber(views, epoch) };
}

/** The data set's images, augmented as the plan says. */
export function augmentedImages(dataset: Dataset, plan: TrainingPlan): ImageSource {
  const source = ({ ids, partners, epoch }: ViewedSamples): RequestedImages => {
    const images = dataset.load(ids, { rule: viewRule(plan, epoch), partners });
    return { read: images, images };
  };
  return Object.assign(source, { prefetch: (ids: Uint32Array) => dataset.prefetch(ids) });
}
