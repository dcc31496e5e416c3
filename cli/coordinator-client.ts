/** The coordinator's API as the commands use it. */
import type { ServiceError } from '@grpc/grpc-js';
import { StillhouseError } from '../lib/base/errors.ts';
import type { Cluster__Output as Cluster } from '../lib/wire/generated/stillhouse/v1/Cluster.ts';
import type { Job__Output as Job } from '../lib/wire/generated/stillhouse/v1/Job.ts';
import type { JobScope } from '../lib/wire/generated/stillhouse/v1/JobScope.ts';
import type { Model__Output as Model } from '../lib/wire/generated/stillhouse/v1/Model.ts';
import type { Route__Output as Route } from '../lib/wire/generated/stillhouse/v1/Route.ts';
import { dial, fromStatus, type RpcClient, unary } from '../lib/wire/grpc.ts';

export type { Cluster, Job, Model, Route };

const CALL_TIMEOUT_MS = 15_000;

/** Every method throws the StillhouseError of the coordinator; UNAVAILABLE when it cannot be reached. */
export class CoordinatorClient {
  readonly #address: string;
  readonly #client: RpcClient<'Coordinator'>;
  readonly #signal: AbortSignal;

  /** @param signal cancels every call. */
  constructor(address: string, signal: AbortSignal) {
    this.#address = address;
    this.#client = dial('Coordinator', address);
    this.#signal = signal;
  }

  /** @param spec the job file's text. The same key with the same spec answers the same job. */
  submit(spec: string, idempotencyKey: string, scope: JobScope = 'JOB_SCOPE_ALL'): Promise<Job> {
    return unary(this.#client, 'SubmitJob', { spec, idempotencyKey, scope }, this.#limits());
  }

  get(id: string): Promise<Job> {
    return unary(this.#client, 'GetJob', { id }, this.#limits());
  }

  /** Newest first. */
  async list(): Promise<Job[]> {
    return (await unary(this.#client, 'ListJobs', {}, this.#limits())).jobs;
  }

  cancel(id: string): Promise<Job> {
    return unary(this.#client, 'CancelJob', { id }, this.#limits());
  }

  /** Cancels a job although the signal has been aborted: the last word of a run that is being stopped. */
  cancelAtTheEnd(id: string, timeoutMs: number): Promise<Job> {
    return unary(this.#client, 'CancelJob', { id }, { timeoutMs });
  }

  async routes(): Promise<Route[]> {
    return (await unary(this.#client, 'ListRoutes', {}, this.#limits())).routes;
  }

  route(name: string): Promise<Route> {
    return unary(this.#client, 'GetRoute', { name }, this.#limits());
  }

  async models(): Promise<Model[]> {
    return (await unary(this.#client, 'ListModels', {}, this.#limits())).models;
  }

  model(nameOrDigest: string): Promise<Model> {
    return unary(this.#client, 'GetModel', { nameOrDigest }, this.#limits());
  }

  cluster(): Promise<Cluster> {
    return unary(this.#client, 'GetCluster', {}, this.#limits());
  }

  /** The job now and after every change, until it has ended. */
  async *watch(id: string): AsyncGenerator<Job> {
    const stream = this.#client.watchJob({ id, afterRevision: 0 });
    const onAbort = () => stream.cancel();
    this.#signal.addEventListener('abort', onAbort, { once: true });
    try {
      this.#signal.throwIfAborted();
      for await (const event of stream) {
        const { job } = event as { job: Job | null };
        if (job !== null) yield job;
      }
    } catch (error) {
      if (this.#signal.aborted) throw this.#signal.reason;
      if (error instanceof StillhouseError) throw error;
      throw fromStatus(error as ServiceError, `the coordinator at ${this.#address}`);
    } finally {
      this.#signal.removeEventListener('abort', onAbort);
      stream.cancel();
    }
  }

  close(): void {
    this.#client.close();
  }

  #limits() {
    return { timeoutMs: CALL_TIMEOUT_MS, signal: this.#signal };
  }
}

/** True when nothing can change the job any more. */
export function hasEnded(job: Job): boolean {
  return ['JOB_STATE_SUCCEEDED', 'JOB_STATE_FAILED', 'JOB_STATE_CANCELLED'].includes(job.state);
}
