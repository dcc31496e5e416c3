/** The Open Inference Protocol over gRPC, in front of a backend. */
import type { RpcServer } from '../grpc.ts';
import { inferInTime } from './deadline.ts';
import { decodeRequest, encodeResponse } from './grpc-codec.ts';
import { EXTENSIONS } from './requests.ts';
import type { InferenceBackend } from './types.ts';
import { SOFTWARE_VERSION } from './version.ts';

/** Adds `inference.GRPCInferenceService` to a server that is not listening yet. */
export function addInference(server: RpcServer, backend: InferenceBackend): void {
  server.add('Inference', {
    ServerLive: () => ({ live: backend.live() }),
    ServerReady: () => ({ ready: backend.ready() }),
    ModelReady: ({ name, version }) => ({ ready: backend.modelReady(name, version) }),
    ServerMetadata: () => ({ name: backend.serverName, version: SOFTWARE_VERSION, extensions: [...EXTENSIONS] }),
    ModelMetadata: async ({ name, version }, scope) => {
      const metadata = await backend.metadata(name, version, scope);
      const tensors = (list: typeof metadata.inputs) => list.map((tensor) => ({ ...tensor, shape: [...tensor.shape] }));
      return {
        name: metadata.name,
        versions: [...metadata.versions],
        platform: metadata.platform,
        inputs: tensors(metadata.inputs),
        outputs: tensors(metadata.outputs),
      };
    },
    ModelInfer: async (message, scope) => encodeResponse(await inferInTime(backend, decodeRequest(message), scope)),
  });
}
