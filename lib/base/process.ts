/**
 * The life of a service's process: one abort signal for every reason to end (SIGINT, SIGTERM, the parent's end), one line
 * and exit code 1 for every error that reaches the top.
 */
import { describeError, StillhouseError } from './errors.ts';
import { createLogger, LOG_LEVELS, type Logger } from './log.ts';
import { Settings } from './settings.ts';

export interface ProcessContext {
  readonly settings: Settings;
  readonly logger: Logger;
  /** Aborted when the process shall end; the body then releases what it holds and returns. */
  readonly signal: AbortSignal;
  /** Ends the process as SIGTERM would, with `error` as the reason: exit code 1. */
  fail(error: unknown): void;
}

export interface ProcessOptions {
  /** That the body has to return after the signal; then the process exits all the same. Default 10 s. */
  readonly shutdownLimitMs?: number;
}

const SHUTDOWN_LIMIT_MS = 10_000;

/** npm and shells forward a Ctrl-C that the terminal has sent already: within this time it is the same one. */
const SAME_SIGNAL_MS = 1000;

/**
 * Runs a service. The first signal ends it in order, a later one at once. With `STILLHOUSE_EXIT_WITH_PARENT` set, the end of
 * standard input ends the process too: a local cluster holds the other end, so its children never outlive it, however it dies.
 */
export async function runProcess(
  name: string,
  body: (context: ProcessContext) => Promise<void>,
  { shutdownLimitMs = SHUTDOWN_LIMIT_MS }: ProcessOptions = {},
): Promise<never> {
  const settings = new Settings(process.env);
  const logger = openLog(name, settings);
  const controller = new AbortController();
  let failure: unknown;
  const end = (reason: string) => {
    if (controller.signal.aborted) return;
    logger.info({ reason }, 'ending');
    controller.abort(new StillhouseError('CANCELLED', reason));
    setTimeout(() => {
      logger.error({ limitMs: shutdownLimitMs }, 'shutdown took too long');
      process.exit(1);
    }, shutdownLimitMs).unref();
  };
  let signalledMs: number | undefined;
  const onSignal = (signal: string) => {
    signalledMs ??= performance.now();
    if (performance.now() - signalledMs > SAME_SIGNAL_MS) process.exit(1);
    end(signal);
  };
  const fail = (error: unknown) => {
    failure ??= error;
    end(`error: ${describeError(error)}`);
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  if (settings.flag('STILLHOUSE_EXIT_WITH_PARENT')) {
    process.stdin.resume();
    process.stdin.on('end', () => end('the parent process ended'));
    process.stdin.on('error', () => end('the parent process ended'));
  }
  try {
    await body({ settings, logger, signal: controller.signal, fail });
  } catch (error) {
    if (!(controller.signal.aborted && failure === undefined)) failure ??= error;
  }
  if (failure !== undefined) {
    logger.error({ err: failure }, describeError(failure));
    process.stderr.write(`${name}: ${describeError(failure)}\n`);
  }
  process.exit(failure === undefined ? 0 : 1);
}

/** Without a log there is nothing but standard error to say why. */
function openLog(name: string, settings: Settings): Logger {
  try {
    return createLogger(name, settings.oneOf('STILLHOUSE_LOG_LEVEL', 'info', LOG_LEVELS));
  } catch (error) {
    process.stderr.write(`${name}: ${describeError(error)}\n`);
    process.exit(1);
  }
}

/** The line by which a service says on standard output that it is ready, for whoever started it. */
export function announceReady(fields: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify({ ready: true, ...fields })}\n`);
}
