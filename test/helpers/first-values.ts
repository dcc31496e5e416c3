/** A server of the Open Inference Protocol whose model can be worked out by hand. */
import type { ExecutionContext } from 'ava';
import { sleep } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { respond } from '../../lib/wire/oip/requests.ts';
import { serveInference } from '../../lib/wire/oip/server.ts';
import type { InferenceBackend, InferRequest, InferResponse, ModelMetadata } from '../../lib/wire/oip/types.ts';
import { testLogger } from './logger.ts';

export const IMAGE_SIZE = 32 * 32 * 3;

/** Answers the first four values of every image, which are raw bytes, divided by `divisor`. */
class FirstValues implements InferenceBackend {
  readonly serverName = 'first-values';
  version = '1';
  divisor = 1;
  classes = 4;
  /** Thrown by the next calls; undefined: by that one none. */
  readonly failures: (StillhouseError | undefined)[] = [];
  /** Of the latest request. */
  last: InferRequest | undefined;
  /** How long each of the next answers takes. */
  readonly delaysMs: number[] = [];
  /** Of the images that it takes. */
  side = 32;

  live = () => true;
  ready = () => true;
  modelReady = () => true;

  async metadata(name: string): Promise<ModelMetadata> {
    if (name !== 'first') throw new StillhouseError('NOT_FOUND', `there is no model "${name}"`);
    const inputs = [
      { name: 'image', datatype: 'UINT8' as const, shape: [-1, this.side, this.side, 3] },
      { name: 'image_bytes', datatype: 'BYTES' as const, shape: [-1] },
    ];
    const outputs = [{ name: 'logits', datatype: 'FP32' as const, shape: [-1, -1] }];
    return { name, versions: [this.version], platform: 'test', inputs, outputs };
  }

  async infer(request: InferRequest): Promise<InferResponse> {
    this.last = request;
    await sleep(this.delaysMs.shift() ?? 0);
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    const [input] = request.inputs as [InferRequest['inputs'][number]];
    const rows = input.shape[0] as number;
    const pixels = input.values as Uint8Array;
    const size = this.side * this.side * 3;
    const values = Float32Array.from(
      { length: rows * this.classes },
      (_, at) => (pixels[Math.floor(at / this.classes) * size + (at % this.classes)] as number) / this.divisor,
    );
    return respond(request, this.version, [{ name: 'logits', datatype: 'FP32', shape: [rows, this.classes], values }]);
  }
}

/** By gRPC and REST, until the test ends. */
export async function serveFirstValues(t: ExecutionContext) {
  const backend = new FirstValues();
  const ports = { host: '127.0.0.1', port: 0, httpPort: 0, healthPort: 0, reflection: false };
  const server = await serveInference(backend, ports, testLogger());
  t.teardown(() => server.stop(0));
  return { backend, server };
}
