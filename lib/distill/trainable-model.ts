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

/** Samples of a micro-batch, and what of them is to be seen. */
export interface ViewedSamples {
  readonly ids: Uint32Array;
  /** The sample that each one is mixed with; null where nothing is mixed. */
  readonly partners: Uint32Array | null;
  /** From 0. */
  readonly epoch: number;
}

export interface RequestedImages {
  /** Settles when they have been read; what is left then is compute. */
  readonly read: Promise<unknown>;
  /** As the model's steps take them, [ids, height, width, channels] in a buffer of their own. */
  readonly images: Promise<Float32Array>;
}

/** Where the images of samples come from. */
export interface ImageSource {
  (samples: ViewedSamples): RequestedImages;
  /** Told of samples that will be asked for in a while; absent where nothing can be done about it. See `Dataset.prefetch`. */
  readonly prefetch?: (ids: Uint32Array) => void;
}
