/** Teachers that are there before a job, of whatever framework: `teachers[].from`. */
import type { ArchitectureSpec } from '../model/architecture-choice.ts';

/** Where a given teacher comes from. */
export type TeacherSource = WeightsSource | FileSource | EndpointSource;

/** A model of the zoo. */
export interface WeightsSource {
  readonly type: 'weights';
  /** As `NetworkSpec.init`. */
  readonly weights: string;
  /** Absent: what the weights say, which a published model does. */
  readonly arch?: ArchitectureSpec | undefined;
  readonly inputSize?: number | undefined;
}

/** A model in the format of another framework. */
export interface FileSource extends ModelSignature {
  readonly type: 'onnx' | 'saved-model' | 'tfjs';
  /** The `.onnx` file, the folder of `saved_model.pb`, `model.json`; once submitted, the digest of the stored files. */
  readonly path: string;
  /** Of a SavedModel. */
  readonly signature: string;
}

/** A model on a server that speaks the Open Inference Protocol, version 2. */
export interface EndpointSource extends ModelSignature {
  readonly type: 'endpoint';
  /** `grpc://host:port`, `grpcs://…`, or `http(s)://host:port` for REST. */
  readonly url: string;
  readonly model: string;
  /** Absent: the one that answers when the job starts; another one that answers later is refused. */
  readonly version?: string | undefined;
  /** Of one call. */
  readonly timeoutMs: number;
}

/** What a model of another framework takes and answers. */
export interface ModelSignature {
  readonly input: ModelInput;
  readonly output: ModelOutput;
  /** Of its outputs, in their order; absent: the data set's. */
  readonly classNames?: readonly string[] | undefined;
}

export interface ModelInput {
  /** Absent: the model's only input. */
  readonly name?: string | undefined;
  readonly layout: 'nhwc' | 'nchw';
  /** Height and width to which images are scaled; absent: the data set's. */
  readonly size?: number | undefined;
  readonly type: 'float32' | 'uint8';
  /** What a pixel's 0..255 becomes before mean and standard deviation. */
  readonly scale: '0..255' | '0..1' | '-1..1';
  /** By colour, on that scale: subtracted, and divided by. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
  /** Rows of one call. Absent: as many as are asked for at once. */
  readonly batch?: number | undefined;
}

export interface ModelOutput {
  /** Absent: the model's only output. */
  readonly name?: string | undefined;
  /** `probabilities` become logits by their logarithm. */
  readonly kind: 'logits' | 'probabilities';
}
