/**
 * Bodies of the REST form: JSON, and the binary extension, where tensors follow the JSON as raw bytes and a header says
 * how long the JSON is.
 */
import { z } from 'zod';
import { StillhouseError } from '../../base/errors.ts';
import { isDatatype, tensorError } from './datatypes.ts';
import { jsonOfTensor, tensorFromJson } from './json-tensor.ts';
import { rawOfTensor, tensorFromRaw } from './raw-tensor.ts';
import { checkNames } from './requests.ts';
import type { InferRequest, InferResponse, ModelMetadata, OipTensor, Parameters, TensorMetadata } from './types.ts';

/** Bytes of JSON at the start of a body that carries binary tensors after it. Header names arrive in lower case. */
export const HEADER_LENGTH = 'inference-header-content-length';

const parameters = z.record(z.string(), z.union([z.boolean(), z.string(), z.number()])).default({});

const tensorSchema = z.object({
  name: z.string(),
  shape: z.array(z.number()),
  datatype: z.string(),
  parameters,
  data: z.unknown().optional(),
});

const requestSchema = z.object({
  id: z.string().default(''),
  parameters,
  inputs: z.array(tensorSchema),
  outputs: z.array(z.object({ name: z.string(), parameters })).default([]),
});

const responseSchema = z.object({
  model_name: z.string(),
  model_version: z
    .string()
    .nullish()
    .transform((version) => version ?? ''),
  id: z
    .string()
    .nullish()
    .transform((id) => id ?? ''),
  outputs: z.array(tensorSchema.extend({ parameters: z.record(z.string(), z.unknown()).nullish() })),
});

const portsSchema = z
  .array(
    z.object({
      name: z.string('expected the name of a tensor'),
      datatype: z.string('expected the name of a datatype'),
      shape: z.array(z.int('expected a whole number'), 'expected a list of whole numbers'),
    }),
    'expected a list of tensors',
  )
  .nullish();

const metadataSchema = z.object({
  name: z.string('expected a name').nullish(),
  versions: z.array(z.string('expected the name of a version'), 'expected a list of versions').nullish(),
  platform: z.string('expected a name').nullish(),
  inputs: portsSchema,
  outputs: portsSchema,
});

interface TensorBody {
  readonly name: string;
  readonly shape: readonly number[];
  readonly datatype: string;
  readonly parameters?: Readonly<Record<string, unknown>> | null | undefined;
  readonly data?: unknown;
}

export interface RestRequest {
  readonly request: InferRequest;
  /** Whether the caller wants the output of this name as binary data. */
  wantsBinary(output: string): boolean;
}

/**
 * @param headerLength the header's text; undefined when it is absent: then all of the body is JSON
 * @throws INVALID_ARGUMENT naming the field or tensor at fault.
 */
export function decodeRestRequest(
  model: { readonly name: string; readonly version: string },
  body: Uint8Array,
  headerLength: string | undefined,
): RestRequest {
  const jsonBytes = parseHeaderLength(headerLength, body.byteLength);
  const json = parseBody(body.subarray(0, jsonBytes), requestSchema);
  const { binary_data_output: binaryByDefault, ...rest } = json.parameters;
  const request: InferRequest = {
    modelName: model.name,
    modelVersion: model.version,
    id: json.id,
    parameters: rest,
    inputs: decodeTensors(json.inputs, body.subarray(jsonBytes)),
    outputs: json.outputs.map((output) => output.name),
  };
  checkNames(request);
  const wishes = new Map(json.outputs.map((output) => [output.name, output.parameters.binary_data]));
  return { request, wantsBinary: (output) => (wishes.get(output) ?? binaryByDefault) === true };
}

function parseHeaderLength(text: string | undefined, bodyBytes: number): number {
  if (text === undefined) return bodyBytes;
  const length = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (length <= bodyBytes) return length;
  throw new StillhouseError(
    'INVALID_ARGUMENT',
    `the header Inference-Header-Content-Length is "${text}", expected bytes of JSON out of the body's ${bodyBytes}`,
    { field: 'Inference-Header-Content-Length' },
  );
}

function parseBody<T>(bytes: Uint8Array, schema: z.ZodType<T>): T {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new StillhouseError('INVALID_ARGUMENT', `the body is no JSON: ${(error as Error).message}`, {
      hint: 'a body with binary tensors needs the header Inference-Header-Content-Length',
      cause: error,
    });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = (issue?.path ?? []).reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : `${text}${text === '' ? '' : '.'}${String(part)}`),
    '',
  );
  throw new StillhouseError('INVALID_ARGUMENT', `${path === '' ? 'the body' : path}: ${issue?.message}`, {
    ...(path === '' ? {} : { field: path }),
  });
}

