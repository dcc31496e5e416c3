/** A backend behind both forms of the protocol, with health checks, as one thing that starts and stops. */
import type { Logger } from '../../base/log.ts';
import { RpcServer, type RpcServerOptions } from '../grpc.ts';
import { addInference } from './grpc-front.ts';
import { serveRest } from './rest-front.ts';
import type { InferenceBackend } from './types.ts';

export interface InferencePorts extends RpcServerOptions {
  readonly host: string;
  /** Each: 0 takes a free one. */
  readonly port: number;
  readonly httpPort: number;
  readonly healthPort: number;
}

export interface InferenceServer {
  /** As bound. */
  readonly port: number;
  readonly httpPort: number;
  readonly healthPort: number;
  readonly isServing: boolean;
  setServing(serving: boolean): void;
  /** NOT_SERVING, no new requests, running ones may end for `drainMs`, then they are cut. */
  stop(drainMs: number): Promise<void>;
}

/**
 * Listens on all ports; health says NOT_SERVING at first. @throws UNAVAILABLE when a port is in use; none is held then.
 */
export async function serveInference(
  backend: InferenceBackend,
  ports: InferencePorts,
  logger: Logger,
): Promise<InferenceServer> {
  const server = new RpcServer(logger, ports);
  addInference(server, backend);
  try {
    const port = await server.listen(ports.host, ports.port);
    const healthPort = await server.listenHealth(ports.host, ports.healthPort);
    const rest = await serveRest(backend, { host: ports.host, port: ports.httpPort, logger });
    return {
      port,
      healthPort,
      httpPort: rest.port,
      get isServing() {
        return server.health.isServing;
      },
      setServing: (serving) => server.setServing(serving),
      stop: async (drainMs) => {
        server.setServing(false);
        await Promise.all([server.stop(drainMs), rest.stop(drainMs)]);
      },
    };
  } catch (error) {
    await server.stop(0);
    throw error;
  }
}
