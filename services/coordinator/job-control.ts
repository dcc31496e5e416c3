/**
 * Runs the jobs, one at a time in the order of their submission: feeds the machine of the current one with events and
 * performs the effects that it answers.
 */
import { monotonicMs, wallClockIso } from '../../lib/base/clock.ts';
import { describeError, StillhouseError } from '../../lib/base/errors.ts';
import type { Logger } from '../../lib/base/log.ts';
import type { WorkerMessage__Output } from '../../lib/wire/generated/stillhouse/v1/WorkerMessage.ts';
import { type JobSpec, jobSpecFromJson } from '../../lib/wire/job-file.ts';
import type { RouteRecord } from '../../lib/wire/records.ts';
import type { ClusterView, JobEffect, JobEvent, PublishedModel } from './job-events.ts';
import { EMPTY_CLUSTER, queuedJob, step } from './job-machine.ts';
import { endedJob, hasEnded, type JobRecord } from './job-record.ts';
import type { JobStore } from './job-store.ts';
import type { MachineState } from './job-turn.ts';
import type { Sessions } from './sessions.ts';
import { eventOf, startMessage } from './task-messages.ts';
import { withoutWorker } from './worker-choice.ts';

export interface JobControlOptions {
  readonly store: JobStore;
  readonly sessions: Pick<Sessions, 'send'>;
  /** Writes models and route; resolves to the route's revision. Writes nothing more once the signal is aborted. */
  readonly publish: (
    jobId: string,
    models: readonly PublishedModel[],
    route: RouteRecord,
    signal: AbortSignal,
  ) => Promise<number>;
  readonly logger: Logger;
}

export class JobControl {
  readonly #options: JobControlOptions;
  #cluster: ClusterView = EMPTY_CLUSTER;
  #current: MachineState | undefined;
  /** Events that came while one is being handled. */
  readonly #pending: JobEvent[] = [];
  /** Aborted when the job that publishes ends. */
  #publishing = new AbortController();
  #isStepping = false;
  #isClosed = false;

  constructor(options: JobControlOptions) {
    this.#options = options;
  }

  /** Starts the next job if none runs. Call it when a job has been created, and once at the start. */
  poke(): void {
    if (this.#current !== undefined || this.#isClosed) return;
    const { store } = this.#options;
    const next = store.list().findLast(({ state }) => state === 'QUEUED');
    if (next === undefined) return;
    let spec: JobSpec;
    try {
      spec = jobSpecFromJson(next.specJson);
    } catch (error) {
      // Queued by another release that knew other settings: it must not stand in the way of the others for ever.
      const message = `this release does not understand the job: ${describeError(error)}`;
      store.put({ ...endedJob(next, 'FAILED', message, wallClockIso()), revision: next.revision + 1 }, true);
      this.poke();
      return;
    }
    this.#current = queuedJob(spec, next, this.#cluster);
    this.#dispatch({ kind: 'start' });
  }

  /** Ends the job if it has not ended; answers it as it is then. */
  cancel(job: JobRecord): JobRecord {
    const { store } = this.#options;
    if (this.#current?.job.id === job.id) {
      this.#dispatch({ kind: 'cancel' });
    } else if (!hasEnded(job)) {
      store.put({ ...endedJob(job, 'CANCELLED', 'cancelled', wallClockIso()), revision: job.revision + 1 }, true);
    }
    return store.get(job.id) ?? job;
  }

  setCluster(cluster: ClusterView): void {
    this.#cluster = cluster;
    this.#dispatch({ kind: 'cluster', cluster });
  }

  workerLost(workerId: string, reason: string): void {
    // The job that is next must not find it there, should this one end of it.
    this.#cluster = withoutWorker(this.#cluster, workerId);
    this.#dispatch({ kind: 'worker-lost', workerId, reason });
  }

  workerMessage(workerId: string, message: WorkerMessage__Output): void {
    const event = eventOf(workerId, message);
    if (event !== undefined) this.#dispatch(event);
  }

  tick(): void {
    this.#dispatch({ kind: 'tick' });
  }

  /** From now on nothing changes any more: what the coordinator's end does to the workers is not the job's. */
  close(): void {
    this.#isClosed = true;
    this.#publishing.abort(new StillhouseError('CANCELLED', 'the coordinator is ending'));
  }

  #dispatch(event: JobEvent): void {
    if (this.#isClosed) return;
    this.#pending.push(event);
    // An effect may lead to an event at once: it waits until the step that it belongs to is over.
    if (this.#isStepping) return;
    this.#isStepping = true;
    try {
      for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift()) this.#step(next);
    } finally {
      this.#isStepping = false;
    }
    if (this.#current === undefined) this.poke();
  }

  #step(event: JobEvent): void {
    const before = this.#current;
    if (before === undefined) return;
    const { state, effects } = step(before, event, now());
    this.#current = hasEnded(state.job) ? undefined : state;
    if (this.#current === undefined) this.#publishing.abort(new StillhouseError('CANCELLED', 'the job has ended'));
    if (state.job !== before.job) {
      this.#options.store.put(
        state.job,
        effects.some(({ kind }) => kind === 'save'),
      );
      this.#log(before.job, state.job);
    }
    for (const effect of effects) this.#perform(state.job, effect);
  }

  #perform(job: JobRecord, effect: JobEffect): void {
    const { sessions } = this.#options;
    if (effect.kind === 'start-task') {
      sessions.send(effect.workerId, { start: startMessage(job, effect.taskId, effect.command) });
    } else if (effect.kind === 'begin-task') {
      sessions.send(effect.workerId, { begin: { taskId: effect.taskId } });
    } else if (effect.kind === 'cancel-task') {
      sessions.send(effect.workerId, { cancel: { taskId: effect.taskId } });
    } else if (effect.kind === 'update-teachers') {
      const { taskId, teachers } = effect;
      sessions.send(effect.workerId, { teachers: { taskId, teachers: [...teachers] } });
    } else if (effect.kind === 'publish') {
      this.#publish(job.id, effect.models, effect.route);
    } else if (effect.kind === 'warn') {
      this.#options.logger.warn({ jobId: job.id, workerId: effect.workerId }, effect.message);
    }
  }

  #publish(jobId: string, models: readonly PublishedModel[], route: RouteRecord): void {
    const answer = (event: JobEvent) => {
      // The job may have been cancelled meanwhile, and another one runs.
      if (this.#current?.job.id === jobId) this.#dispatch(event);
    };
    this.#publishing = new AbortController();
    this.#options.publish(jobId, models, route, this.#publishing.signal).then(
      (routeRevision) => answer({ kind: 'published', routeRevision }),
      (error) => answer({ kind: 'publish-failed', message: describeError(error) }),
    );
  }

  #log(before: JobRecord, job: JobRecord): void {
    if (job.state === before.state && job.message === before.message) return;
    this.#options.logger.info({ jobId: job.id, state: job.state, reason: job.message }, 'job changed');
  }
}

function now() {
  return { nowMs: monotonicMs(), nowIso: wallClockIso() };
}
