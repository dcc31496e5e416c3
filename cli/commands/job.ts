/** `stillhouse job …`: jobs of a running cluster. */
import { existsSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { monotonicMs } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { uniqueId } from '../../lib/base/random.ts';
import { type JobSpec, jobSpecToJson } from '../../lib/wire/job-file.ts';
import { withoutSources } from '../../lib/wire/job-losses.ts';
import { withObjects } from '../cluster-objects.ts';
import type { CliContext } from '../context.ts';
import type { CoordinatorClient, Job } from '../coordinator-client.ts';
import { type ClusterOption, type JsonOption, print, withCoordinator } from '../coordinator-command.ts';
import { readJob } from '../job-input.ts';
import { ProgressLines, phaseProgress, phaseResult, stateName } from '../job-view.ts';
import { addJobFileOptions, coordinatorOption, type JobFileOptions, natsAddress } from '../options.ts';
import { saveDropped } from '../run-folder/dropped.ts';
import { teachingLines, teachingOf } from '../teaching.ts';
import { counted, table } from '../text.ts';

interface GetOptions extends JsonOption {
  readonly dropped?: string;
  readonly nats?: string;
}

const PROGRESS_PERIOD_MS = 2000;

export function addJobCommand(program: Command, context: CliContext): void {
  const job = program.command('job').description('Submit and follow the jobs of a running cluster.');
  job.addHelpText('after', '\nExample:\n  $ stillhouse job submit examples/quickstart.yaml --quick');
  addSubmit(job, context);
  addGet(job, context);
  addWatch(job, context);
  job
    .command('list')
    .description('List all jobs, newest first.')
    .option('--json', 'print a JSON array', false)
    .addOption(coordinatorOption())
    .addHelpText('after', '\nExamples:\n  $ stillhouse job list\n  $ stillhouse job list --json')
    .action((options: JsonOption) =>
      withCoordinator(options, context, async (client) => {
        const jobs = await client.list();
        print(context, options.json, jobs.map(jsonOf), () => listLines(jobs));
      }),
    );
  job
    .command('cancel')
    .description('End a queued or running job.')
    .argument('<id>', 'the job’s id')
    .addOption(coordinatorOption())
    .addHelpText('after', '\nExample:\n  $ stillhouse job cancel job-1a2b3c4d5e')
    .action((id: string, options: ClusterOption) =>
      withCoordinator(options, context, async (client) => {
        const { name, state } = await client.cancel(id);
        context.out(`${id}  ${name}  ${stateName(state)}`);
      }),
    );
}

function addSubmit(job: Command, context: CliContext): void {
  const command = job
    .command('submit')
    .description('Check a job file and queue the job; prints its id.')
    .argument('<file>', 'job file, YAML or JSON');
  addJobFileOptions(command)
    .option('--watch', 'follow the job until it has ended', false)
    .addOption(coordinatorOption())
    .addHelpText(
      'after',
      `
Examples:
  $ stillhouse job submit examples/quickstart.yaml
  $ stillhouse job submit my.yaml --set train.epochs=3 --set 'students[0].arch=resnet-8' --watch`,
    )
    .action((file: string, options: JobFileOptions & ClusterOption & { watch: boolean }) =>
      withCoordinator(options, context, async (client) => {
        const { spec } = await readJob(file, options);
        const { id } = await client.submit(jobSpecToJson(spec), uniqueId('submit'));
        context.out(id);
        if (options.watch) await watch(client, id, context, false);
      }),
    );
}

function addGet(job: Command, context: CliContext): void {
  job
    .command('get')
    .description('Show a job and its phases.')
    .argument('<id>', 'the job’s id')
    .option('--json', 'print the job as JSON', false)
    .option(
      '--dropped <folder>',
      'list there which images each epoch has left out (train.tail: drop); it must not exist',
    )
    .addOption(new Option('--nats <url>', 'where the lists are kept (default: the local cluster’s)').env('NATS_URL'))
    .addOption(coordinatorOption())
    .addHelpText(
      'after',
      '\nExamples:\n  $ stillhouse job get job-1a2b3c4d5e\n  $ stillhouse job get job-1a2b3c4d5e --json' +
        '\n  $ stillhouse job get job-1a2b3c4d5e --dropped dropped',
    )
    .action((id: string, options: GetOptions) =>
      withCoordinator(options, context, async (client) => {
        const found = await client.get(id);
        if (options.dropped !== undefined) await writeDropped(found, options.dropped, options, context);
        print(context, options.json, jsonOf(found), () => jobLines(found));
      }),
    );
}

/** @throws ALREADY_EXISTS; what `saveDropped` throws */
async function writeDropped(job: Job, folder: string, options: GetOptions, context: CliContext): Promise<void> {
  if (existsSync(folder)) {
    throw new StillhouseError('ALREADY_EXISTS', `${folder} exists`, { field: '--dropped', hint: 'name a new folder' });
  }
  const nats = natsAddress(options.nats, options.coordinator, context);
  const { size } = await withObjects(nats, context.signal, (objects) => saveDropped(objects, job, folder));
  if (size > 0) context.note(`wrote ${folder}: ${counted(size, 'list')}`);
  else context.note(`nothing is written: no training of ${job.id} has ended whose epochs drop their tails`);
}

function addWatch(job: Command, context: CliContext): void {
  job
    .command('watch')
    .description('Follow a job until it has ended; exit code 1 unless it succeeded.')
    .argument('<id>', 'the job’s id')
    .option('--json', 'print the whole job as a line of JSON at every change', false)
    .addOption(coordinatorOption())
    .addHelpText('after', '\nExample:\n  $ stillhouse job watch job-1a2b3c4d5e')
    .action((id: string, options: JsonOption) =>
      withCoordinator(options, context, (client) => watch(client, id, context, options.json)),
    );
}

async function watch(client: CoordinatorClient, id: string, context: CliContext, json: boolean): Promise<void> {
  const progress = new ProgressLines(PROGRESS_PERIOD_MS);
  let last: Job | undefined;
  for await (const job of client.watch(id)) {
    last = job;
    if (json) context.out(JSON.stringify(jsonOf(job)));
    else for (const line of progress.next(job, monotonicMs())) context.out(line);
  }
  if (last === undefined) throw new StillhouseError('UNAVAILABLE', `the coordinator said nothing about job ${id}`);
  if (!json) context.out(`${id}  ${last.name}  ${stateName(last.state)}`);
  if (last.state !== 'JOB_STATE_SUCCEEDED') context.setExitCode(1);
}

/** The API's job with its specification as an object, not as text in text; code by its digest. */
function jsonOf(job: Job): object {
  const { specJson, ...rest } = job;
  return { ...rest, spec: specJson === '' ? null : withoutSources(JSON.parse(specJson) as JobSpec) };
}

function listLines(jobs: readonly Job[]): string[] {
  if (jobs.length === 0) return ['no jobs yet'];
  const rows = jobs.map((job) => [job.id, job.name, stateName(job.state), job.createdAt, job.message]);
  return table([['ID', 'NAME', 'STATE', 'CREATED', 'MESSAGE'], ...rows]);
}

function jobLines(job: Job): string[] {
  const lines = [`${job.id}  ${job.name}  ${stateName(job.state)}`];
  if (job.message !== '') lines.push(job.message);
  for (const phase of job.phases) {
    const state = stateName(phase.state);
    if (state === 'pending') lines.push(`  ${phaseResult(phase).split(':')[0]}: pending`);
    else lines.push(`  ${state === 'running' ? phaseProgress(phase) : phaseResult(phase)}`);
    const teaching = teachingOf(phase);
    if (teaching !== null) for (const line of teachingLines(teaching)) lines.push(`    ${line}`);
  }
  return lines;
}
