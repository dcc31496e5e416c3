/** A client of any server that speaks the Open Inference Protocol over gRPC. */
import { StillhouseError } from '../../base/errors.ts';
import { type CallLimits, type DialOptions, dial, type RpcClient, unary } from '../grpc.ts';
import { parseDatatype } from './datatypes.ts';
import { type Contents, decodeResponse, encodeRequest } from './grpc-codec.ts';
import type { InferRequest, InferResponse, ModelMetadata, OipTensor, Parameters } from './types.ts';

export interface InferCall {
  readonly modelName: string;
  readonly modelVersion?: string;
  readonly id?: string;
  readonly parameters?: Parameters;
  readonly inputs: readonly OipTensor[];
  /** Names; all when absent. */
  readonly outputs?: readonly string[];
}

/** Keeps one connection, made when first used and again whenever it is lost. */
export class OipClient {
  /** `host:port`. */
  readonly address: string;
  readonly #client: RpcClient<'Inference'>;

  constructor(address: string, options: DialOptions = {}) {
    this.address = address;
    this.#client = dial('Inference', address, options);
  }

  /**
   * @throws what the server answered; UNAVAILABLE when it cannot be reached, DEADLINE_EXCEEDED and CANCELLED by
   * `limits`, DATA_LOSS when the answer's tensors do not add up.
   */
  async infer(call: InferCall, limits: CallLimits, contents: Contents = 'raw'): Promise<InferResponse> {
    const request: InferRequest = { modelVersion: '', id: '', parameters: {}, outputs: [], ...call };
    const message = await unary(this.#client, 'ModelInfer', encodeRequest(request, contents), limits);
    try {
      return decodeResponse(message);
    } catch (error) {
      const reason = StillhouseError.from(error).message;
      throw new StillhouseError('DATA_LOSS', `${this.address} answered malformed tensors: ${reason}`, { cause: error });
    }
  }

  async serverReady(limits: CallLimits): Promise<boolean> {
    return (await unary(this.#client, 'ServerReady', {}, limits)).ready;
  }

  async modelReady(name: string, version: string, limits: CallLimits): Promise<boolean> {
    return (await unary(this.#client, 'ModelReady', { name, version }, limits)).ready;
  }

  async metadata(name: string, version: string, limits: CallLimits): Promise<ModelMetadata> {
    const message = await unary(this.#client, 'ModelMetadata', { name, version }, limits);
    const tensors = (list: typeof message.inputs) =>
      list.map((tensor) => ({ ...tensor, datatype: parseDatatype(tensor.datatype, tensor.name) }));
    return { ...message, inputs: tensors(message.inputs), outputs: tensors(message.outputs) };
  }

  close(): void {
    this.#client.close();
  }
}

/** The output of that name. @throws DATA_LOSS when the response has none. */
export function outputOf(response: InferResponse, name: string): OipTensor {
  const found = response.outputs.find((output) => output.name === name);
  if (found !== undefined) return found;
  throw new StillhouseError('DATA_LOSS', `the answer of model "${response.modelName}" has no output "${name}"`);
}
