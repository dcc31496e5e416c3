/** `stillhouse label FILE`: the teachers of a job answer its images, and the answers are stored for the jobs that follow. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { monotonicMs } from '../../lib/base/clock.ts';
import { dataRoot, logitsRoot } from '../../lib/base/folders.ts';
import { createLogger } from '../../lib/base/log.ts';
import { Settings } from '../../lib/base/settings.ts';
import { placeOptionsOf } from '../../lib/data/places/place-settings.ts';
import type { JobSpec } from '../../lib/wire/job-file.ts';
import { ALLOW_CUSTOM_CODE, refuseCustomCode } from '../../lib/wire/job-losses.ts';
import { connectNats } from '../../lib/wire/nats.ts';
import { isGiven } from '../../lib/wire/teaching.ts';
import { LocalCluster } from '../cluster/local-cluster.ts';
import type { CliContext } from '../context.ts';
import { print } from '../coordinator-command.ts';
import { checkJob, readJob } from '../job-input.ts';
import { refuseNothingToStore, unforeseen } from '../label-foresight.ts';
import { type Labelled, labelByJob, labelledLines } from '../label-job.ts';
import {
  addJobFileOptions,
  addSizeOptions,
  type CustomCodeOption,
  coordinatorOption,
  customCodeOption,
  type JobFileOptions,
  type SizeOptions,
} from '../options.ts';
import { RunFolder } from '../run-folder/run-folder.ts';
import { saveModels } from '../run-models.ts';
import { clockTime, grouped, shownPath } from '../text.ts';

interface LabelOptions extends SizeOptions, JobFileOptions, CustomCodeOption {
  readonly out?: string;
  readonly coordinator?: string;
  readonly json: boolean;
}

export function addLabelCommand(program: Command, context: CliContext): void {
  const command = program
    .command('label')
    .description('Let the teachers of a job answer its training images, and store the answers for jobs that follow.')
    .argument('<file>', 'job file, YAML or JSON');
  addJobFileOptions(command);
  addSizeOptions(command, { students: 'none', specialists: 'none' })
    .addOption(customCodeOption())
    .addOption(coordinatorOption())
    .option('--out <folder>', 'where logs and the teachers go (default: runs/<job name>-labels)')
    .option('--json', 'print one JSON document at the end', false)
    .addHelpText(
      'after',
      `
Computes what is not stored yet: a command that was stopped goes on where it was. Jobs find the answers of the same teacher,
data set and views by themselves; see \`stillhouse cache info\`.

Examples:
  $ stillhouse label examples/own-teacher.yaml
  $ stillhouse label my.yaml --set distill.cache.encoding=fp16
  $ stillhouse label my.yaml --coordinator coordinator:7001

Exit codes: 0 everything is stored, 1 it failed, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM.`,
    )
    .action((file: string, options: LabelOptions) => label(file, options, context));
}

async function label(file: string, options: LabelOptions, context: CliContext): Promise<void> {
  const job = await readJob(file, options);
  refuseNothingToStore(job.spec);
  const settings = new Settings(context.environment);
  const { coordinator } = options;
  if (coordinator === undefined) {
    refuseCustomCode(job.spec, options.allowCustomCode || settings.flag(ALLOW_CUSTOM_CODE));
  }
  const { spec, trainImages } = await checkJob(job, dataRoot(context.environment), placeOptionsOf(settings));
  const startedMs = monotonicMs();
  for (const line of unforeseen(spec)) context.note(line);
  context.note(`${spec.name}: ${grouped(trainImages)} training images of ${spec.data.dataset}`);
  for (const { name } of spec.teachers.filter((teacher) => !isGiven(teacher))) {
    context.note(
      `${name} is trained first: what it answers is of use to jobs that train it in the same way, or name it with \`from\``,
    );
  }
  // That nothing can be stored shall be heard of.
  const { distill } = spec;
  const storing: JobSpec = { ...spec, distill: { ...distill, cache: { ...distill.cache, mode: 'on' } } };
  const labelled =
    coordinator === undefined
      ? await labelHere(storing, options, context)
      : (await labelByJob(coordinator, storing, context, context.signal)).labelled;
  const seconds = (monotonicMs() - startedMs) / 1000;
  const where = coordinator === undefined ? shownPath(logitsRoot(context.environment)) : 'the teacher-workers’ cache';
  print(context, options.json, labelled, () => [
    ...labelledLines(labelled),
    `everything is stored in ${where}, after ${clockTime(seconds)}`,
  ]);
}

/** On a cluster of its own, which ends afterwards. */
async function labelHere(spec: JobSpec, options: LabelOptions, context: CliContext): Promise<readonly Labelled[]> {
  const folder = new RunFolder(options.out ?? join('runs', `${spec.name}-labels`), spec);
  try {
    const { students = 0, specialists = 0 } = options;
    const cluster = await LocalCluster.start({ ...options, students, specialists, logFolder: folder.logs }, context);
    try {
      context.note(`a local cluster is ready; logs in ${shownPath(folder.logs)}`);
      const signal = AbortSignal.any([context.signal, cluster.failure]);
      const { coordinator, nats } = cluster.endpoints;
      const { job, labelled } = await labelByJob(coordinator, spec, context, signal);
      const logger = createLogger('label', 'silent');
      const connection = await connectNats({ servers: nats, name: 'label', logger, signal });
      try {
        await saveModels(await connection.objects(), job, spec, folder.models);
      } finally {
        await connection.close();
      }
      return labelled;
    } finally {
      await cluster.stop();
    }
  } finally {
    folder.release();
  }
}
