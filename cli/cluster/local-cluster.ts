/**
 * A whole Stillhouse on this machine, as real processes on loopback: nats-server, coordinator, workers, router. Nothing
 * in them knows that they are local; what is local is here.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monotonicMs, unlessAborted } from '../../lib/base/clock.ts';
import { describeError, StillhouseError } from '../../lib/base/errors.ts';
import { logitsRoot } from '../../lib/base/folders.ts';
import { availableCores } from '../../lib/base/machine.ts';
import type { Environment } from '../../lib/base/settings.ts';
import { ALLOW_CUSTOM_CODE } from '../../lib/wire/job-losses.ts';
import type { CliContext } from '../context.ts';
import { programArguments } from '../paths.ts';
import { Child, type ReadyLine } from './child.ts';
import { findNatsServer, natsConfiguration } from './nats-server.ts';
import { type ClusterSize, fixedPorts, natsPort, type PlannedProcess, planCluster, SHUTDOWN_ORDER } from './plan.ts';
import { checkPortsFree } from './ports.ts';

/** Where a running cluster is reached. */
export interface Endpoints {
  readonly coordinator: string;
  readonly router: { readonly grpc: string; readonly http: string };
  readonly nats: string;
  /** Where each process answers Prometheus, by its name. */
  readonly metrics: Readonly<Record<string, string>>;
}

export interface ClusterOptions extends ClusterSize {
  /** Where the children's logs go and stay; absent: a temporary folder, kept only after a failure. */
  readonly logFolder?: string | undefined;
  /** Workers run code that comes with jobs; absent: as the environment says. */
  readonly allowCustomCode?: boolean | undefined;
}

/** Loading TensorFlow on a busy machine takes a while; nothing that works takes this long. */
const READY_LIMIT_MS = 90_000;
const NATS_READY_LIMIT_MS = 20_000;
/** One role's time to end, and all roles' together; SIGKILL then. */
const STOP_LIMIT_MS = 6_000;
const STOP_LIMIT_TOTAL_MS = 15_000;
const LAST_STOP_LIMIT_MS = 500;

/** Without these nothing goes on; a lost worker is the coordinator's business. */
const VITAL: readonly PlannedProcess['role'][] = ['nats', 'coordinator', 'router'];

interface Member {
  readonly role: PlannedProcess['role'];
  readonly child: Child;
}

export class LocalCluster {
  readonly #options: ClusterOptions;
  readonly #context: CliContext;
  readonly #failure = new AbortController();
  readonly #members: Member[] = [];
  readonly #stateFolder: string;
  readonly #logFolder: string;
  #endpoints: Endpoints | undefined;
  /** Once anything has failed: the logs are the evidence. */
  #keepLogs = false;
  #stopping: Promise<void> | undefined;

