/** `stillhouse run FILE`: one job on a local cluster of its own, from the file to the answers of the router. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { isAbsolute, join, relative } from 'node:path';
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { monotonicMs, untilAborted } from '../../lib/base/clock.ts';
import { describeError, StillhouseError } from '../../lib/base/errors.ts';
import { dataRoot } from '../../lib/base/folders.ts';
import { uniqueId } from '../../lib/base/random.ts';
import { type Environment, Settings } from '../../lib/base/settings.ts';
import { type JobSpec, jobSpecToJson } from '../../lib/wire/job-file.ts';
import { ALLOW_CUSTOM_CODE, refuseCustomCode } from '../../lib/wire/job-losses.ts';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { writeStateFile } from '../cluster/state-file.ts';
import type { CliContext } from '../context.ts';
import { CoordinatorClient, hasEnded, type Job } from '../coordinator-client.ts';
import { type CheckedJob, checkJob, readJob } from '../job-input.ts';
import { ProgressLines, stateName } from '../job-view.ts';
import {
  addJobFileOptions,
  addSizeOptions,
  type CustomCodeOption,
  customCodeOption,
  type JobFileOptions,
  type SizeOptions,
} from '../options.ts';
import { buildReport, reportLines, type SampleAnswer } from '../report.ts';
import { askRouter } from '../rest.ts';
import { saveModels } from '../run-models.ts';
import { clockTime, counted, grouped } from '../text.ts';

interface RunOptions extends SizeOptions, JobFileOptions, CustomCodeOption {
  readonly keep: boolean;
  readonly out?: string;
}

const PROGRESS_PERIOD_MS = 2000;
/** A run that is being stopped tells the coordinator so, but does not wait long for it. */
const CANCEL_TIMEOUT_MS = 1500;
/** More specialists than this share the legs among them without gain on one machine. */
const DEFAULT_SPECIALISTS_MAX = 4;

export function addRunCommand(program: Command, context: CliContext): void {
  const command = program
    .command('run')
    .description('Run a job on a local cluster of its own and report what came of it.')
    .argument('<file>', 'job file, YAML or JSON');
  addJobFileOptions(command);
  addSizeOptions(command, { students: 'the job’s averaging.workers', specialists: 'one per student of the job' })
    .addOption(customCodeOption())
    .option('--keep', 'keep the cluster after the job, until Ctrl-C', false)
    .option('--out <folder>', 'where job.yaml, report.json and the logs go (default: runs/<job name>)')
    .addHelpText(
      'after',
      `
Examples:
  $ stillhouse run examples/cifar10-specialists.yaml --quick
  $ stillhouse run my.yaml --set train.epochs=3 --set 'students[0].arch=resnet-8'
  $ stillhouse run examples/custom-loss.yaml --quick --allow-custom-code
  $ stillhouse run my.yaml --keep    # then, in another terminal: stillhouse predict cat.jpg

Exit codes: 0 the job succeeded, 1 it failed, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM.`,
    )
    .action((file: string, options: RunOptions) => run(file, options, context));
}

async function run(file: string, options: RunOptions, context: CliContext): Promise<void> {
  const job = await readJob(file, options);
  refuseCustomCode(job.spec, options.allowCustomCode || new Settings(context.environment).flag(ALLOW_CUSTOM_CODE));
  const checked = await checkJob(job, dataRoot(context.environment));
  const { spec } = checked;
  refuseInits(spec, context.environment);
  const students = studentsFor(spec, options);
  const specialists = options.specialists ?? Math.min(DEFAULT_SPECIALISTS_MAX, spec.students.length);
  const folder = options.out ?? join('runs', spec.name);
  const logFolder = join(folder, 'logs');
  rmSync(logFolder, { recursive: true, force: true });
  mkdirSync(logFolder, { recursive: true });
  writeFileSync(join(folder, 'job.yaml'), `# The job as it ran, with all defaults filled in.\n${stringify(spec)}`);
  const images = `${grouped(checked.trainImages)} training and ${counted(checked.testImages, 'test image')}`;
  context.out(`${spec.name}${options.quick ? ' (quick)' : ''}: ${images} of ${spec.data.dataset}`);
  const sizes = [
    counted(options.teachers, 'teacher-worker'),
    counted(students, 'student-worker'),
    counted(specialists, 'specialist'),
  ];
  context.out(`starting a local cluster: nats-server, coordinator, ${sizes.join(', ')}, router`);
  const startedMs = monotonicMs();
  const cluster = await LocalCluster.start({ ...options, students, specialists, logFolder }, context);
  let removeStateFile: (() => void) | undefined;
  try {
    removeStateFile = writeStateFile(context.environment, cluster.endpoints);
    const seconds = ((monotonicMs() - startedMs) / 1000).toFixed(1);
    context.out(`ready in ${seconds} s; logs in ${relative('', logFolder) || logFolder}`);
    await runOn(cluster, checked, folder, context);
    if (options.keep) await keep(cluster, spec, context);
  } finally {
    removeStateFile?.();
    await cluster.stop();
  }
}

