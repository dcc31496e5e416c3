/** Binding a gRPC server, with errors that say what to do. */
import type { Server, ServerCredentials } from '@grpc/grpc-js';
import { StillhouseError } from '../base/errors.ts';
import { hostPort } from './grpc-options.ts';

function bindError(error: Error, host: string, port: number): StillhouseError {
  if (/EADDRINUSE/.test(error.message)) {
    return new StillhouseError('UNAVAILABLE', `port ${port} on ${host} is in use`, {
      hint: 'choose another port, or 0 for a free one',
      cause: error,
    });
  }
  return new StillhouseError('UNAVAILABLE', `cannot listen on ${hostPort(host, port)}: ${error.message}`, {
    hint: 'check the host and the port',
    cause: error,
  });
}

/** Resolves to the port; rejects with UNAVAILABLE when it is in use or the host is not ours. */
export function bindServer(server: Server, host: string, port: number, creds: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(hostPort(host, port), creds, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(bindError(error, host, port));
    });
  });
}