  private constructor(options: ClusterOptions, context: CliContext) {
    this.#options = options;
    this.#context = context;
    this.#stateFolder = mkdtempSync(join(tmpdir(), 'stillhouse-'));
    this.#logFolder = options.logFolder ?? join(this.#stateFolder, 'logs');
    mkdirSync(this.#logFolder, { recursive: true });
  }

  /**
   * Starts all processes and returns when all are ready. When one fails, or the context's signal is aborted, all are
   * ended before this rejects. Refused before anything starts: no nats-server, a fixed port that is in use.
   */
  static async start(options: ClusterOptions, context: CliContext): Promise<LocalCluster> {
    const externalNats = context.environment.NATS_URL;
    await checkPortsFree(fixedPorts(options, !externalNats));
    const binary = externalNats ? undefined : findNatsServer(context.environment);
    context.signal.throwIfAborted();
    const cluster = new LocalCluster(options, context);
    try {
      await cluster.#start(binary, externalNats);
    } catch (error) {
      if (!context.signal.aborted) cluster.#fail(error);
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  get endpoints(): Endpoints {
    if (this.#endpoints === undefined) throw new StillhouseError('FAILED_PRECONDITION', 'the cluster is not ready');
    return this.#endpoints;
  }

  /** Aborted when the cluster cannot go on; the reason says which process ended and why. */
  get failure(): AbortSignal {
    return this.#failure.signal;
  }

  /** Ends every process, in an order in which none misses another; never rejects and leaves none behind. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #start(natsBinary: string | undefined, externalNats: string | undefined): Promise<void> {
    const nats = natsBinary === undefined ? (externalNats ?? '') : await this.#startNats(natsBinary);
    const [coordinatorPlan, ...plans] = planCluster(this.#options, availableCores());
    if (coordinatorPlan === undefined) throw new StillhouseError('INTERNAL', 'the plan has a coordinator');
    const coordinatorLine = await this.#startService(coordinatorPlan, { NATS_URL: nats });
    const coordinator = addressIn(coordinatorLine, 'coordinator');
    const common = { NATS_URL: nats, STILLHOUSE_COORDINATOR: coordinator };
    const lines = await Promise.all(plans.map((plan) => this.#startService(plan, common)));
    const router = lines[plans.findIndex(({ role }) => role === 'router')];
    if (router === undefined || typeof router.http !== 'string') {
      throw new StillhouseError('INTERNAL', 'the router did not say where it answers HTTP');
    }
    const started = [
      [coordinatorPlan, coordinatorLine] as const,
      ...plans.map((plan, at) => [plan, lines[at]] as const),
    ];
    const metrics = Object.fromEntries(
      started.flatMap(([{ name }, line]) =>
        typeof line?.metrics === 'string' ? [[name, `http://${line.metrics}/metrics`]] : [],
      ),
    );
    const { http } = router;
    this.#endpoints = { coordinator, router: { grpc: addressIn(router, 'router'), http }, nats, metrics };
  }

  async #startNats(binary: string): Promise<string> {
    const folder = join(this.#stateFolder, 'nats');
    const ports = join(folder, 'ports');
    mkdirSync(ports, { recursive: true });
    const configFile = join(folder, 'nats.conf');
    writeFileSync(configFile, natsConfiguration(folder, natsPort(this.#options)));
    const plan: PlannedProcess = {
      name: 'nats-server',
      role: 'nats',
      program: 'cli/cluster/nats-keeper',
      args: [binary, configFile, ports],
      environment: {},
    };
    return addressIn(await this.#startService(plan, {}, NATS_READY_LIMIT_MS), 'nats-server');
  }

  async #startService(plan: PlannedProcess, common: Environment, limitMs = READY_LIMIT_MS): Promise<ReadyLine> {
    const stop = AbortSignal.any([this.#context.signal, this.#failure.signal]);
    stop.throwIfAborted();
    const child = new Child({
      name: plan.name,
      command: process.execPath,
      args: [...programArguments(plan.program), ...plan.args],
      environment: {
        ...this.#context.environment,
        ...common,
        ...plan.environment,
        // One folder for all: what a teacher has stored, students read themselves.
        STILLHOUSE_LOGITS: logitsRoot(this.#context.environment),
        STILLHOUSE_HOST: '127.0.0.1',
        STILLHOUSE_ADVERTISE: '127.0.0.1',
        STILLHOUSE_EXIT_WITH_PARENT: '1',
        // Whoever may start it may read the same files as it.
        STILLHOUSE_ALLOW_DATASET_PATHS: '1',
        STILLHOUSE_ALLOW_DATASET_URLS: '*',
        ...(this.#options.allowCustomCode === true ? { [ALLOW_CUSTOM_CODE]: '1' } : {}),
      },
      logPath: join(this.#logFolder, `${plan.name}.log`),
    });
    this.#members.push({ role: plan.role, child });
    const line = await unlessAborted(child.ready(limitMs), stop);
    child.ended.then((how) => this.#onEnd(plan, child, how)).catch((error) => this.#fail(error));
    return line;
  }

  #onEnd(plan: PlannedProcess, child: Child, how: string): void {
    if (this.#stopping !== undefined || this.#context.signal.aborted) return;
    const error = child.failure(how);
    if (VITAL.includes(plan.role) || this.#endpoints === undefined) this.#fail(error);
    else {
      this.#keepLogs = true;
      this.#context.note(`${describeError(error)}; the cluster goes on without it`);
    }
  }

  #fail(error: unknown): void {
    this.#keepLogs = true;
    if (!this.#failure.signal.aborted) this.#failure.abort(StillhouseError.from(error));
  }

  async #stop(): Promise<void> {
    const deadlineMs = monotonicMs() + STOP_LIMIT_TOTAL_MS;
    for (const role of SHUTDOWN_ORDER) {
      const remainingMs = Math.max(LAST_STOP_LIMIT_MS, Math.min(STOP_LIMIT_MS, deadlineMs - monotonicMs()));
      const children = this.#members.filter((member) => member.role === role).map(({ child }) => child);
      await Promise.all(children.map((child) => child.stop(remainingMs)));
    }
    const waste = this.#keepLogs ? join(this.#stateFolder, 'nats') : this.#stateFolder;
    rmSync(waste, { recursive: true, force: true, maxRetries: 3 });
  }
}

function addressIn(line: ReadyLine, name: string): string {
  if (typeof line.address === 'string') return line.address;
  throw new StillhouseError('INTERNAL', `${name} said that it is ready, but not where`);
}
