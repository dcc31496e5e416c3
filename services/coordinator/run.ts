/** The coordinator's shell: connections, ports, and the wires between the parts. */
import { every, monotonicMs } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { Logger } from '../../lib/base/log.ts';
import type { Datasets } from '../../lib/wire/datasets.ts';
import { RpcServer, type RpcServerOptions } from '../../lib/wire/grpc.ts';
import { startHeartbeat, watchHeartbeats } from '../../lib/wire/heartbeat.ts';
import { Metrics } from '../../lib/wire/metrics.ts';
import type { Nats } from '../../lib/wire/nats.ts';
import { decodeRoute } from '../../lib/wire/records.ts';
import { BUCKETS } from '../../lib/wire/subjects.ts';
import { addCoordinatorMetrics } from './coordinator-metrics.ts';
import { Dealer } from './dealer.ts';
import { InitialModels, type InitialModelsOptions } from './initial-models.ts';
import { JobControl } from './job-control.ts';
import { JobStore } from './job-store.ts';
import { jobsApi } from './jobs-api.ts';
import { claimLead, watchLeader } from './leader.ts';
import { Membership } from './membership.ts';
import { modelsApi } from './models-api.ts';
import { Registry } from './registry.ts';
import { Sessions } from './sessions.ts';

export interface CoordinatorOptions extends RpcServerOptions {
  readonly id: string;
  readonly nats: Nats;
  /** The data sets to check jobs against; closed by who opened them. */
  readonly datasets: Datasets;
  /** Where weights that jobs start from may be read. */
  readonly files: Pick<InitialModelsOptions, 'cache' | 'allowPaths'>;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly healthPort: number;
  readonly metricsPort: number;
  /** `host:port` as others see it, of a port that was bound. */
  readonly advertised: (boundPort: number) => string;
  readonly logger: Logger;
  /** Called when it cannot go on, above all when another coordinator has taken the lead. */
  readonly onFatal: (error: unknown) => void;
}

export interface Coordinator {
  readonly address: string;
  readonly health: string;
  readonly metrics: string;
  readonly leaderEpoch: number;
  /** Ends all streams, without ending any job. The connection to NATS stays open. */
  stop(): Promise<void>;
}

/** Time that is noticed: silence, limits, retries. */
const TICK_MS = 250;
/** Running calls may take this long when the coordinator ends. */
const DRAIN_MS = 1_000;
/** Records may take this long to get into the bucket then. */
const FLUSH_MS = 2_000;

/** UNAVAILABLE when a port is in use or NATS does not answer. */
export async function startCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const { nats, logger, onFatal } = options;
  const buckets = await openBuckets(nats);
  const leaderEpoch = await claimLead(buckets.leader, options.id);
  const store = new JobStore(buckets.jobs, logger, onFatal);
  await store.load();
  const registry = new Registry(buckets.models, buckets.routes);
  const initialModels = new InitialModels({ registry, objects: await nats.objects(), ...options.files });
  const parts = connectParts(leaderEpoch, store, registry, logger);
  const { control, membership, sessions, dealer } = parts;

  const ending = new AbortController();
  const server = new RpcServer(logger, options)
    .add('Coordinator', {
      ...jobsApi({
        store,
        control,
        membership,
        datasets: options.datasets,
        initialModels,
        leaderEpoch,
        ending: ending.signal,
      }),
      ...modelsApi(registry),
    })
    .add('Workers', sessions.implementation());
  const port = await server.listen(options.host, options.port);
  let health: number;
  let metrics: Metrics;
  try {
    health = await server.listenHealth(options.host, options.healthPort);
    const serving = () => server.health.isServing;
    metrics = await Metrics.listen({ host: options.host, port: options.metricsPort, serving });
  } catch (error) {
    await server.stop(0);
    throw error;
  }
  addCoordinatorMetrics(metrics, { jobs: () => store.list(), members: () => membership.members() });
  const address = options.advertised(port);
  const heart = startHeartbeat(nats.bus, () => ({
    id: options.id,
    role: 'coordinator',
    address,
    activity: `leads with epoch ${leaderEpoch}`,
    pid: process.pid,
    modelDigests: [],
  }));
  const stops = [
    heart.stop,
    await watchLeader(buckets.leader, leaderEpoch, onFatal),
    await buckets.routes.watch((name, value) => {
      try {
        dealer.setRoute(name, value === undefined ? undefined : decodeRoute(value, `route ${name}`));
      } catch (error) {
        logger.error({ err: error, route: name }, 'a route cannot be read; what was dealt before stays');
      }
    }),
    watchHeartbeats(nats.bus, parts.onHeartbeat, { logger }),
    every(TICK_MS, parts.tick),
  ];
  control.poke();
  server.setServing(true);
  return {
    address,
    health: options.advertised(health),
    metrics: options.advertised(metrics.port),
    leaderEpoch,
    stop: async () => {
      const reason = new StillhouseError('UNAVAILABLE', 'the coordinator is ending', { hint: 'try again' });
      for (const stop of stops) stop();
      control.close();
      server.setServing(false);
      ending.abort(reason);
      sessions.close(reason);
      await Promise.all([store.flush(FLUSH_MS), server.stop(DRAIN_MS), metrics.stop()]);
    },
  };
}

