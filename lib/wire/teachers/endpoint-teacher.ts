/** Teachers on servers that speak the Open Inference Protocol, version 2: Triton, KServe, MLServer, our own. */
import { type ErrorCode, StillhouseError } from '../../base/errors.ts';
import { floatsOfHalves } from '../../base/float16.ts';
import { retryUnavailable } from '../../base/retry.ts';
import type { ForeignAnswer, ForeignBatch } from '../../distill/foreign-model.ts';
import type { PortFact } from '../../engine/ports.ts';
import { type CallLimits, MESSAGE_BYTES_MAX } from '../grpc.ts';
import type { EndpointSource } from '../job-spec.ts';
import { outputOf } from '../oip/client.ts';
import type { InferResponse, ModelMetadata, OipTensor, TensorMetadata } from '../oip/types.ts';
import { connectEndpoint, type EndpointCalls } from './endpoint-calls.ts';
import { ForeignTeacher } from './foreign-teacher.ts';
import { fitSignature, type ModelFit, NUMBER_TYPES } from './signature.ts';
import { sourceDigest } from './source-digest.ts';
import type { OpenTeacherRequest, TeacherModel } from './teacher-model.ts';

/** Of a server that is there and will say the same again. */
const REFUSALS: readonly ErrorCode[] = ['NOT_FOUND', 'INVALID_ARGUMENT', 'UNIMPLEMENTED', 'INTERNAL'];

/** Of a server that has too much to do, as opposed to a model that cannot answer. */
const BUSY: readonly ErrorCode[] = ['DEADLINE_EXCEEDED', 'RESOURCE_EXHAUSTED', 'ABORTED', 'CANCELLED'];
/** How gRPC refuses messages at either end: the same one would be refused again. */
const TOO_LARGE = /\bmessage\b.* larger than/i;

/** Of a call's own limit: an answer that is late is asked for once more. */
const PATIENCE = 1.5;
const RETRY_MS = 200;
const MAX_RETRY_MS = 2_000;

/** Of a message beside its numbers. */
const ENVELOPE_BYTES = 64 * 1024;

/**
 * Asks the server for the model, and once for an answer.
 * @param field the source's place in the job file
 * @throws UNAVAILABLE when the server does not answer, or not in time; INVALID_ARGUMENT when it has no such model, when images are too
 *   large for a message, or what `fitSignature` says of it; DATA_LOSS when it answers something else
 */
export async function openEndpoint(
  source: EndpointSource,
  request: OpenTeacherRequest,
  field: string,
): Promise<TeacherModel> {
  const calls = connectEndpoint(source);
  try {
    const limits = { timeoutMs: source.timeoutMs, signal: request.signal };
    const metadata = await patiently(limits, () => calls.metadata(limits));
    const { image, classNames } = request.dataset;
    const ports = { inputs: metadata.inputs.map(factOf), outputs: metadata.outputs.map(factOf) };
    const fit = fitSignature(source, ports, { types: NUMBER_TYPES.endpoint, path: field, image, classNames });
    const rowsMax = rowsOfMessage(calls, fit, field);
    const predictor = new EndpointPredictor(calls, source, request, metadata);
    const digest = () => sourceDigest(source, fit.classNames, predictor.served);
    return await ForeignTeacher.open({ predictor, fit, request, digest, rowsMax });
  } catch (error) {
    calls.close();
    throw cannotOpen(error, source, field);
  }
}

class EndpointPredictor {
  readonly #calls: EndpointCalls;
  readonly #source: EndpointSource;
  readonly #request: OpenTeacherRequest;
  readonly #metadata: ModelMetadata;
  /** Undefined until the first answer. */
  #version: string | undefined;

  constructor(calls: EndpointCalls, source: EndpointSource, request: OpenTeacherRequest, metadata: ModelMetadata) {
    this.#calls = calls;
    this.#source = source;
    this.#request = request;
    this.#metadata = metadata;
  }

  /** What the server says of the model, and as which version it answered first. */
  get served(): object {
    const { inputs, outputs, platform, versions } = this.#metadata;
    const version = this.#version || this.#source.version || versions.join();
    return { inputs, outputs, platform, version };
  }

  async predict(batch: ForeignBatch): Promise<ForeignAnswer> {
    const wasKnown = this.#version !== undefined;
    try {
      return await this.#ask(batch);
    } catch (thrown) {
      const error = StillhouseError.from(thrown);
      if (!wasKnown || !REFUSALS.includes(error.code)) throw error;
      const { model, url } = this.#source;
      const message = `${url} refuses images for model ${model}, which it took before: ${error.message}`;
      throw new StillhouseError('FAILED_PRECONDITION', message, { cause: error });
    }
  }

