/** Keeps the specialists serving what the routes need: deals the legs anew whenever a route or a specialist changes. */
import { monotonicMs } from '../../lib/base/clock.ts';
import type { Logger } from '../../lib/base/log.ts';
import type { WorkerMessage__Output } from '../../lib/wire/generated/stillhouse/v1/WorkerMessage.ts';
import type { RouteRecord } from '../../lib/wire/records.ts';
import type { ClusterView } from './job-events.ts';
import { dealLegs } from './route-deal.ts';
import type { Sessions } from './sessions.ts';
import { workersOf } from './worker-choice.ts';

/** A specialist that could not load its models is asked again after this time. */
const RETRY_MS = 5_000;
const TASK_PREFIX = 'serve-models.';

interface Sent {
  readonly taskId: string;
  /** What was dealt, to compare. */
  readonly models: string;
  failedMs: number | undefined;
}

export class Dealer {
  readonly #sessions: Pick<Sessions, 'send'>;
  readonly #logger: Logger;
  readonly #routes = new Map<string, RouteRecord>();
  readonly #sent = new Map<string, Sent>();
  #specialists: readonly string[] = [];
  #tasks = 0;

  constructor(sessions: Pick<Sessions, 'send'>, logger: Logger) {
    this.#sessions = sessions;
    this.#logger = logger;
  }

  setRoute(name: string, route: RouteRecord | undefined): void {
    if (route === undefined) this.#routes.delete(name);
    else this.#routes.set(name, route);
    this.deal();
  }

  setCluster(cluster: ClusterView): void {
    this.#specialists = workersOf(cluster, 'specialist').map(({ id }) => id);
    this.deal();
  }

  /** A new stream knows nothing of what was sent on the one before. */
  forget(workerId: string): void {
    this.#sent.delete(workerId);
  }

  /** True when the message answers a task of ours. */
  workerMessage(workerId: string, message: WorkerMessage__Output): boolean {
    const taskId = message.done?.taskId ?? message.failed?.taskId ?? message.ready?.taskId ?? '';
    if (!taskId.startsWith(TASK_PREFIX)) return false;
    const sent = this.#sent.get(workerId);
    if (sent?.taskId === taskId && message.failed) {
      sent.failedMs = monotonicMs();
      this.#logger.warn({ workerId, reason: message.failed.message }, 'a specialist could not load its models');
    }
    return true;
  }

  /** Sends every specialist its models, if they have changed or failed a while ago. */
  deal(): void {
    for (const [workerId, models] of dealLegs([...this.#routes.values()], this.#specialists)) {
      const text = JSON.stringify(models);
      const sent = this.#sent.get(workerId);
      const isDue = sent?.failedMs !== undefined && monotonicMs() - sent.failedMs >= RETRY_MS;
      if (sent?.models === text && !isDue) continue;
      // A specialist starts with no models: nothing to tell it.
      if (sent === undefined && models.length === 0) continue;
      const taskId = `${TASK_PREFIX}${++this.#tasks}`;
      this.#sent.set(workerId, { taskId, models: text, failedMs: undefined });
      this.#logger.info({ workerId, models: models.map(({ name }) => name) }, 'dealt models');
      this.#sessions.send(workerId, { start: { taskId, serveModels: { models: [...models] } } });
    }
  }
}