/** A cluster of its own starts without any published model; only with `NATS_URL` it may find some. */
function refuseInits(spec: JobSpec, environment: Environment): void {
  if (environment.NATS_URL) return;
  const isPublished = (init: string | undefined) =>
    init !== undefined && !isAbsolute(init) && !init.startsWith('pretrained:');
  const index = spec.students.findIndex(({ init }) => isPublished(init));
  const isTeacher = index === -1 && isPublished(spec.teachers[0]?.init);
  if (index === -1 && !isTeacher) return;
  const field = isTeacher ? 'teachers[0].init' : `students[${index}].init`;
  const message = `${field}: a run starts a cluster of its own, which has no published models to start from`;
  throw new StillhouseError('INVALID_ARGUMENT', message, {
    field,
    hint: 'submit the job to the cluster that published the model: stillhouse job submit',
  });
}

/** The number of student-workers; refused when the job needs more of them. */
function studentsFor(spec: JobSpec, options: RunOptions): number {
  const students = options.students ?? spec.averaging.workers;
  if (students >= spec.averaging.workers) return students;
  const message = `averaging.workers: the job wants ${spec.averaging.workers} student-workers, --students gives ${students}`;
  throw new StillhouseError('INVALID_ARGUMENT', message, {
    field: 'averaging.workers',
    hint: `add --set averaging.workers=${students}`,
  });
}

async function runOn(cluster: LocalCluster, checked: CheckedJob, folder: string, context: CliContext): Promise<void> {
  const { spec } = checked;
  const startedMs = monotonicMs();
  const { coordinator, router, nats } = cluster.endpoints;
  const signal = AbortSignal.any([context.signal, cluster.failure]);
  const client = new CoordinatorClient(coordinator, signal);
  try {
    const job = await follow(client, spec, context, startedMs);
    const succeeded = job.state === 'JOB_STATE_SUCCEEDED';
    const samples: SampleAnswer[] = [];
    for (const image of succeeded ? checked.samples : []) {
      samples.push(await askRouter(router.http, spec.publish.route, image, signal));
    }
    const report = buildReport(job, spec, samples);
    writeFileSync(join(folder, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
    if (!succeeded) {
      const message = `job ${spec.name} ${stateName(job.state)}: ${job.message}`;
      throw new StillhouseError('ABORTED', message, { hint: `logs in ${join(folder, 'logs')}` });
    }
    const models = join(folder, 'models');
    await saveModels(nats, job, models, signal);
    for (const line of ['', ...reportLines(report), '']) context.out(line);
    const seconds = (monotonicMs() - startedMs) / 1000;
    context.out(
      `succeeded in ${clockTime(seconds)}; the report is ${join(folder, 'report.json')}, the models are in ${models}`,
    );
  } finally {
    client.close();
  }
}

/** Submits the job and prints its progress until it has ended; cancels it when the signal comes first. */
async function follow(client: CoordinatorClient, spec: JobSpec, context: CliContext, startedMs: number): Promise<Job> {
  let job = await client.submit(jobSpecToJson(spec), uniqueId('run'));
  const progress = new ProgressLines(PROGRESS_PERIOD_MS);
  try {
    for await (job of client.watch(job.id)) {
      const nowMs = monotonicMs();
      for (const line of progress.next(job, nowMs)) context.out(`[${clockTime((nowMs - startedMs) / 1000)}] ${line}`);
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

/** Waits for Ctrl-C, which here is the ordinary end. */
async function keep(cluster: LocalCluster, spec: JobSpec, context: CliContext): Promise<void> {
  const { coordinator, router } = cluster.endpoints;
  context.out(`the cluster stays until Ctrl-C: coordinator ${coordinator}, router ${router.grpc}, ${router.http}`);
  context.out(`try: npx stillhouse predict --route ${spec.publish.route} IMAGE`);
  const signal = AbortSignal.any([context.signal, cluster.failure]);
  await untilAborted(signal);
  signal.throwIfAborted();
}
