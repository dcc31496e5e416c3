/** A client of any server that speaks the Open Inference Protocol over REST. */
import { after } from '../../base/clock.ts';
import { type ErrorCode, StillhouseError } from '../../base/errors.ts';
import { type CallLimits, MESSAGE_BYTES_MAX } from '../grpc.ts';
import type { InferCall } from './client.ts';
import { decodeRestMetadata, decodeRestResponse, encodeRestRequest, HEADER_LENGTH } from './rest-codec.ts';
import type { InferResponse, ModelMetadata } from './types.ts';

interface Answer {
  readonly body: Uint8Array;
  readonly headerLength: string | undefined;
}

const CODES: Readonly<Record<number, ErrorCode>> = {
  400: 'INVALID_ARGUMENT',
  404: 'NOT_FOUND',
  408: 'DEADLINE_EXCEEDED',
  413: 'INVALID_ARGUMENT',
  422: 'INVALID_ARGUMENT',
  429: 'UNAVAILABLE',
  501: 'UNIMPLEMENTED',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

export class OipRestClient {
  /** `http(s)://host:port`, with a path where the server stands behind one. */
  readonly address: string;

  constructor(address: string) {
    this.address = address.replace(/\/+$/, '');
  }

  /** Whether tensors may travel as bytes. Errors as for `infer`. */
  async takesBinary(limits: CallLimits): Promise<boolean> {
    try {
      const { body } = await this.#ask('/v2', limits, {});
      const { extensions } = Object(JSON.parse(Buffer.from(body).toString())) as { extensions?: unknown };
      return Array.isArray(extensions) && extensions.includes('binary_tensor_data');
    } catch (error) {
      // Who has models need not say what else it has, or not here.
      if (error instanceof SyntaxError || StillhouseError.from(error).code === 'NOT_FOUND') return false;
      throw error;
    }
  }

  /** Errors as for `infer`. */
  async metadata(name: string, version: string, limits: CallLimits): Promise<ModelMetadata> {
    const { body } = await this.#ask(pathOf(name, version), limits, {});
    return this.#understand(() => decodeRestMetadata(body, name));
  }

  /**
   * @param isBinary see `takesBinary`
   * @throws what the server answered; UNAVAILABLE when it cannot be reached, DEADLINE_EXCEEDED by `limits`, the signal's reason,
   * DATA_LOSS when the answer is none.
   */
  async infer(call: InferCall, limits: CallLimits, isBinary: boolean): Promise<InferResponse> {
    const { modelName, modelVersion = '', id = '', inputs, outputs = [] } = call;
    const { body, headerLength } = encodeRestRequest({ id, inputs, outputs }, isBinary);
    const type = headerLength === undefined ? 'application/json' : 'application/octet-stream';
    const headers = {
      'content-type': type,
      ...(headerLength !== undefined && { [HEADER_LENGTH]: String(headerLength) }),
    };
    const answer = await this.#ask(`${pathOf(modelName, modelVersion)}/infer`, limits, {
      method: 'POST',
      headers,
      body,
    });
    return this.#understand(() => decodeRestResponse(answer.body, answer.headerLength));
  }

  #understand<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      const { message, field } = StillhouseError.from(error);
      throw new StillhouseError('DATA_LOSS', `${this.address} answered what is not of the protocol: ${message}`, {
        ...(field !== undefined && { field }),
        cause: error,
      });
    }
  }

  async #ask(path: string, limits: CallLimits, request: RequestInit): Promise<Answer> {
    const { timeoutMs, signal } = limits;
    const controller = new AbortController();
    const late = new StillhouseError('DEADLINE_EXCEEDED', `${this.address} has not answered in ${timeoutMs} ms`);
    const disarm = after(timeoutMs, () => controller.abort(late));
    const either = signal === undefined ? controller.signal : AbortSignal.any([controller.signal, signal]);
    try {
      const response = await fetch(`${this.address}${path}`, { ...request, signal: either, redirect: 'error' });
      const body = await this.#bodyOf(response);
      if (!response.ok) throw this.#refusal(response.status, body);
      return { body, headerLength: response.headers.get(HEADER_LENGTH) ?? undefined };
    } catch (thrown) {
      either.throwIfAborted();
      if (thrown instanceof StillhouseError) throw thrown;
      const { cause, message } = thrown as Error;
      const reason = cause instanceof Error && cause.message !== '' ? cause.message : message;
      throw new StillhouseError('UNAVAILABLE', `${this.address} cannot be reached: ${reason}`, {
        hint: 'check that it runs and that the address is right',
        cause: thrown,
      });
    } finally {
      disarm();
    }
  }

  /** @throws DATA_LOSS as soon as it is known to be longer than any answer of ours is */
  async #bodyOf(response: Response): Promise<Uint8Array> {
    const announced = Number(response.headers.get('content-length') ?? 0);
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    try {
      if (announced > MESSAGE_BYTES_MAX) throw this.#tooLong();
      for await (const piece of response.body ?? []) {
        bytes += piece.length;
        if (bytes > MESSAGE_BYTES_MAX) throw this.#tooLong();
        pieces.push(piece);
      }
    } catch (error) {
      if (!response.bodyUsed) await response.body?.cancel();
      throw error;
    }
    return Buffer.concat(pieces, bytes);
  }

  #tooLong(): StillhouseError {
    return new StillhouseError('DATA_LOSS', `${this.address} answers more than ${MESSAGE_BYTES_MAX} bytes`);
  }

  #refusal(status: number, body: Uint8Array): StillhouseError {
    const text = Buffer.from(body).toString();
    let said: unknown;
    try {
      const { error, detail } = JSON.parse(text) as { error?: unknown; detail?: unknown };
      said = error ?? detail;
    } catch {
      // Proxies answer in prose.
      said = text;
    }
    const message = `${this.address} answers ${status}: ${typeof said === 'string' ? said.slice(0, 500) : text.slice(0, 500)}`;
    return new StillhouseError(CODES[status] ?? 'INTERNAL', message);
  }
}

function pathOf(name: string, version: string): string {
  const model = `/v2/models/${encodeURIComponent(name)}`;
  return version === '' ? model : `${model}/versions/${encodeURIComponent(version)}`;
}
