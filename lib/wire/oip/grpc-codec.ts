/** The protocol's gRPC messages from and to our own terms. Both directions for both messages: we serve and we call. */
import { StillhouseError } from '../../base/errors.ts';
import type { InferParameter, InferParameter__Output } from '../generated/inference/InferParameter.ts';
import type { InferTensorContents__Output } from '../generated/inference/InferTensorContents.ts';
import type { ModelInferRequest, ModelInferRequest__Output } from '../generated/inference/ModelInferRequest.ts';
import type { ModelInferResponse, ModelInferResponse__Output } from '../generated/inference/ModelInferResponse.ts';
import { rawOfTensor, tensorFromRaw } from './raw-tensor.ts';
import { checkNames } from './requests.ts';
import { contentsOfTensor, hasElements, tensorFromContents } from './typed-tensor.ts';
import type { InferRequest, InferResponse, OipTensor, Parameters, ParameterValue } from './types.ts';

interface TensorMessage {
  readonly name: string;
  readonly datatype: string;
  readonly shape: number[];
  readonly contents: InferTensorContents__Output | null;
}

/** @throws INVALID_ARGUMENT naming the tensor at fault. */
export function decodeRequest(message: ModelInferRequest__Output): InferRequest {
  const request = {
    modelName: message.modelName,
    modelVersion: message.modelVersion,
    id: message.id,
    parameters: decodeParameters(message.parameters),
    inputs: decodeTensors(message.inputs, message.rawInputContents, 'raw_input_contents'),
    outputs: message.outputs.map((output) => output.name),
  };
  checkNames(request);
  return request;
}

/** How the elements of a request's inputs are written: as bytes, which all but a few old servers read, or number by number. */
export type Contents = 'raw' | 'typed';

export function encodeRequest(request: InferRequest, contents: Contents = 'raw'): ModelInferRequest {
  const isRaw = contents === 'raw';
  return {
    modelName: request.modelName,
    modelVersion: request.modelVersion,
    id: request.id,
    parameters: encodeParameters(request.parameters),
    inputs: request.inputs.map((tensor) => ({
      ...describeTensor(tensor),
      ...(!isRaw && { contents: contentsOfTensor(tensor) }),
    })),
    outputs: request.outputs.map((name) => ({ name })),
    rawInputContents: isRaw ? request.inputs.map(rawOfTensor) : [],
  };
}

/** @throws INVALID_ARGUMENT naming the tensor at fault. */
export function decodeResponse(message: ModelInferResponse__Output): InferResponse {
  return {
    modelName: message.modelName,
    modelVersion: message.modelVersion,
    id: message.id,
    parameters: decodeParameters(message.parameters),
    outputs: decodeTensors(message.outputs, message.rawOutputContents, 'raw_output_contents'),
  };
}

/** Always raw: widely used clients read nothing else. */
export function encodeResponse(response: InferResponse): ModelInferResponse {
  return {
    modelName: response.modelName,
    modelVersion: response.modelVersion,
    id: response.id,
    parameters: encodeParameters(response.parameters),
    outputs: response.outputs.map(describeTensor),
    rawOutputContents: response.outputs.map(rawOfTensor),
  };
}

function describeTensor(tensor: OipTensor) {
  return { name: tensor.name, datatype: tensor.datatype, shape: [...tensor.shape] };
}

function decodeTensors(tensors: readonly TensorMessage[], raw: readonly Buffer[], rawField: string): OipTensor[] {
  if (raw.length === 0) return tensors.map(decodeTyped);
  // Some write the message without any element beside the raw contents.
  const mixed = tensors.find(({ contents }) => contents !== null && hasElements(contents));
  if (mixed !== undefined) {
    throw new StillhouseError(
      'INVALID_ARGUMENT',
      `tensor "${mixed.name}" has contents although ${rawField} is used; a message holds one or the other`,
      { field: mixed.name },
    );
  }
  if (raw.length !== tensors.length) {
    throw new StillhouseError(
      'INVALID_ARGUMENT',
      `${rawField} has ${raw.length} entries for ${tensors.length} tensors`,
      { field: rawField },
    );
  }
  return tensors.map((tensor, index) =>
    tensorFromRaw(tensor.name, tensor.datatype, tensor.shape, raw[index] as Buffer),
  );
}

const NO_CONTENTS: InferTensorContents__Output = {
  boolContents: [],
  intContents: [],
  int64Contents: [],
  uintContents: [],
  uint64Contents: [],
  fp32Contents: [],
  fp64Contents: [],
  bytesContents: [],
};

function decodeTyped(tensor: TensorMessage): OipTensor {
  return tensorFromContents(tensor.name, tensor.datatype, tensor.shape, tensor.contents ?? NO_CONTENTS);
}

export function encodeParameters(parameters: Parameters): Record<string, InferParameter> {
  return Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, encodeParameter(value)]));
}

function encodeParameter(value: ParameterValue): InferParameter {
  if (typeof value === 'boolean') return { boolParam: value };
  if (typeof value === 'string') return { stringParam: value };
  if (typeof value === 'bigint') return { int64Param: value.toString() };
  return { doubleParam: value };
}

export function decodeParameters(parameters: Readonly<Record<string, InferParameter__Output>>): Parameters {
  const decoded = Object.entries(parameters).map(([name, value]) => [name, decodeParameter(value)] as const);
  return Object.fromEntries(
    decoded.filter((entry): entry is readonly [string, ParameterValue] => entry[1] !== undefined),
  );
}

/** Undefined for a parameter without a value. */
function decodeParameter(parameter: InferParameter__Output): ParameterValue | undefined {
  const { boolParam, stringParam, doubleParam } = parameter;
  const whole = parameter.int64Param ?? parameter.uint64Param;
  return boolParam ?? stringParam ?? doubleParam ?? (whole === undefined ? undefined : BigInt(whole));
}
