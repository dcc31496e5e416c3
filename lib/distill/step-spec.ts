/** What a program is compiled from, and what it is fed. */
import type { ModelSpec } from '../model/parameters.ts';
import type { Preprocessing } from './batch-gradient.ts';
import type { LossTerm } from './loss.ts';
import type { Optimizer } from './optimizer.ts';

export interface TrainingSpec {
  readonly terms: readonly LossTerm[];
  readonly temperature: number;
  readonly optimizer: Optimizer;
  readonly totalSteps: number;
  /** Every micro-batch size that will occur: each is traced at its own shape. */
  readonly batchSizes: readonly number[];
}

export interface ProgramSpec {
  readonly model: ModelSpec;
  readonly preprocessing: Preprocessing;
  /** Null for a program that only predicts. */
  readonly training: TrainingSpec | null;
  /** Ascending; a prediction of n images runs at the smallest size that holds them. */
  readonly predictBatchSizes: readonly number[];
}

/** One micro-batch. */
export interface MicroBatch {
  readonly count: number;
  /** RGB 0..255, [count, height, width, channels]. */
  readonly images: Float32Array;
  /** [count], class numbers of the model. */
  readonly labels: Int32Array;
  /** [count, classes], or null when the loss needs none. */
  readonly teacherLogits: Float32Array | null;
}
