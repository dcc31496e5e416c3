/**
 * What a process counts, for Prometheus: `/metrics` in its text format, and `/healthz`. Whoever counts keeps plain numbers;
 * they are read when somebody asks.
 */
import { fastify } from 'fastify';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { type HttpServer, listenHttp } from './http-listen.ts';

export interface Sample {
  /** Few values each: every combination is a series of its own. */
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface MetricsOptions {
  /** The host to bind. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Whether the process answers requests; `/healthz` says 503 while it does not. */
  readonly serving: () => boolean;
}

interface Definition {
  readonly kind: typeof Counter | typeof Gauge;
  readonly help: string;
  readonly read: () => readonly Sample[];
}

export class Metrics {
  readonly #definitions: Map<string, Definition>;
  readonly #http: HttpServer;

  private constructor(definitions: Map<string, Definition>, http: HttpServer) {
    this.#definitions = definitions;
    this.#http = http;
  }

  /** Answers from now on. @throws UNAVAILABLE when the port is in use */
  static async listen({ host, port, serving }: MetricsOptions): Promise<Metrics> {
    const definitions = new Map<string, Definition>();
    // Processor time, memory, event loop: under the names that Prometheus's own clients use.
    const ofProcess = new Registry();
    collectDefaultMetrics({ register: ofProcess });
    const app = fastify();
    app.get('/metrics', async (_request, reply) => {
      const text = `${await registryOf(definitions).metrics()}\n${await ofProcess.metrics()}`;
      return reply.type(Registry.PROMETHEUS_CONTENT_TYPE).send(text);
    });
    app.get('/healthz', async (_request, reply) => {
      const isServing = serving();
      return reply.code(isServing ? 200 : 503).send({ serving: isServing });
    });
    return new Metrics(definitions, await listenHttp(app, host, port));
  }

  /** As bound. */
  get port(): number {
    return this.#http.port;
  }

  /** @param name `stillhouse_…_total`, its unit before that @param read what was counted since the process started */
  counter(name: string, help: string, read: () => readonly Sample[]): void {
    this.#definitions.set(name, { kind: Counter, help, read });
  }

  /** @param name `stillhouse_…`, its unit at the end @param read what it is now */
  gauge(name: string, help: string, read: () => readonly Sample[]): void {
    this.#definitions.set(name, { kind: Gauge, help, read });
  }

  async stop(): Promise<void> {
    // Whoever scrapes can come again.
    await this.#http.stop(0);
  }
}

/** The numbers as they are now. */
function registryOf(definitions: ReadonlyMap<string, Definition>): Registry {
  const registry = new Registry();
  for (const [name, { kind, help, read }] of definitions) {
    const samples = read();
    const labelNames = [...new Set(samples.flatMap(({ labels }) => Object.keys(labels)))];
    const metric = new kind({ name, help, labelNames, registers: [registry] });
    for (const { labels, value } of samples) metric.inc(labels, value);
  }
  return registry;
}
