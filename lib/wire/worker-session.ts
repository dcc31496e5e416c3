/**
 * A worker's end of Workers.Attend: stays attached to the coordinator, runs the task that it sends, one at a time.
 *
 * A lost stream aborts the task, because the coordinator counts it as failed; then the worker attaches again, waiting
 * longer from try to try.
 */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { monotonicMs, sleep } from '../base/clock.ts';
import { StillhouseError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { CoordinatorMessage__Output } from './generated/stillhouse/v1/CoordinatorMessage.ts';
import type { Hello } from './generated/stillhouse/v1/Hello.ts';
import type { StartTask__Output } from './generated/stillhouse/v1/StartTask.ts';
import type { WorkerMessage } from './generated/stillhouse/v1/WorkerMessage.ts';
import { dial, type RpcClient } from './grpc-dial.ts';
import { fromStatus } from './grpc-status.ts';
import { type RunTask, TaskRunner } from './task-runner.ts';

export type {
  RunTask,
  TaskContext,
  TaskProgressFields,
  TaskReadyFields,
  TaskResult,
  TeachersListener,
} from './task-runner.ts';

export interface AttendOptions {
  /** The coordinator's address, `host:port`. */
  readonly coordinator: string;
  readonly hello: Hello;
  readonly logger: Logger;
  /** Ends the session: the task is aborted and the stream closed. */
  readonly signal: AbortSignal;
  /** Tells the coordinator, when it is aborted, that the worker will go: what it has begun goes on until `signal` ends it. */
  readonly draining?: AbortSignal;
  readonly runTask: RunTask;
  /**
   * Called before `attend` rejects because a cancelled task does not end; for a process that waits for its tasks when it
   * ends, and so has to be ended by other means.
   */
  readonly onStuck?: (error: StillhouseError) => void;
  /** Time for a cancelled task to end; default 10 s. */
  readonly stuckAfterMs?: number;
}

const BACKOFF_MIN_MS = 200;
const BACKOFF_MAX_MS = 3_000;
/** A stream that stood this long starts the waiting anew. */
const STABLE_MS = 5_000;

/**
 * Resolves when the signal is aborted and the last task has settled. Rejects on a Hello that is refused as invalid, and
 * with INTERNAL when a cancelled task does not end: the process is of no use any more and should end.
 */
export async function attend(options: AttendOptions): Promise<void> {
  const { logger, signal } = options;
  const client = dial('Workers', options.coordinator);
  const epoch = { highest: 0 };
  let backoffMs = BACKOFF_MIN_MS;
  try {
    while (!signal.aborted) {
      const startedMs = monotonicMs();
      const reason = await attendOnce(client, options, epoch);
      if (signal.aborted) return;
      // Trying again cannot help against these.
      if (reason.code === 'INVALID_ARGUMENT' || reason.code === 'UNIMPLEMENTED') throw reason;
      if (monotonicMs() - startedMs > STABLE_MS) backoffMs = BACKOFF_MIN_MS;
      logger.warn(
        { coordinator: options.coordinator, reason: reason.message, backoffMs },
        'not attached; trying again',
      );
      await sleep(backoffMs, signal).catch(() => undefined);
      backoffMs = Math.min(backoffMs * 2, BACKOFF_MAX_MS);
    }
  } finally {
    client.close();
  }
}

/** One stream, from Hello to its end; resolves to why it ended, after its task has settled. */
async function attendOnce(
  client: RpcClient<'Workers'>,
  options: AttendOptions,
  epoch: { highest: number },
): Promise<StillhouseError> {
  const { logger, signal, draining, hello } = options;
  const call: ClientDuplexStream<WorkerMessage, CoordinatorMessage__Output> = client.attend();
  let giveUp: (error: StillhouseError) => void = () => {};
  const stuck = new Promise<never>((_, reject) => {
    giveUp = reject;
  });
  // It may come when nobody waits for it any more.
  stuck.catch(() => undefined);
  const runner = new TaskRunner({
    logger,
    runTask: options.runTask,
    stuckAfterMs: options.stuckAfterMs,
    onStuck: (error) => {
      options.onStuck?.(error);
      giveUp(error);
    },
    send: (message) => {
      if (call.writable) call.write(message);
    },
  });
  let refusal: StillhouseError | undefined;
  const ended = new Promise<StillhouseError>((resolve) => {
    call.on('error', (error) => resolve(refusal ?? fromStatus(error, `the coordinator at ${options.coordinator}`)));
    call.on('end', () => resolve(refusal ?? new StillhouseError('UNAVAILABLE', 'the coordinator closed the stream')));
  });
  const onAbort = () => call.cancel();
  signal.addEventListener('abort', onAbort, { once: true });
  const onDraining = () => {
    if (call.writable) call.write({ draining: {} });
  };
  call.on('data', (message: CoordinatorMessage__Output) => {
    if (message.leaderEpoch < epoch.highest) {
      refusal = new StillhouseError(
        'ABORTED',
        `the coordinator's leader epoch ${message.leaderEpoch} is lower than ${epoch.highest}: it has been deposed`,
      );
      call.cancel();
      return;
    }
    epoch.highest = message.leaderEpoch;
    handle(message, runner, options);
  });
  call.write({ hello });
  if (draining?.aborted) onDraining();
  else draining?.addEventListener('abort', onDraining, { once: true });
  try {
    const reason = await Promise.race([ended, stuck]);
    const closing = runner.close(signal.aborted ? new StillhouseError('CANCELLED', 'the worker is ending') : reason);
    await Promise.race([closing, stuck]);
    return reason;
  } finally {
    signal.removeEventListener('abort', onAbort);
    draining?.removeEventListener('abort', onDraining);
    call.cancel();
  }
}

function handle(message: CoordinatorMessage__Output, runner: TaskRunner, options: AttendOptions): void {
  if (message.welcome) {
    options.logger.info({ coordinator: options.coordinator, leaderEpoch: message.leaderEpoch }, 'attached');
  } else if (message.start) {
    runner.start(message.start as StartTask__Output, message.leaderEpoch);
  } else if (message.begin) {
    runner.begin(message.begin.taskId);
  } else if (message.cancel) {
    runner.cancel(message.cancel.taskId);
  } else if (message.teachers) {
    runner.updateTeachers(message.teachers.taskId, message.teachers.teachers);
  }
}
