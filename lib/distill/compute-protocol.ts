/** Messages between a process's main thread and its compute thread. Large arrays are transferred, not copied. */
import type { ThreadFailure } from '../base/thread-failure.ts';
import type { CustomLossSource } from './custom-loss.ts';
import type { ForeignAnswer, ForeignBatch, ForeignFacts, ForeignModelFile } from './foreign-model.ts';
import type { ImageBatch, ImageInput, InputValues } from './image-input.ts';
import type { MicroBatch, ProgramSpec, StepMetrics, StepMode } from './step-spec.ts';

/** What is known of a program once it is compiled; see `StepProgram`. */
export interface ProgramFacts {
  readonly vectorSize: number;
  readonly slotSize: number;
  readonly mode: StepMode | null;
}

/** What the compute thread can be asked, by name: arguments and result. */
export interface ComputeCalls {
  fingerprint: { arguments: Record<string, never>; result: string };
  /** Loads the code of a custom loss, for programs that are opened later; see `loadCustomLoss`. */
  loadLoss: { arguments: CustomLossSource; result: { needsTeacher: boolean } };
  /** Compiles a program; its number names it in the other calls. */
  open: { arguments: { program: number; spec: ProgramSpec }; result: ProgramFacts };
  write: { arguments: { program: number; name: string; values: Float32Array }; result: null };
  read: { arguments: { program: number; name: string }; result: Float32Array };
  sums: { arguments: { program: number; batch: MicroBatch }; result: Float32Array };
  loneStep: { arguments: { program: number; batch: MicroBatch }; result: StepMetrics };
  apply: { arguments: { program: number; mean: Float32Array; step: number }; result: null };
  predict: { arguments: { program: number; images: Float32Array; count: number }; result: Float32Array };
  close: { arguments: { program: number }; result: null };
  /** Loads a model of another framework; its number names it in the other calls. */
  openForeign: { arguments: { model: number; file: ForeignModelFile }; result: ForeignFacts };
  predictForeign: { arguments: ForeignBatch & { readonly model: number }; result: ForeignAnswer };
  closeForeign: { arguments: { model: number }; result: null };
  /** See `inputValues`. */
  imageInput: { arguments: ImageBatch & { readonly input: ImageInput; readonly rows: number }; result: InputValues };
}

export type ComputeCall = keyof ComputeCalls;

export interface ComputeRequest {
  readonly id: number;
  readonly call: ComputeCall;
  readonly arguments: unknown;
}

export interface ComputeReply {
  readonly id: number;
  readonly result?: unknown;
  readonly failure?: ThreadFailure;
  /** The images that were handed over with the request, for their memory. */
  readonly room?: Float32Array;
}
