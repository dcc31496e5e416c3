/** A job on a cluster that stands: from its submission to the report, everything that is seen of it written down. */
import { monotonicMs, unlessAborted } from '../lib/base/clock.ts';
import { describeError, StillhouseError } from '../lib/base/errors.ts';
import { createLogger } from '../lib/base/log.ts';
import { uniqueId } from '../lib/base/random.ts';
import type { ObjectStore } from '../lib/checkpoint/store.ts';
import { jobSpecToJson } from '../lib/wire/job-file.ts';
import { connectNats } from '../lib/wire/nats.ts';
import type { LocalCluster } from './cluster/local-cluster.ts';
import type { CliContext } from './context.ts';
import { CoordinatorClient, hasEnded, type Job } from './coordinator-client.ts';
import { type JobDisplay, startDisplay } from './job-display.ts';
import type { CheckedJob } from './job-input.ts';
import { stateName } from './job-view.ts';
import { buildReport, type JobReport, type ReportInput, type SampleAnswer } from './report.ts';
import { reportLines } from './report-lines.ts';
import { askRouter } from './rest.ts';
import { saveDropped } from './run-folder/dropped.ts';
import { RunRecorder } from './run-folder/recorder.ts';
import type { RunFolder } from './run-folder/run-folder.ts';
import { saveModels } from './run-models.ts';
import { clockTime, shownPath } from './text.ts';

/** A run that is being stopped tells the coordinator so, but does not wait long for it. */
const CANCEL_TIMEOUT_MS = 1500;

interface Run {
  readonly checked: CheckedJob;
  readonly folder: RunFolder;
  readonly context: CliContext;
  readonly client: CoordinatorClient;
  readonly objects: ObjectStore;
  /** The router's REST address. */
  readonly router: string;
  readonly signal: AbortSignal;
  readonly startedMs: number;
}

/**
 * A job that missed its floors is reported like one that succeeded: all of it has been done.
 * @throws ABORTED with the job's message when it did not succeed; the signal's reason; what the cluster answers
 */
export async function runJob(
  cluster: LocalCluster,
  checked: CheckedJob,
  folder: RunFolder,
  context: CliContext,
): Promise<void> {
  const startedMs = monotonicMs();
  const { coordinator, router, nats } = cluster.endpoints;
  const signal = AbortSignal.any([context.signal, cluster.failure]);
  const logger = createLogger('run', 'silent');
  const connection = await connectNats({ servers: nats, name: 'run', logger, signal });
  const client = new CoordinatorClient(coordinator, signal);
  try {
    const objects = await connection.objects();
    const run: Run = { checked, folder, context, client, objects, router: router.http, signal, startedMs };
    const job = await record(run);
    const report = await writeReport(run, job);
    const succeeded = job.state === 'JOB_STATE_SUCCEEDED';
    const seconds = (monotonicMs() - startedMs) / 1000;
    if (isWhole(job)) {
      const verdict = succeeded ? `succeeded in ${clockTime(seconds)}` : `everything was done in ${clockTime(seconds)}`;
      const lines = reportLines(report, process.stdout.columns);
      for (const line of ['', ...lines, '', verdict, ...folder.contents()]) context.out(line);
    }
    if (succeeded) return;
    const message = `job ${checked.spec.name} ${stateName(job.state)}: ${job.message}`;
    throw new StillhouseError('ABORTED', message, isWhole(job) ? {} : { hint: `logs in ${shownPath(folder.logs)}` });
  } finally {
    client.close();
    await connection.close();
  }
}

/** Whether all phases have come to their end, whatever was made of them then. */
function isWhole({ phases }: Job): boolean {
  return phases.length > 0 && phases.every(({ state }) => state === 'PHASE_STATE_DONE');
}

const NOTHING_MORE = { samples: [], samplesProblem: null, weightBytes: new Map(), droppedPerEpoch: new Map() };

/** Written as soon as there is something to write, and again as more is known: what fails later takes nothing away. */
async function writeReport(run: Run, job: Job): Promise<JobReport> {
  const { checked, folder, objects, signal } = run;
  const write = (more: Partial<ReportInput>): JobReport => {
    const report = buildReport({ ...checked, job, ...NOTHING_MORE, ...more });
    folder.writeReport(report);
    return report;
  };
  const report = write({});
  if (!isWhole(job)) return report;
  const droppedPerEpoch = await unlessAborted(saveDropped(objects, job, folder.dropped), signal);
  write({ droppedPerEpoch });
  const weightBytes = await unlessAborted(saveModels(objects, job, checked.spec, folder.models), signal);
  write({ droppedPerEpoch, weightBytes });
  return write({ droppedPerEpoch, weightBytes, ...(await askSamples(run)) });
}

/** All answers, or why there are none. @throws the signal's reason when the run is being stopped */
async function askSamples(run: Run): Promise<Pick<ReportInput, 'samples' | 'samplesProblem'>> {
  const { checked, context, router, signal } = run;
  const samples: SampleAnswer[] = [];
  try {
    for (const image of checked.samples) {
      samples.push(await askRouter(router, checked.spec.publish.route, image, signal));
    }
    return { samples, samplesProblem: null };
  } catch (error) {
    context.signal.throwIfAborted();
    return { samples: [], samplesProblem: describeError(error) };
  }
}

/** Follows the job to its end, on the screen and in the run's folder. */
async function record(run: Run): Promise<Job> {
  const { folder, context, objects, signal, startedMs } = run;
  const { environment, out } = context;
  const display = startDisplay({ stream: process.stdout, environment, out, startedMs });
  try {
    const recorder = new RunRecorder(folder, objects, (line) => display.above(() => context.note(line)));
    try {
      const job = await follow(run, display, recorder);
      await unlessAborted(recorder.settled(), signal);
      return job;
    } finally {
      recorder.close();
    }
  } finally {
    display.close();
  }
}

/** Submits the job and shows it until it has ended; cancels it when the signal comes first. */
async function follow({ client, checked, context }: Run, display: JobDisplay, recorder: RunRecorder): Promise<Job> {
  let job = await client.submit(jobSpecToJson(checked.spec), uniqueId('run'));
  try {
    for await (job of client.watch(job.id)) {
      recorder.observe(job);
      display.show(job);
    }
  } catch (error) {
    if (context.signal.aborted) {
      await client.cancelAtTheEnd(job.id, CANCEL_TIMEOUT_MS).catch((problem) => {
        context.note(`the job could not be cancelled: ${describeError(problem)}`);
      });
    }
    throw error;
  }
  if (hasEnded(job)) return job;
  throw new StillhouseError('UNAVAILABLE', `the coordinator stopped reporting on job ${job.id} before it ended`);
}
