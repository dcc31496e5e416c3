/** The Open Inference Protocol in our own terms: what its gRPC and its REST form have in common. */
import type { Datatype, TensorValues } from './datatypes.ts';

/**
 * A setting or a remark. Numbers travel as doubles and bigints as whole numbers: the sender's choice of type decides
 * which field of the protocol carries it, not whether the value happens to be whole.
 */
export type ParameterValue = boolean | string | number | bigint;
export type Parameters = Readonly<Record<string, ParameterValue>>;

/** A named array. */
export interface OipTensor {
  readonly name: string;
  readonly datatype: Datatype;
  /** Row-major lengths; their product is the number of values. */
  readonly shape: readonly number[];
  readonly values: TensorValues;
}

export interface InferRequest {
  readonly modelName: string;
  /** Empty for whichever is current. */
  readonly modelVersion: string;
  /** Repeated by the response; empty for none. */
  readonly id: string;
  readonly parameters: Parameters;
  readonly inputs: readonly OipTensor[];
  /** Names of the outputs to answer, in that order; empty for all. */
  readonly outputs: readonly string[];
}

export interface InferResponse {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly id: string;
  readonly parameters: Parameters;
  readonly outputs: readonly OipTensor[];
}

export interface TensorMetadata {
  readonly name: string;
  readonly datatype: Datatype;
  /** -1 where the request decides. */
  readonly shape: readonly number[];
}

export interface ModelMetadata {
  readonly name: string;
  readonly versions: readonly string[];
  readonly platform: string;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
}

export interface ServerMetadata {
  readonly name: string;
  readonly version: string;
  readonly extensions: readonly string[];
}

export interface CallScope {
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/**
 * What a server of models does, whichever way it is asked. The gRPC and the REST front end stand before one of these.
 */
export interface InferenceBackend {
  /** Names the kind of server in its metadata, e.g. `stillhouse-router`. */
  readonly serverName: string;
  live(): boolean;
  ready(): boolean;
  /** False for a model that is unknown or cannot answer now. */
  modelReady(name: string, version: string): boolean;
  /** @throws NOT_FOUND: no such model or version; UNAVAILABLE: not ready. */
  metadata(name: string, version: string, scope: CallScope): Promise<ModelMetadata>;
  /** @throws NOT_FOUND, UNAVAILABLE; INVALID_ARGUMENT when the tensors do not fit, with the tensor's name as field. */
  infer(request: InferRequest, scope: CallScope): Promise<InferResponse>;
}
