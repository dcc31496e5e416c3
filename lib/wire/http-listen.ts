/** Listening for HTTP, with errors that say what to do. */
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { after } from '../base/clock.ts';
import { StillhouseError } from '../base/errors.ts';
import { hostPort } from './grpc-options.ts';

export interface HttpServer {
  readonly port: number;
  /** No new requests; running ones may end for `drainMs`, then they are cut. */
  stop(drainMs: number): Promise<void>;
}

/** @param port 0 takes a free one. @throws UNAVAILABLE when the port is in use. */
export async function listenHttp(app: FastifyInstance, host: string, port: number): Promise<HttpServer> {
  await app.listen({ host, port }).catch((error: NodeJS.ErrnoException) => {
    throw listenError(error, host, port);
  });
  return {
    port: (app.server.address() as AddressInfo).port,
    stop: async (drainMs) => {
      const disarm = after(drainMs, () => app.server.closeAllConnections());
      await app.close();
      disarm();
    },
  };
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): StillhouseError {
  const isUsed = error.code === 'EADDRINUSE';
  const message = isUsed
    ? `port ${port} on ${host} is in use`
    : `cannot listen on ${hostPort(host, port)}: ${error.message}`;
  const hint = isUsed ? 'choose another port, or 0 for a free one' : 'check the host and the port';
  return new StillhouseError('UNAVAILABLE', message, { hint, cause: error });
}
