/** What a program is compiled from, and what it is fed. */
import type { ImageShape } from '../data/manifest.ts';
import type { Precision } from '../engine/precision.ts';
import type { FineTune } from '../model/freeze.ts';
import type { ModelSpec } from '../model/parameters.ts';
import type { Preprocessing } from './batch-gradient.ts';
import type { Loss } from './loss-spec.ts';
import type { Optimizer } from './optimizer-spec.ts';

/** `auto`: a step that cannot be compiled runs eagerly and says so; `required`: it is refused. */
export type CompileMode = 'auto' | 'required';

export interface TrainingSpec {
  readonly loss: Loss;
  readonly optimizer: Optimizer;
  readonly totalSteps: number;
  /** Every micro-batch size that will occur: each is traced at its own shape. */
  readonly batchSizes: readonly number[];
  /** Which parameters move. */
  readonly fineTune: FineTune;
  /** In which forward and backward compute; weights, sums and updates are float32. */
  readonly precision: Precision;
  readonly compile: CompileMode;
  /** Of what is random within a step: dropout. */
  readonly seed: number;
  /** Whether samples may come without a label; see `MicroBatch.labels`. Absent: no. */
  readonly unlabelled?: boolean;
  /** Weight of every output in `cross-entropy`, [classes]; absent: all 1. */
  readonly classWeights?: readonly number[];
  /** Whether labels come mixed; see `MicroBatch.mixed`. Absent: no. */
  readonly mixed?: boolean;
  /** Whether of the teacher's logits only the largest come; see `MicroBatch.teacherTails`. Absent: no. */
  readonly tails?: boolean;
}

export interface ProgramSpec {
  readonly model: ModelSpec;
  /** What images arrive as; absent: as the model's input. Others are scaled to it. */
  readonly images?: ImageShape;
  readonly preprocessing: Preprocessing;
  /** Null for a program that only predicts. */
  readonly training: TrainingSpec | null;
  /** Ascending; a prediction of n images runs at the smallest size that holds them. */
  readonly predictBatchSizes: readonly number[];
}

export function imageShape({ images, model }: ProgramSpec): ImageShape {
  return images ?? model.input;
}

/** In place of a class number. */
export const NO_LABEL = -1;

/** One micro-batch. Step and lane key what is random in it, so that it computes the same wherever it is computed. */
export interface MicroBatch {
  /** 0-based. */
  readonly step: number;
  readonly lane: number;
  readonly count: number;
  /** RGB 0..255, [count, height, width, channels]. */
  readonly images: Float32Array;
  /** [count], class numbers of the model; `NO_LABEL` where a sample has none and counts by the teacher's answer alone. */
  readonly labels: Int32Array;
  /** Of mixed images; absent where the program takes none. */
  readonly mixed?: MixedLabels | null;
  /** [count, classes], or null when the loss needs none. `TAIL` where a logit was left out. */
  readonly teacherLogits: Float32Array | null;
  /** What `tailLogits` makes of it: [count, the loss's terms]. Absent where the program takes all logits. */
  readonly teacherTails?: Float32Array | null;
}

/** Row i is `shares[i]` of its own label and the rest of another's. */
export interface MixedLabels {
  /** [count], as `MicroBatch.labels`, of the partners. */
  readonly labels: Int32Array;
  /** [count], 0..1: what of each image is its own. */
  readonly shares: Float32Array;
}

/** Of a step's global batch, before its update. */
export interface StepMetrics {
  /** Mean per sample. */
  readonly loss: number;
  /** Share of right answers, 0..1. Right is the label, and for a sample that has none the teacher's answer. */
  readonly accuracy: number;
  /** Loss and statistics included. Where they are not finite, the weights are lost. */
  readonly hasFiniteGradients: boolean;
}

/** How a program's gradients are computed. */
export type StepMode =
  | { readonly kind: 'compiled' }
  | {
      readonly kind: 'eager';
      /** Why it could not be compiled. */
      readonly reason: string;
    };