  async #ask({ images, count, image, input, rowShape, output, rows }: ForeignBatch): Promise<ForeignAnswer> {
    const { compute, signal } = this.#request;
    const values = await compute.imageInput({ images, count, image }, input, rows);
    const datatype = values instanceof Uint8Array ? 'UINT8' : 'FP32';
    const tensor: OipTensor = { name: input.name, datatype, shape: [rows, ...rowShape], values };
    const limits = { timeoutMs: this.#source.timeoutMs, signal };
    let wasAway = false;
    const response = await patiently(limits, async () => {
      try {
        return await this.#calls.infer(tensor, output, limits);
      } catch (error) {
        wasAway = true;
        throw error;
      }
    });
    this.#requireVersion(response);
    if (wasAway) this.#requireSame(await patiently(limits, () => this.#calls.metadata(limits)));
    return floatsOf(outputOf(response, output));
  }

  async close(): Promise<void> {
    this.#calls.close();
  }

  #requireVersion({ modelVersion }: InferResponse): void {
    const { version } = this.#source;
    this.#version ??= version === undefined || modelVersion === '' ? modelVersion : version;
    if (modelVersion !== '' && modelVersion !== this.#version) throw this.#changed(modelVersion);
  }

  /** Who was away may come back as another. */
  #requireSame(metadata: ModelMetadata): void {
    if (JSON.stringify(metadata) !== JSON.stringify(this.#metadata)) throw this.#changed(metadata.versions.join());
  }

  #changed(version: string): StillhouseError {
    const { model, url } = this.#source;
    const known = this.#version === '' ? 'another one' : this.#version;
    const message = `version change: ${url} answers as version "${version}" of ${model}, the job has begun with ${known}`;
    return new StillhouseError('FAILED_PRECONDITION', message, {
      hint: 'let the server serve the version that the job has begun with, or submit the job again',
    });
  }
}

/** @throws INVALID_ARGUMENT naming the key in the job file when the model's own batch, or one image, is larger than a message */
function rowsOfMessage(calls: EndpointCalls, { input, rowShape, classNames, batch }: ModelFit, field: string): number {
  const asked = rowShape.reduce((product, length) => product * length, 1);
  const rowBytes = Math.max(
    asked * calls.valueBytes(input.type === 'uint8' ? 'UINT8' : 'FP32'),
    classNames.length * calls.valueBytes('FP64'),
  );
  const rows = Math.floor((MESSAGE_BYTES_MAX - ENVELOPE_BYTES) / rowBytes);
  if (rows >= (batch ?? 1)) return rows;
  const key = `${field}.input.${batch === undefined ? 'size' : 'batch'}`;
  const message = `${key}: ${batch ?? 1} images of ${rowBytes} bytes each do not fit into a message of ${MESSAGE_BYTES_MAX}`;
  throw new StillhouseError('INVALID_ARGUMENT', message, { field: key });
}

/** A server may be away for a moment, or have too much to do. */
function patiently<T>({ timeoutMs, signal }: Required<CallLimits>, call: () => Promise<T>): Promise<T> {
  const asked = () =>
    call().catch((thrown) => {
      signal.throwIfAborted();
      throw ofServer(StillhouseError.from(thrown));
    });
  const patienceMs = PATIENCE * timeoutMs;
  return retryUnavailable(asked, { patienceMs, retryMs: RETRY_MS, maxRetryMs: MAX_RETRY_MS, signal });
}

/** What a server says of itself would mean something else of a batch of ours. */
function ofServer(error: StillhouseError): StillhouseError {
  const { code, message } = error;
  if (!BUSY.includes(code)) return error;
  if (!TOO_LARGE.test(message)) return new StillhouseError('UNAVAILABLE', message, { cause: error });
  const hint = 'name fewer images for a call: from.input.batch';
  return new StillhouseError('INVALID_ARGUMENT', message, { hint, cause: error });
}

/** The protocol's names of types, as frameworks call them. */
function factOf({ name, datatype, shape }: TensorMetadata): PortFact {
  const type = datatype.replace(/^FP/, 'float').toLowerCase();
  return { name, type, shape: shape.length === 0 ? null : shape };
}

function cannotOpen(thrown: unknown, { url, model }: EndpointSource, field: string): StillhouseError {
  const error = StillhouseError.from(thrown);
  const { code, message, hint } = error;
  // What the signature gets wrong is named already.
  if (!REFUSALS.includes(code) || error.field?.startsWith(field)) return error;
  const isUnknown = code === 'NOT_FOUND';
  const at = isUnknown ? `${field}.model` : `${field}.input`;
  const what = isUnknown ? `has no model ${model}` : `refuses images for model ${model}`;
  const details = { field: at, ...(hint !== undefined && { hint }), cause: error };
  return new StillhouseError('INVALID_ARGUMENT', `${at}: ${url} ${what}: ${message}`, details);
}

/** @throws DATA_LOSS for an output that holds no floating-point numbers */
function floatsOf({ name, datatype, shape, values }: OipTensor): ForeignAnswer {
  if (values instanceof Float32Array) return { values, shape };
  if (values instanceof Float64Array) return { values: Float32Array.from(values), shape };
  if (datatype === 'FP16') return { values: floatsOfHalves(values as Uint16Array), shape };
  throw new StillhouseError('DATA_LOSS', `the output ${name} is ${datatype}, not logits or probabilities`);
}
