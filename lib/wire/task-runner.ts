/** Runs a worker's tasks one after the other and tells the coordinator how they go. */
import { after, monotonicMs } from '../base/clock.ts';
import { StillhouseError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { StartTask__Output } from './generated/stillhouse/v1/StartTask.ts';
import type { TaskDone } from './generated/stillhouse/v1/TaskDone.ts';
import type { TaskProgress } from './generated/stillhouse/v1/TaskProgress.ts';
import type { TeacherEndpoint__Output } from './generated/stillhouse/v1/TeacherEndpoint.ts';
import type { WorkerMessage } from './generated/stillhouse/v1/WorkerMessage.ts';

export interface TaskReadyFields {
  /** Trainable parameters of the model at hand. */
  readonly parameters: number;
  /** Optimizer steps that the task will commit. */
  readonly stepsTotal: number;
  /** What users should know of how the task computes; absent or empty if nothing. */
  readonly notice?: string;
}

export type TaskProgressFields = Omit<TaskProgress, 'taskId'>;

/** What a task that went well answers; all fields may be left out. `last` defaults to the latest progress. */
export type TaskResult = Omit<TaskDone, 'taskId' | 'last'> & { last?: TaskProgressFields };

export interface TaskContext {
  /** Aborted when the task is cancelled, the stream is lost, or another task starts. */
  readonly signal: AbortSignal;
  /** Of the coordinator that started the task. */
  readonly leaderEpoch: number;
  /** All is loaded, subscribed and connected. Call it once, then wait for `begun`. */
  ready(fields: TaskReadyFields): void;
  /** Resolves when all workers of the task are ready; rejects when the task is aborted first. */
  readonly begun: Promise<void>;
  /** As often as you like: at most a few a second are sent, always the latest. */
  progress(fields: TaskProgressFields): void;
  /** Tells users something that has come up: it goes with the next progress, and at once. The latest counts. */
  note(notice: string): void;
  /**
   * Calls `listener`, which takes the place of any before, with the teachers that serve the task whenever they change from those that
   * it was started with; at once, if they have changed already.
   */
  onTeachers(listener: TeachersListener): void;
}

export type TeachersListener = (teachers: readonly TeacherEndpoint__Output[]) => void;

/** Rejecting fails the task with the error's code, message and field. */
export type RunTask = (start: StartTask__Output, context: TaskContext) => Promise<TaskResult>;

export interface TaskRunnerOptions {
  readonly logger: Logger;
  readonly runTask: RunTask;
  readonly send: (message: WorkerMessage) => void;
  /** Called when a task has not settled `stuckAfterMs` after its abort: no other task can run then. */
  readonly onStuck: (error: StillhouseError) => void;
  /** Default 60 s. */
  readonly stuckAfterMs?: number | undefined;
}

const STUCK_AFTER_MS = 60_000;

interface RunningTask {
  readonly id: string;
  readonly controller: AbortController;
  readonly begin: () => void;
  readonly teachers: TeacherUpdates;
  /** Resolves when the task has settled and been told. */
  readonly settled: Promise<void>;
}

const PROGRESS_INTERVAL_MS = 200;

export class TaskRunner {
  readonly #options: TaskRunnerOptions;
  #current: RunningTask | undefined;

  constructor(options: TaskRunnerOptions) {
    this.#options = options;
  }

  /** Starts the task once the one before, which is aborted, has settled. */
  start(start: StartTask__Output, leaderEpoch: number): void {
    const { taskId } = start;
    const previous = this.#current;
    previous?.controller.abort(new StillhouseError('CANCELLED', 'another task started'));
    const controller = new AbortController();
    const { signal } = controller;
    let begin = () => {};
    const begun = new Promise<void>((resolve, reject) => {
      begin = resolve;
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    // A task that never waits for it must not end the process with an unhandled rejection.
    begun.catch(() => undefined);
    const progress = new ProgressSender(taskId, this.#options.send);
    const teachers = new TeacherUpdates();
    const context: TaskContext = {
      signal,
      leaderEpoch,
      begun,
      ready: (fields) => {
        if (!signal.aborted) this.#options.send({ ready: { taskId, ...fields } });
      },
      progress: (fields) => {
        if (!signal.aborted) progress.offer(fields);
      },
      note: (notice) => {
        if (!signal.aborted) progress.note(notice);
      },
      onTeachers: (listener) => teachers.listen(listener),
    };
    const settled = (async () => {
      await previous?.settled;
      await this.#run(start, context, progress);
    })();
    this.#watch(taskId, signal, settled);
    this.#current = { id: taskId, controller, begin, teachers, settled };
  }

  begin(taskId: string): void {
    if (this.#current?.id === taskId) this.#current.begin();
  }

  updateTeachers(taskId: string, list: readonly TeacherEndpoint__Output[]): void {
    if (this.#current?.id === taskId && !this.#current.controller.signal.aborted) this.#current.teachers.offer(list);
  }

  cancel(taskId: string): void {
    if (this.#current?.id === taskId) {
      this.#current.controller.abort(new StillhouseError('CANCELLED', 'the coordinator cancelled the task'));
    }
  }

  /** Aborts the running task and resolves when it has settled. */
  async close(reason: StillhouseError): Promise<void> {
    this.#current?.controller.abort(reason);
    await this.#current?.settled;
  }

  /** Gives a task that is aborted limited time to end. */
  #watch(taskId: string, signal: AbortSignal, settled: Promise<void>): void {
    const { onStuck, stuckAfterMs = STUCK_AFTER_MS } = this.#options;
    const arm = () => {
      const disarm = after(stuckAfterMs, () => {
        const message = `task ${taskId} did not end within ${stuckAfterMs / 1000} s of being cancelled`;
        onStuck(new StillhouseError('INTERNAL', message));
      });
      void settled.finally(disarm);
    };
    signal.addEventListener('abort', arm, { once: true });
    void settled.finally(() => signal.removeEventListener('abort', arm));
  }

  async #run(start: StartTask__Output, context: TaskContext, progress: ProgressSender): Promise<void> {
    const { taskId } = start;
    const { logger, runTask, send } = this.#options;
    if (context.signal.aborted) return;
    logger.info({ taskId, task: start.task, jobId: start.jobId }, 'task started');
    try {
      const { last, ...result } = await runTask(start, context);
      progress.stop();
      if (context.signal.aborted) {
        // What it has done counts, though nobody waits for its end.
        if (last !== undefined) send({ progress: { taskId, ...last } });
        return;
      }
      const latest = last ?? progress.latest;
      send({ done: { taskId, ...(latest === undefined ? {} : { last: { taskId, ...latest } }), ...result } });
      logger.info({ taskId }, 'task done');
    } catch (thrown) {
      progress.stop();
      const error = StillhouseError.from(thrown);
      // Whoever aborted it knows, and expects no answer.
      if (context.signal.aborted) {
        logger.info({ taskId, reason: error.message }, 'task dropped');
        return;
      }
      logger.error({ taskId, err: thrown }, 'task failed');
      const { code, message, field = '' } = error;
      send({
        failed: { taskId, code, message: error.hint === undefined ? message : `${message} (${error.hint})`, field },
      });
    }
  }
}

/** Keeps the latest list for whoever comes to listen later. */
class TeacherUpdates {
  #latest: readonly TeacherEndpoint__Output[] | undefined;
  #listener: TeachersListener | undefined;

  offer(teachers: readonly TeacherEndpoint__Output[]): void {
    this.#latest = teachers;
    this.#listener?.(teachers);
  }

  listen(listener: TeachersListener): void {
    this.#listener = listener;
    if (this.#latest !== undefined) listener(this.#latest);
  }
}

/** Sends the first progress at once and then the latest at a limited rate. */
class ProgressSender {
  readonly #taskId: string;
  readonly #send: (message: WorkerMessage) => void;
  #sentMs = Number.NEGATIVE_INFINITY;
  #disarm: (() => void) | undefined;
  latest: TaskProgressFields | undefined;
  #notice = '';

  constructor(taskId: string, send: (message: WorkerMessage) => void) {
    this.#taskId = taskId;
    this.#send = send;
  }

  offer(fields: TaskProgressFields): void {
    this.latest = fields;
    if (this.#disarm !== undefined) return;
    const waitMs = this.#sentMs + PROGRESS_INTERVAL_MS - monotonicMs();
    if (waitMs <= 0) this.#flush();
    else this.#disarm = after(waitMs, () => this.#flush());
  }

  note(notice: string): void {
    this.#notice = notice;
    this.offer(this.latest ?? {});
  }

  stop(): void {
    this.#disarm?.();
    this.#disarm = undefined;
  }

  #flush(): void {
    this.#disarm = undefined;
    this.#sentMs = monotonicMs();
    if (this.latest !== undefined)
      this.#send({ progress: { taskId: this.#taskId, notice: this.#notice, ...this.latest } });
  }
}
