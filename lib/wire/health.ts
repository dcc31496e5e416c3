/** grpc.health.v1: one state per process, answered on the business port and on a plain second one. */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { bindServer } from './grpc-bind.ts';
import { qualifiedName, type ServiceName } from './grpc-load.ts';

export class Health {
  readonly #implementation = new HealthImplementation({ '': 'NOT_SERVING' });
  readonly #services = new Set<string>(['']);
  #serving = false;

  /** Answers for this service by name too, besides the whole process (the empty name). */
  include(service: ServiceName): void {
    this.#services.add(qualifiedName(service));
    this.setServing(this.#serving);
  }

  get isServing(): boolean {
    return this.#serving;
  }

  setServing(serving: boolean): void {
    this.#serving = serving;
    for (const name of this.#services) this.#implementation.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  }

  addTo(server: Server): void {
    this.#implementation.addToServer(server);
  }
}

export interface HealthServer {
  readonly port: number;
  stop(): void;
}

/**
 * Serves health without TLS: a kubelet's gRPC probe speaks none. UNAVAILABLE when the port is in use; 0 takes a free one.
 */
export async function serveHealth(health: Health, host: string, port: number): Promise<HealthServer> {
  const server = new Server();
  health.addTo(server);
  const bound = await bindServer(server, host, port, ServerCredentials.createInsecure());
  return { port: bound, stop: () => server.forceShutdown() };
}
