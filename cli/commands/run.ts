/** `stillhouse run FILE`: one job on a local cluster of its own, from the file to the answers of the router. */
import { isAbsolute, join } from 'node:path';
import type { Command } from 'commander';
import { monotonicMs, untilAborted } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { dataRoot } from '../../lib/base/folders.ts';
import { type Environment, Settings } from '../../lib/base/settings.ts';
import { placeOptionsOf } from '../../lib/data/places/place-settings.ts';
import type { JobSpec } from '../../lib/wire/job-file.ts';
import { ALLOW_CUSTOM_CODE, refuseCustomCode } from '../../lib/wire/job-losses.ts';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { writeStateFile } from '../cluster/state-file.ts';
import type { CliContext } from '../context.ts';
import { type CheckedJob, checkJob, readJob } from '../job-input.ts';
import {
  addJobFileOptions,
  addSizeOptions,
  type CustomCodeOption,
  customCodeOption,
  type JobFileOptions,
  type SizeOptions,
} from '../options.ts';
import { RunFolder } from '../run-folder/run-folder.ts';
import { runJob } from '../run-job.ts';
import { counted, grouped, shownPath } from '../text.ts';

interface RunOptions extends SizeOptions, JobFileOptions, CustomCodeOption {
  readonly keep: boolean;
  readonly out?: string;
}

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
    .option(
      '--out <folder>',
      'where the report, metrics, curves, checkpoints, models and logs go (default: runs/<job name>)',
    )
    .addHelpText(
      'after',
      `
Examples:
  $ stillhouse run examples/quickstart.yaml --quick
  $ stillhouse run my.yaml --set train.epochs=3 --set 'students[0].arch=resnet-8'
  $ stillhouse run examples/custom-loss.yaml --quick --allow-custom-code
  $ stillhouse run my.yaml --keep    # then, in another terminal: stillhouse predict cat.jpg

Exit codes: 0 the job succeeded, 1 it failed, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM.`,
    )
    .action((file: string, options: RunOptions) => run(file, options, context));
}

async function run(file: string, options: RunOptions, context: CliContext): Promise<void> {
  const job = await readJob(file, options);
  const settings = new Settings(context.environment);
  refuseCustomCode(job.spec, options.allowCustomCode || settings.flag(ALLOW_CUSTOM_CODE));
  const checked = await checkJob(job, dataRoot(context.environment), placeOptionsOf(settings));
  const { spec } = checked;
  refuseInits(spec, context.environment);
  const students = studentsFor(spec, options);
  const specialists = options.specialists ?? Math.min(DEFAULT_SPECIALISTS_MAX, spec.students.length);
  const folder = new RunFolder(options.out ?? join('runs', spec.name), spec);
  try {
    await runIn(folder, checked, { ...options, students, specialists }, context);
  } finally {
    folder.release();
  }
}

interface SizedOptions extends RunOptions {
  readonly students: number;
  readonly specialists: number;
}

async function runIn(
  folder: RunFolder,
  checked: CheckedJob,
  options: SizedOptions,
  context: CliContext,
): Promise<void> {
  const { spec } = checked;
  const { students, specialists } = options;
  const images = `${grouped(checked.trainImages)} training and ${counted(checked.testImages, 'test image')}`;
  const mark = checked.synthetic === null ? '' : ` (${checked.synthetic})`;
  context.out(`${spec.name}${options.quick ? ' (quick)' : ''}: ${images} of ${spec.data.dataset}${mark}`);
  const sizes = [
    counted(options.teachers, 'teacher-worker'),
    counted(students, 'student-worker'),
    counted(specialists, 'specialist'),
  ];
  context.out(`starting a local cluster: nats-server, coordinator, ${sizes.join(', ')}, router`);
  const startedMs = monotonicMs();
  const cluster = await LocalCluster.start({ ...options, logFolder: folder.logs }, context);
  let removeStateFile: (() => void) | undefined;
  try {
    removeStateFile = writeStateFile(context.environment, cluster.endpoints);
    const seconds = ((monotonicMs() - startedMs) / 1000).toFixed(1);
    context.out(`ready in ${seconds} s; logs in ${shownPath(folder.logs)}`);
    await runJob(cluster, checked, folder, context);
    if (options.keep) await keep(cluster, spec, context);
  } finally {
    removeStateFile?.();
    await cluster.stop();
  }
}

/** A cluster of its own starts without any published model; only with `NATS_URL` it may find some. */
function refuseInits(spec: JobSpec, environment: Environment): void {
  if (environment.NATS_URL) return;
  const isPublished = (model: string | undefined) =>
    model !== undefined && !isAbsolute(model) && !model.startsWith('pretrained:');
  const teachers = spec.teachers.map((teacher, index): [string, string | undefined] => {
    if (teacher.from === undefined) return [`teachers[${index}].init`, teacher.init];
    return [`teachers[${index}].from.weights`, teacher.from.type === 'weights' ? teacher.from.weights : undefined];
  });
  const students = spec.students.map(({ init }, index): [string, string | undefined] => [
    `students[${index}].init`,
    init,
  ]);
  const [field] = [...teachers, ...students].find(([, model]) => isPublished(model)) ?? [];
  if (field === undefined) return;
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

/** Waits for Ctrl-C, which here is the ordinary end. */
async function keep(cluster: LocalCluster, spec: JobSpec, context: CliContext): Promise<void> {
  const { coordinator, router } = cluster.endpoints;
  context.out(`the cluster stays until Ctrl-C: coordinator ${coordinator}, router ${router.grpc}, ${router.http}`);
  context.out(`try: npx stillhouse predict --route ${spec.publish.route} IMAGE`);
  const signal = AbortSignal.any([context.signal, cluster.failure]);
  await untilAborted(signal);
  signal.throwIfAborted();
}
