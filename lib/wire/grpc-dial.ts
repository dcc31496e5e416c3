/** The calling side of gRPC: clients by service name, unary calls as promises, errors normalised. */
import { type CallOptions, type Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { wallClockMs } from '../base/clock.ts';
import { invariant, StillhouseError } from '../base/errors.ts';
import {
  loadService,
  type MethodName,
  type RequestOf,
  type ResponseOf,
  type ServiceName,
  type Services,
} from './grpc-load.ts';
import { SHARED_OPTIONS } from './grpc-options.ts';
import { fromStatus } from './grpc-status.ts';

/** Carries the service's name in the type, so that `unary` knows the methods of a client. */
export type RpcClient<S extends ServiceName> = Services[S]['client'] & { readonly serviceOf?: S };

export interface DialOptions {
  /** Encrypts, and asks for a certificate of an authority that this machine trusts. */
  readonly tls?: boolean;
  /** A server of others: many close connections that are pinged as often as ours. */
  readonly isForeign?: boolean;
}

const FOREIGN_OPTIONS = { 'grpc.keepalive_time_ms': 600_000, 'grpc.keepalive_permit_without_calls': 0 } as const;

/**
 * A client of the service at `host:port`. Nothing is connected before the first call; a lost connection is made again by
 * itself. Close it with `client.close()`.
 */
export function dial<S extends ServiceName>(
  service: S,
  address: string,
  { tls = false, isForeign = false }: DialOptions = {},
): RpcClient<S> {
  const options = {
    ...SHARED_OPTIONS,
    'grpc.keepalive_permit_without_calls': 1,
    ...(isForeign ? FOREIGN_OPTIONS : {}),
    'grpc.initial_reconnect_backoff_ms': 200,
    'grpc.min_reconnect_backoff_ms': 200,
    'grpc.max_reconnect_backoff_ms': 2_000,
    // Traffic between our services never belongs through a proxy that the environment names for the internet.
    'grpc.enable_http_proxy': 0,
    // One connection per client: closing one must not depend on who else calls the same address.
    'grpc.use_local_subchannel_pool': 1,
  };
  const Constructor = loadService(service);
  const safety = tls ? credentials.createSsl() : credentials.createInsecure();
  return new Constructor(address, safety, options) as unknown as RpcClient<S>;
}

/** Where a client calls, `host:port`, for messages. */
export function addressOf(client: Client): string {
  return client
    .getChannel()
    .getTarget()
    .replace(/^[a-z]+:\/*/, '');
}

export interface CallLimits {
  /** From now until the answer is in; DEADLINE_EXCEEDED then. */
  readonly timeoutMs: number;
  /** Cancels the call; it rejects with CANCELLED. */
  readonly signal?: AbortSignal;
}

export function callOptions(timeoutMs: number): CallOptions {
  return { deadline: wallClockMs() + timeoutMs };
}

type UnaryMethod = (
  request: unknown,
  metadata: Metadata,
  options: CallOptions,
  callback: (error: ServiceError | null, response: unknown) => void,
) => { cancel(): void };

/** Calls a unary method by its name in the proto. Rejects with the StillhouseError that the server threw. */
export function unary<S extends ServiceName, M extends MethodName<S>>(
  client: RpcClient<S>,
  method: M,
  request: RequestOf<S, M>,
  limits: CallLimits,
): Promise<ResponseOf<S, M>> {
  const { signal } = limits;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(cancelled(signal));
      return;
    }
    const send = (client as unknown as Record<string, UnaryMethod>)[method];
    invariant(send !== undefined, `the service has a method ${method}`);
    const call = send.call(client, request, new Metadata(), callOptions(limits.timeoutMs), (error, response) => {
      signal?.removeEventListener('abort', onAbort);
      if (error === null) resolve(response as ResponseOf<S, M>);
      else if (signal?.aborted) reject(cancelled(signal));
      else reject(fromStatus(error, `the service at ${addressOf(client as Client)}`));
    });
    const onAbort = () => call.cancel();
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

function cancelled(signal: AbortSignal): StillhouseError {
  return signal.reason instanceof StillhouseError
    ? signal.reason
    : new StillhouseError('CANCELLED', 'the call was cancelled', { cause: signal.reason });
}
