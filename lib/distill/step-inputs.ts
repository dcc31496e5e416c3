/** What coming steps are computed from, chosen and asked for ahead of the step that is computed. */

import type { ImageShape } from '../data/manifest.ts';
import { mixShares, PartnerPools, partnersOf } from '../data/views.ts';
import { LaneWalk } from './lane-walk.ts';
import type { TeacherLogits } from './logits/format.ts';
import { ReadAhead } from './read-ahead.ts';
import type { MixedLabels } from './step-spec.ts';
import type { ImageSource, RequestedImages } from './trainable-model.ts';
import { type TrainingPlan, viewRule } from './training-plan.ts';

export interface LogitsSource {
  /** What the teachers answer to one lane's micro-batch, [ids, outputs of the student]. */
  logits(request: LogitsRequest): Promise<TeacherLogits>;
  /** Told of each step that has been committed: nobody waits for what it was asked for any more. */
  committed?(step: number): void;
}

export interface LogitsRequest {
  readonly step: number;
  readonly lane: number;
  readonly ids: Uint32Array;
  /** The sample that each one is mixed with; null where nothing is mixed. */
  readonly partners: Uint32Array | null;
  readonly epoch: number;
}

/** One lane's micro-batch. */
export interface LaneInputs {
  readonly lane: number;
  readonly ids: Uint32Array;
  /** [ids], see `MicroBatch`. */
  readonly labels: Int32Array;
  readonly mixed: MixedLabels | null;
  /** Null without a teacher, and where there are no samples. */
  readonly logits: Promise<TeacherLogits> | null;
  /** The same whenever it is called. The first call asks for the images. */
  readonly images: () => RequestedImages;
}

export interface StepInputs {
  readonly lanes: readonly LaneInputs[];
}

export interface StepInputsOptions {
  readonly plan: TrainingPlan;
  /** The worker's block of lanes. */
  readonly firstLane: number;
  readonly lanes: number;
  readonly images: ImageSource;
  /** Of the images, in the plan's data set. */
  readonly image: ImageShape;
  /** Null when the loss needs no teacher. */
  readonly teacher: LogitsSource | null;
  /** That comes first. Default 0. */
  readonly firstStep?: number | undefined;
}

/** Steps whose logits, and images if they are small, are asked for ahead of the one that is computed. */
const LOOKAHEAD_STEPS = 4;
/** Images that are held for coming steps, unless those of the next step alone are more. */
const AHEAD_BYTES_MAX = 2 ** 27;

/** The steps of a training, in order, from any of them on: what a step is computed from does not depend on those before it. */
export class StepInputsAhead {
  readonly #options: StepInputsOptions;
  readonly #walk: LaneWalk;
  readonly #imageSteps: number;
  readonly #partners: PartnerPools;
  readonly #readAhead: ReadAhead | null;
  readonly #coming: StepInputs[] = [];
  /** The step behind those that are coming. */
  #next: number;

  constructor(options: StepInputsOptions) {
    this.#options = options;
    const { plan, lanes, image, images } = options;
    this.#walk = new LaneWalk(plan);
    this.#partners = new PartnerPools(plan);
    const { prefetch } = images;
    this.#readAhead = prefetch === undefined ? null : new ReadAhead({ ...options, prefetch });
    this.#next = options.firstStep ?? 0;
    const imageBytes = Float32Array.BYTES_PER_ELEMENT * image.height * image.width * image.channels;
    const fitting = Math.floor(AHEAD_BYTES_MAX / (lanes * plan.microBatch * imageBytes));
    this.#imageSteps = Math.min(LOOKAHEAD_STEPS, Math.max(1, fitting));
  }

  /** Settles when the images of the next step have been read. */
  async readFirst(): Promise<void> {
    this.#fill();
    const lanes = this.#coming[0]?.lanes ?? [];
    await Promise.all(lanes.filter(({ ids }) => ids.length > 0).map(({ images }) => images().read));
  }

  /** The next step; the logits of those behind it are asked for. */
  next(): StepInputs {
    this.#fill();
    return this.#coming.shift() as StepInputs;
  }

  /** Asks for images of coming steps: call it when the engine has work, since some sources read in the calling thread. */
  loadAhead(): void {
    for (const { lanes } of this.#coming.slice(0, this.#imageSteps)) {
      for (const { ids, images } of lanes) if (ids.length > 0) images();
    }
  }

  #fill(): void {
    const { steps } = this.#options.plan;
    while (this.#coming.length <= LOOKAHEAD_STEPS && this.#next < steps) this.#coming.push(this.#choose(this.#next++));
  }

  #choose(step: number): StepInputs {
    const { firstLane, lanes } = this.#options;
    this.#readAhead?.stepChosen(step);
    return { lanes: Array.from({ length: lanes }, (_, index) => this.#chooseLane(step, firstLane + index)) };
  }

  #chooseLane(step: number, lane: number): LaneInputs {
    const { plan, teacher, images, image } = this.#options;
    const epoch = this.#walk.epochOf(step);
    const ids = this.#walk.idsOf(step, lane);
    const rule = viewRule(plan, epoch);
    const partners = partnersOf(ids, this.#partners, rule);
    const mixed =
      partners === null
        ? null
        : { labels: Int32Array.from(partners, plan.labelOf), shares: mixShares(ids, rule, image) };
    const asksTeacher = teacher !== null && ids.length > 0;
    return {
      lane,
      ids,
      labels: Int32Array.from(ids, plan.labelOf),
      mixed,
      logits: asksTeacher ? handled(teacher.logits({ step, lane, ids, partners, epoch })) : null,
      images: once(() => {
        const requested = images({ ids, partners, epoch });
        return { read: handled(requested.read), images: handled(requested.images) };
      }),
    };
  }
}

/** A failure surfaces when its step awaits it; until then it must not count as unhandled. */
function handled<T>(work: Promise<T>): Promise<T> {
  work.catch(() => undefined);
  return work;
}

function once<T>(start: () => T): () => T {
  let started: T | undefined;
  return () => {
    started ??= start();
    return started;
  };
}
