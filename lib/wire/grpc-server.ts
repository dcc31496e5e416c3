/** The serving side of gRPC: handlers as async functions, errors mapped to statuses in one place, an orderly end. */
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  type UntypedHandleCall,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { after } from '../base/clock.ts';
import { StillhouseError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { bindServer } from './grpc-bind.ts';
import { loadService, type NamedKeys, type ServiceName, type Services } from './grpc-load.ts';
import { SHARED_OPTIONS } from './grpc-options.ts';
import { toStatus } from './grpc-status.ts';
import { Health, type HealthServer, serveHealth } from './health.ts';
import { addReflection } from './reflection.ts';

/** What a handler knows about its call. */
export interface CallContext {
  /** Aborted when the caller is gone, cancelled, or its deadline has passed. */
  readonly signal: AbortSignal;
  readonly metadata: Metadata;
  /** The caller's address, for logs. */
  readonly peer: string;
}

type Handler<H> =
  H extends handleBidiStreamingCall<infer Q, infer R>
    ? (call: ServerDuplexStream<Q, R>, context: CallContext) => Promise<void>
    : H extends handleServerStreamingCall<infer Q, infer R>
      ? (request: Q, call: ServerWritableStream<Q, R>, context: CallContext) => Promise<void>
      : H extends handleUnaryCall<infer Q, infer R>
        ? (request: Q, context: CallContext) => R | Promise<R>
        : never;

/**
 * A service's methods. Unary: the resolved value is the answer. Streams: the stream ends when the promise resolves. A
 * thrown StillhouseError becomes the call's status; anything else becomes INTERNAL and is logged.
 */
export type Implementation<S extends ServiceName> = {
  [M in NamedKeys<Services[S]['handlers']>]: Handler<Services[S]['handlers'][M]>;
};

type AnyHandler = (...args: unknown[]) => Promise<unknown>;
type AnyCall = ServerUnaryCall<unknown, unknown> &
  ServerWritableStream<unknown, unknown> &
  ServerDuplexStream<unknown, unknown>;

export interface RpcServerOptions {
  /** Tells callers which services there are, with their messages. */
  readonly reflection?: boolean;
}

export class RpcServer {
  /** Set it to SERVING through `setServing`; shared with the plain health port. */
  readonly health = new Health();
  readonly #server = new Server(SHARED_OPTIONS);
  readonly #logger: Logger;
  readonly #reflects: boolean;
  readonly #services: ServiceName[] = ['Health'];
  #healthServer: HealthServer | undefined;

  constructor(logger: Logger, { reflection = false }: RpcServerOptions = {}) {
    this.#logger = logger;
    this.#reflects = reflection;
    this.health.addTo(this.#server);
  }

  add<S extends ServiceName>(service: S, implementation: Implementation<S>): this {
    const definition = loadService(service).service;
    const handlers: UntypedServiceImplementation = {};
    for (const [method, { requestStream, responseStream }] of Object.entries(definition)) {
      const handler = (implementation as unknown as Record<string, AnyHandler>)[method];
      if (handler === undefined) continue;
      const bound = handler.bind(implementation);
      const name = `${service}.${method}`;
      const handle = responseStream
        ? (call: AnyCall) => this.#runStream(name, bound, call, requestStream)
        : (call: AnyCall, callback: sendUnaryData<unknown>) => this.#runUnary(name, bound, call, callback);
      handlers[method] = handle as UntypedHandleCall;
    }
    this.#server.addService(definition, handlers);
    this.health.include(service);
    this.#services.push(service);
    return this;
  }

  /** Resolves to the bound port; 0 takes a free one. UNAVAILABLE when the port is in use. */
  listen(host: string, port: number): Promise<number> {
    if (this.#reflects) addReflection(this.#server, this.#services);
    return bindServer(this.#server, host, port, ServerCredentials.createInsecure());
  }

  /** Serves health on a second, plain port as well; stopped with this server. */
  async listenHealth(host: string, port: number): Promise<number> {
    this.#healthServer = await serveHealth(this.health, host, port);
    return this.#healthServer.port;
  }

  setServing(serving: boolean): void {
    this.health.setServing(serving);
  }

  /** NOT_SERVING, no new calls, running calls may end for `drainMs`, then they are cut. */
  async stop(drainMs: number): Promise<void> {
    this.setServing(false);
    await new Promise<void>((resolve) => {
      const disarm = after(drainMs, () => this.#server.forceShutdown());
      // An error here means that the server was not running or that the drain was cut short: it has stopped either way.
      this.#server.tryShutdown(() => {
        disarm();
        resolve();
      });
    });
    this.#server.forceShutdown();
    this.#healthServer?.stop();
  }

  #runUnary(name: string, handler: AnyHandler, call: AnyCall, callback: sendUnaryData<unknown>): void {
    const context = contextOf(call);
    new Promise((resolve) => resolve(handler(call.request, context))).then(
      (response) => callback(null, response),
      (thrown) => callback(this.#statusOf(name, thrown)),
    );
  }

  #runStream(name: string, handler: AnyHandler, call: AnyCall, requestStream: boolean): void {
    const context = contextOf(call);
    // A caller that goes away shows as the aborted signal; the stream's own error event says nothing more.
    call.on('error', () => {});
    if (requestStream) keepOpenAfterLoop(call);
    const running = requestStream ? () => handler(call, context) : () => handler(call.request, call, context);
    new Promise((resolve) => resolve(running())).then(
      () => call.end(),
      (thrown) => call.emit('error', this.#statusOf(name, context.signal.aborted ? context.signal.reason : thrown)),
    );
  }

  #statusOf(name: string, thrown: unknown) {
    const error = StillhouseError.from(thrown);
    if (error.code === 'INTERNAL' || error.code === 'DATA_LOSS') {
      this.#logger.error({ err: thrown, method: name }, 'call failed');
    } else {
      this.#logger.debug({ method: name, code: error.code, reason: error.message }, 'call refused');
    }
    return toStatus(error);
  }
}

/**
 * Leaving a `for await` over a stream destroys it, and a destroyed call can send no status any more: the loop's end, by
 * whatever reason, leaves our calls open.
 */
function keepOpenAfterLoop(call: AnyCall): void {
  const iterator = call.iterator.bind(call);
  Object.defineProperty(call, Symbol.asyncIterator, { value: () => iterator({ destroyOnReturn: false }) });
}

function contextOf(call: AnyCall): CallContext {
  const controller = new AbortController();
  call.on('cancelled', () => controller.abort(new StillhouseError('CANCELLED', 'the caller cancelled or is gone')));
  return { signal: controller.signal, metadata: call.metadata, peer: call.getPeer() };
}