async function openBuckets(nats: Nats) {
  const [leader, jobs, models, routes] = await Promise.all([
    nats.keyValue(BUCKETS.leader),
    nats.keyValue(BUCKETS.jobs),
    nats.keyValue(BUCKETS.models),
    nats.keyValue(BUCKETS.routes),
    // Workers store models there: made here once, before any of them asks.
    nats.objects(),
  ]);
  return { leader, jobs, models, routes };
}

/** The parts in memory, wired: streams and heartbeats → membership → jobs and dealt models → streams. */
function connectParts(leaderEpoch: number, store: JobStore, registry: Registry, logger: Logger) {
  const membership = new Membership(monotonicMs);
  const sessions: Sessions = new Sessions(
    leaderEpoch,
    {
      onAttach: (worker) => {
        dealer.forget(worker.id);
        membership.attach(worker);
        refresh();
      },
      onDetach: (workerId, reason) => {
        membership.detach(workerId);
        dealer.forget(workerId);
        control.workerLost(workerId, reason);
        refresh();
      },
      onMessage: (workerId, message) => {
        if (message.draining) {
          membership.drain(workerId);
          refresh();
        } else if (!dealer.workerMessage(workerId, message)) {
          control.workerMessage(workerId, message);
        }
      },
    },
    logger,
  );
  const dealer = new Dealer(sessions, logger);
  const control = new JobControl({
    store,
    sessions,
    publish: (jobId, models, route, signal) => registry.publish(jobId, models, route, signal),
    logger,
  });
  let known = '';
  const silent = new Set<string>();
  const refresh = () => {
    const nowSilent = membership.silent();
    for (const workerId of nowSilent) {
      if (silent.has(workerId)) continue;
      logger.warn({ workerId }, 'the heartbeats of a worker have stopped');
      control.workerLost(workerId, 'its heartbeats stopped');
    }
    silent.clear();
    for (const workerId of nowSilent) silent.add(workerId);
    const cluster = membership.cluster();
    const text = JSON.stringify(cluster);
    if (text === known) return;
    known = text;
    control.setCluster(cluster);
    dealer.setCluster(cluster);
  };
  return {
    membership,
    sessions,
    dealer,
    control,
    onHeartbeat: (heartbeat: Parameters<Membership['heartbeat']>[0]) => {
      membership.heartbeat(heartbeat);
      refresh();
    },
    tick: () => {
      membership.sweep();
      refresh();
      control.tick();
      dealer.deal();
    },
  };
}
