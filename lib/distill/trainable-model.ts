/** What the training loop asks of a model, however it is computed. */
import type { MicroBatch, ProgramSpec, StepMetrics, StepMode } from './step-spec.ts';

export interface TrainableModel {
  readonly spec: ProgramSpec;
  /** Length of the vector of sums. */
  readonly vectorSize: number;
  /** Length of each of the optimizer's state vectors. */
  readonly slotSize: number;
  /** Names of the optimizer's state vectors. */
  readonly slots: readonly string[];
  /** How gradients are computed; null for a model that only predicts. */
  readonly mode: StepMode | null;
  /** See `StepProgram`. The images of a batch are handed over: the caller's array is empty afterwards. */
  sums(batch: MicroBatch): Promise<Float32Array>;
  loneStep(batch: MicroBatch): Promise<StepMetrics>;
  apply(mean: Float32Array, step: number): Promise<void>;
  /** The images are handed over. */
  predict(images: Float32Array, count: number): Promise<Float32Array>;
  /** Of the whole model: `parameters`, `statistics`, or a slot. */
  write(name: string, values: Float32Array): Promise<void>;
  read(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

/**
 * The images of samples as the model's steps take them, [ids, height, width, channels] in a buffer of their own.
 * @param epoch decides on the augmentation
 */
export type ImageSource = (ids: Uint32Array, epoch: number) => Float32Array | Promise<Float32Array>;