/** @param binary what follows the JSON; every byte must belong to a tensor */
function decodeTensors(bodies: readonly TensorBody[], binary: Uint8Array): OipTensor[] {
  let at = 0;
  const tensors = bodies.map(({ name, datatype, shape, data, parameters }) => {
    const { binary_data_size: size, content_type } = parameters ?? {};
    if (size === undefined) {
      const own: Parameters = content_type === 'base64' ? { content_type } : {};
      return tensorFromJson(name, datatype, shape, data, own);
    }
    if (data !== undefined) throw tensorError(name, 'has both data and binary_data_size, expected one');
    if (typeof size !== 'number' || !Number.isInteger(size) || size < 0) {
      throw tensorError(name, `has the binary_data_size ${JSON.stringify(size)}, expected a number of bytes`);
    }
    if (at + size > binary.byteLength) {
      throw tensorError(name, `has the binary_data_size ${size}, but ${binary.byteLength - at} bytes are left`);
    }
    at += size;
    return tensorFromRaw(name, datatype, shape, binary.subarray(at - size, at));
  });
  if (at === binary.byteLength) return tensors;
  throw new StillhouseError(
    'INVALID_ARGUMENT',
    `${binary.byteLength - at} bytes after the JSON belong to no tensor: the sum of binary_data_size is ${at}`,
    { field: 'binary_data_size' },
  );
}

/** A request or a response, as bytes. */
export interface RestBody {
  readonly body: Buffer;
  /** Set when binary tensors follow the JSON. */
  readonly headerLength: number | undefined;
}

/** @throws INVALID_ARGUMENT when an output cannot be written as JSON and was not asked for as binary data. */
export function encodeRestResponse(response: InferResponse, wantsBinary: (output: string) => boolean): RestBody {
  const raws: Uint8Array[] = [];
  const outputs = response.outputs.map((tensor) => {
    const head = { name: tensor.name, datatype: tensor.datatype, shape: tensor.shape };
    if (!wantsBinary(tensor.name)) return { ...head, data: jsonOfTensor(tensor) };
    const raw = rawOfTensor(tensor);
    raws.push(raw);
    return { ...head, parameters: { binary_data_size: raw.byteLength } };
  });
  const json = Buffer.from(
    JSON.stringify({
      model_name: response.modelName,
      model_version: response.modelVersion,
      ...(response.id === '' ? {} : { id: response.id }),
      ...(Object.keys(response.parameters).length === 0 ? {} : { parameters: jsonParameters(response.parameters) }),
      outputs,
    }),
  );
  if (raws.length === 0) return { body: json, headerLength: undefined };
  return { body: Buffer.concat([json, ...raws]), headerLength: json.byteLength };
}

/** As a client sends it; with `isBinary` its tensors, and those of the answer, are raw bytes. */
export function encodeRestRequest(
  { id, inputs, outputs }: Pick<InferRequest, 'id' | 'inputs' | 'outputs'>,
  isBinary: boolean,
): RestBody {
  const raws: Uint8Array[] = [];
  const tensors = inputs.map((tensor) => {
    const head = { name: tensor.name, datatype: tensor.datatype, shape: tensor.shape };
    if (!isBinary) return { ...head, data: jsonOfTensor(tensor) };
    const raw = rawOfTensor(tensor);
    raws.push(raw);
    return { ...head, parameters: { binary_data_size: raw.byteLength } };
  });
  const asked = outputs.map((name) => (isBinary ? { name, parameters: { binary_data: true } } : { name }));
  const json = Buffer.from(
    JSON.stringify({
      ...(id === '' ? {} : { id }),
      inputs: tensors,
      ...(asked.length === 0 ? {} : { outputs: asked }),
    }),
  );
  if (raws.length === 0) return { body: json, headerLength: undefined };
  return { body: Buffer.concat([json, ...raws]), headerLength: json.byteLength };
}

/** @throws INVALID_ARGUMENT naming the field or tensor at fault. */
export function decodeRestResponse(body: Uint8Array, headerLength: string | undefined): InferResponse {
  const jsonBytes = parseHeaderLength(headerLength, body.byteLength);
  const { model_name, model_version, id, outputs } = parseBody(body.subarray(0, jsonBytes), responseSchema);
  return {
    modelName: model_name,
    modelVersion: model_version,
    id,
    parameters: {},
    outputs: decodeTensors(outputs, body.subarray(jsonBytes)),
  };
}

/**
 * What a server says of a model. What it leaves out is empty.
 * @param name of the model
 * @throws INVALID_ARGUMENT naming the field at fault
 */
export function decodeRestMetadata(body: Uint8Array, name: string): ModelMetadata {
  const { versions, platform, inputs, outputs, ...said } = parseBody(body, metadataSchema);
  return {
    name: said.name ?? name,
    versions: versions ?? [],
    platform: platform ?? '',
    inputs: portsOf(inputs),
    outputs: portsOf(outputs),
  };
}

/** Of datatypes that we know: a model may have more than a teacher needs. */
function portsOf(said: z.infer<typeof portsSchema>): TensorMetadata[] {
  return (said ?? []).filter((port): port is typeof port & TensorMetadata => isDatatype(port.datatype));
}

function jsonParameters(values: Parameters): Record<string, boolean | string | number> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value]),
  );
}
