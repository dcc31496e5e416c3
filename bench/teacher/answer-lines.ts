/** A process of the teacher benchmark: its place on the machine, and requests answered one by one. */
import { createInterface } from 'node:readline';
import { StillhouseError } from '../../lib/base/errors.ts';
import { createLogger, type Logger } from '../../lib/base/log.ts';
import { Compute } from '../../lib/distill/compute.ts';
import { configureEngine } from '../../lib/engine/environment.ts';
import type { TaskContext } from '../../lib/wire/worker-session.ts';

/** Each on standard input is a line of JSON, and so is its answer on standard output. Until standard input ends. */
export async function answerLines<Request>(answer: (request: Request) => Promise<unknown>): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    let reply: unknown;
    try {
      reply = (await answer(JSON.parse(line))) ?? {};
    } catch (error) {
      reply = { error: StillhouseError.from(error, 'the teacher benchmark').message };
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
}

/** One thread, as a worker that shares a machine has. */
export function startCompute(): Compute {
  configureEngine({ intraOpThreads: 1, interOpThreads: 1 });
  return new Compute();
}

export const logger: Logger = createLogger('bench', 'warn');

/** Of all threads of this process, milliseconds. */
export function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** What a task hears of a coordinator that starts it at once. */
export function taskContext(signal: AbortSignal, onReady: () => void): TaskContext {
  return {
    signal,
    leaderEpoch: 1,
    begun: Promise.resolve(),
    ready: onReady,
    progress: () => undefined,
    note: () => undefined,
    onTeachers: () => undefined,
  };
}
