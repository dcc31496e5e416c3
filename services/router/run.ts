/** The router's shell: ports, NATS, heartbeats, and an orderly end. */
import { every, monotonicMs, untilAborted } from '../../lib/base/clock.ts';
import type { Logger } from '../../lib/base/log.ts';
import { announceReady, type ProcessContext } from '../../lib/base/process.ts';
import { uniqueId } from '../../lib/base/random.ts';
import { HEARTBEAT_INTERVAL_MS, type Heart, startHeartbeat, watchHeartbeats } from '../../lib/wire/heartbeat.ts';
import type { KeyValue } from '../../lib/wire/kv.ts';
import { Metrics } from '../../lib/wire/metrics.ts';
import { connectNats, type Nats } from '../../lib/wire/nats.ts';
import { type InferenceServer, serveInference } from '../../lib/wire/oip/server.ts';
import { readServiceSettings } from '../../lib/wire/service-settings.ts';
import { BUCKETS } from '../../lib/wire/subjects.ts';
import { Legs } from './legs.ts';
import { Presence } from './presence.ts';
import { parseRoute } from './route-record.ts';
import { Router } from './router.ts';
import { addRouterMetrics } from './router-metrics.ts';

/** Requests that are running when the process ends may take this long. */
const DRAIN_MS = 5_000;
const LEG_TIMEOUT_MS = { fallback: 10_000, min: 1, max: 3_600_000 };

/** Runs until the process's signal. */
export async function runRouter(context: ProcessContext): Promise<void> {
  const { settings, logger, signal } = context;
  const service = readServiceSettings(settings);
  const id = settings.text('STILLHOUSE_WORKER_ID', uniqueId('router'));
  const servers = settings.required('NATS_URL', 'where routes and heartbeats come from, nats://host:port');
  const legs = new Legs();
  const legTimeoutMs = settings.integer('STILLHOUSE_LEG_TIMEOUT_MS', LEG_TIMEOUT_MS.fallback, LEG_TIMEOUT_MS);
  const router = new Router({ legs, legTimeoutMs });
  let nats: Nats | undefined;
  let server: InferenceServer | undefined;
  let follower: Follower | undefined;
  let metrics: Metrics | undefined;
  try {
    nats = await connectNats({ servers, name: id, logger, signal });
    server = await serveInference(router, service, logger);
    const isServing = () => server?.isServing === true;
    metrics = await Metrics.listen({ host: service.host, port: service.metricsPort, serving: isServing });
    addRouterMetrics(metrics, router);
    const address = service.advertised(server.port);
    follower = await follow(router, nats, { id, address, logger });
    server.setServing(true);
    announceReady({
      service: 'router',
      address,
      http: `http://${service.advertised(server.httpPort)}`,
      health: service.advertised(server.healthPort),
      metrics: service.advertised(metrics.port),
    });
    await untilAborted(signal);
    router.end();
  } finally {
    await server?.stop(DRAIN_MS);
    follower?.stop();
    legs.close();
    await metrics?.stop();
    await nats?.close();
  }
}

export interface Follower {
  stop(): void;
}

/**
 * Keeps the router up to date with the registry and the heartbeats, and tells the cluster which routes it has taken
 * over.
 */
export async function follow(
  router: Router,
  nats: Pick<Nats, 'bus' | 'keyValue' | 'onDisconnect' | 'onReconnect'>,
  self: { readonly id: string; readonly address: string; readonly logger: Logger },
): Promise<Follower> {
  const { id, address, logger } = self;
  const presence = new Presence(monotonicMs);
  let told = '{}';
  let heart: Heart | undefined;
  const change = (apply: () => void) => {
    apply();
    const routes = JSON.stringify(router.routes());
    if (routes === told) return;
    told = routes;
    logger.info({ routes: router.routes() }, 'routes that answer have changed');
    // The coordinator waits for this.
    heart?.beat();
  };
  const refresh = () => change(() => router.apply({ kind: 'specialists', specialists: presence.alive() }));
  const activity = () => `${Object.keys(router.routes()).length} routes`;
  heart = startHeartbeat(nats.bus, () => ({
    id,
    role: 'router',
    address,
    activity: activity(),
    pid: process.pid,
    modelDigests: [],
    routes: router.routes(),
  }));
  const stops = [
    heart.stop,
    nats.onDisconnect(() => presence.connectionLost()),
    nats.onReconnect(() => presence.connectionRestored()),
    every(HEARTBEAT_INTERVAL_MS, refresh),
    watchHeartbeats(
      nats.bus,
      (heartbeat) => {
        presence.record(heartbeat);
        refresh();
      },
      { logger, role: 'specialist' },
    ),
    await watchRoutes(router, await nats.keyValue(BUCKETS.routes), change, logger),
  ];
  return {
    stop: () => {
      for (const stop of stops) stop();
    },
  };
}

function watchRoutes(
  router: Router,
  bucket: KeyValue,
  change: (apply: () => void) => void,
  logger: Logger,
): Promise<() => void> {
  return bucket.watch((name, value, revision) => {
    if (value === undefined) {
      change(() => router.apply({ kind: 'route-deleted', name }));
      return;
    }
    try {
      const record = parseRoute(value, `route "${name}", revision ${revision}`);
      change(() => router.apply({ kind: 'route-put', record, revision }));
    } catch (error) {
      // The revision before it goes on serving: one bad record must not take the router down.
      logger.error({ err: error, route: name, revision }, 'a route cannot be taken over');
    }
  });
}
