/** Messages between a process's main thread and its compute thread. Large arrays are transferred, not copied. */
import type { MicroBatch, ProgramSpec } from './step-spec.ts';

/** What the compute thread can be asked, by name: arguments and result. */
export interface ComputeCalls {
  fingerprint: { arguments: Record<string, never>; result: string };
  /** Compiles a program; its number names it in the other calls. */
  open: { arguments: { program: number; spec: ProgramSpec }; result: { vectorSize: number } };
  write: { arguments: { program: number; name: string; values: Float32Array }; result: null };
  read: { arguments: { program: number; name: string }; result: Float32Array };
  sums: { arguments: { program: number; batch: MicroBatch }; result: Float32Array };
  apply: { arguments: { program: number; mean: Float32Array; step: number }; result: null };
  predict: { arguments: { program: number; images: Float32Array; count: number }; result: Float32Array };
  close: { arguments: { program: number }; result: null };
}

export type ComputeCall = keyof ComputeCalls;

export interface ComputeRequest {
  readonly id: number;
  readonly call: ComputeCall;
  readonly arguments: unknown;
}

export interface ComputeFailure {
  readonly code: string;
  readonly message: string;
  readonly stack: string | undefined;
}

export interface ComputeReply {
  readonly id: number;
  readonly result?: unknown;
  readonly failure?: ComputeFailure;
}
