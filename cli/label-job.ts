/** A job of which only the teachers' logits are wanted, followed on a cluster that stands. */
import { monotonicMs } from '../lib/base/clock.ts';
import { describeError, StillhouseError } from '../lib/base/errors.ts';
import { uniqueId } from '../lib/base/random.ts';
import { type JobSpec, jobSpecToJson } from '../lib/wire/job-file.ts';
import type { CliContext } from './context.ts';
import { CoordinatorClient, hasEnded, type Job } from './coordinator-client.ts';
import { startDisplay } from './job-display.ts';
import { stateName } from './job-view.ts';
import { counted, grouped } from './text.ts';

/** A command that is being stopped tells the coordinator so, but does not wait long for it. */
const CANCEL_TIMEOUT_MS = 1500;

/** What was stored of a teacher's answers. */
export interface Labelled {
  readonly teacher: string;
  readonly modelDigest: string;
  /** Answers that are stored now: images times views. */
  readonly answers: number;
  /** Of these, how many had been stored before. */
  readonly storedBefore: number;
}

/**
 * Submits the job and shows it until it has ended; cancels it when the signal comes first. What has been stored by then stays.
 * @throws ABORTED with the job's message when it did not succeed; the signal's reason; what the coordinator answers
 */
export async function labelByJob(
  coordinator: string,
  spec: JobSpec,
  context: CliContext,
  signal: AbortSignal,
): Promise<{ readonly job: Job; readonly labelled: readonly Labelled[] }> {
  const client = new CoordinatorClient(coordinator, signal);
  const { environment, note } = context;
  const display = startDisplay({ stream: process.stderr, environment, out: note, startedMs: monotonicMs() });
  try {
    let job = await client.submit(jobSpecToJson(spec), uniqueId('label'), 'JOB_SCOPE_LABEL');
    try {
      for await (job of client.watch(job.id)) display.show(job);
    } catch (error) {
      if (context.signal.aborted) await cancel(client, job.id, context);
      throw error;
    }
    if (!hasEnded(job)) {
      throw new StillhouseError('UNAVAILABLE', `the coordinator stopped reporting on job ${job.id} before it ended`);
    }
    if (job.state !== 'JOB_STATE_SUCCEEDED') {
      const hint = 'what has been stored stays: the same command goes on from there';
      throw new StillhouseError('ABORTED', `job ${spec.name} ${stateName(job.state)}: ${job.message}`, { hint });
    }
    return { job, labelled: labelledBy(job) };
  } finally {
    display.close();
    client.close();
  }
}

export function labelledLines(labelled: readonly Labelled[]): string[] {
  return labelled.map(({ teacher, answers, storedBefore }) => {
    const before = storedBefore === 0 ? '' : `, ${grouped(storedBefore)} of them before`;
    return `${teacher}: ${counted(answers, 'answer')} stored${before}`;
  });
}

function labelledBy({ phases }: Job): Labelled[] {
  return phases
    .filter(({ kind }) => kind === 'PHASE_KIND_LABEL')
    .map(({ subject, workers }) => {
      const sum = (of: (worker: (typeof workers)[number]) => number) =>
        workers.reduce((total, worker) => total + of(worker), 0);
      const model = phases.find((phase) => phase.subject === subject && phase.modelDigest !== '');
      return {
        teacher: subject,
        modelDigest: model?.modelDigest ?? '',
        answers: sum(({ teacherSamples }) => teacherSamples),
        storedBefore: sum(({ cachedSamples }) => cachedSamples),
      };
    });
}

async function cancel(client: CoordinatorClient, id: string, context: CliContext): Promise<void> {
  await client.cancelAtTheEnd(id, CANCEL_TIMEOUT_MS).catch((problem) => {
    context.note(`the job could not be cancelled: ${describeError(problem)}`);
  });
}
