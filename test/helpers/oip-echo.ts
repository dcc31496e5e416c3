/** A backend of the Open Inference Protocol that answers what it was sent: every input `x` comes back as output `x`. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { respond } from '../../lib/wire/oip/requests.ts';
import type {
  CallScope,
  InferenceBackend,
  InferRequest,
  InferResponse,
  ModelMetadata,
} from '../../lib/wire/oip/types.ts';

export class EchoBackend implements InferenceBackend {
  readonly serverName = 'echo';
  isReady = true;
  /** The last request, as the front end handed it over. */
  last: InferRequest | undefined;
  /** Set to hold requests back until it resolves. */
  hold: Promise<unknown> | undefined;
  /** Of the latest request. */
  signal: AbortSignal | undefined;

  live(): boolean {
    return true;
  }

  ready(): boolean {
    return this.isReady;
  }

  modelReady(name: string, version: string): boolean {
    return name === 'echo' && (version === '' || version === '1');
  }

  async metadata(name: string, version: string): Promise<ModelMetadata> {
    this.#find(name, version);
    const tensor = { name: 'x', datatype: 'FP32' as const, shape: [-1, 2] };
    return { name, versions: ['1'], platform: 'echo', inputs: [tensor], outputs: [tensor] };
  }

  async infer(request: InferRequest, { signal }: CallScope): Promise<InferResponse> {
    this.#find(request.modelName, request.modelVersion);
    this.last = request;
    this.signal = signal;
    await this.hold;
    return respond(request, '1', request.inputs, { text: 'a', flag: true, real: 1, whole: 7n });
  }

  #find(name: string, version: string): void {
    if (!this.modelReady(name, version)) throw new StillhouseError('NOT_FOUND', `there is no model "${name}"`);
  }
}
