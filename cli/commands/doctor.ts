/** `stillhouse doctor`: whether this machine can run Stillhouse, and if not, what to do. */
import type { Command } from 'commander';
import { unlessAborted } from '../../lib/base/clock.ts';
import type { CliContext } from '../context.ts';
import { attempt, type Check, checkLines } from '../doctor/check.ts';
import { ENGINE_LIMIT_MS, engineChecks, oneDnnCheck, runProbe, threadsCheck } from '../doctor/engine.ts';
import { readEngineOrigin } from '../doctor/engine-origin.ts';
import { deviceCheck, readGpuFacts } from '../doctor/gpu.ts';
import { nodeCheck, processorHere, resourcesCheck, systemCheck, versionCheck } from '../doctor/machine.ts';
import { ANSWER_LIMIT_MS, coordinatorCheck, natsServerCheck, natsUrlCheck } from '../doctor/services.ts';
import { cacheCheck, datasetChecks, weightsCheck } from '../doctor/storage.ts';
import { readPackage } from '../paths.ts';

interface DoctorOptions {
  readonly json: boolean;
  readonly speedTest: boolean;
}

/** Of the engine at work; loading and compiling come on top. */
const SPEED_TEST_MS = 4_000;

/** For checks that only look at files. */
const LOOK_LIMIT_MS = 20_000;
/** Beyond a check's own limit: its own words are better than ours. */
const MARGIN_MS = 2_000;

export function addDoctorCommand(program: Command, context: CliContext): void {
  program
    .command('doctor')
    .description('Check this machine: engine, speed, devices, data, servers; exit code 1 when something is missing.')
    .option('--json', 'print one JSON document', false)
    .option('--no-speed-test', 'do not spend five seconds on the speed of training and prediction; a few steps instead')
    .addHelpText(
      'after',
      `
Examples:
  $ stillhouse doctor
  $ stillhouse doctor --no-speed-test
  $ stillhouse doctor --json | jq '.checks[] | select(.status != "ok")'
  $ STILLHOUSE_DEVICE=gpu stillhouse doctor --json

It downloads nothing and changes nothing. What is wrong comes with what to do about it; \`stillhouse setup --check\` lists
what set-up has fetched. Settings that it shows: docs/settings.md.`,
    )
    .action((options: DoctorOptions) => doctor(options, context));
}

async function doctor({ json, speedTest }: DoctorOptions, context: CliContext): Promise<void> {
  const checks = await unlessAborted(runChecks(context, speedTest ? SPEED_TEST_MS : 0), context.signal);
  const isFit = checks.every(({ status }) => status !== 'fail');
  if (json) context.out(JSON.stringify({ ok: isFit, checks }));
  else for (const line of checkLines(checks)) context.out(line);
  if (!isFit) context.setExitCode(1);
}

/** All checks, side by side, in the order in which they are shown. */
async function runChecks(context: CliContext, speedTestMs: number): Promise<readonly Check[]> {
  const { environment } = context;
  const look = (name: string, work: Parameters<typeof attempt>[2]) => attempt(name, LOOK_LIMIT_MS, work);
  const ask = (name: string, work: Parameters<typeof attempt>[2], whenItFails?: string) =>
    attempt(name, ANSWER_LIMIT_MS + MARGIN_MS, work, whenItFails);
  const parts = await Promise.all([
    look('Stillhouse', versionCheck),
    look('Node', () => nodeCheck(process.versions.node, readPackage().engines.node)),
    look('system', systemCheck),
    look('processor', processorHere),
    look('resources', resourcesCheck),
    look('threads', () => threadsCheck(context)),
    attempt('engine', ENGINE_LIMIT_MS + MARGIN_MS, async () => {
      const outcome = await runProbe(context, ENGINE_LIMIT_MS, speedTestMs);
      return [
        ...engineChecks(outcome, readEngineOrigin()),
        ...oneDnnCheck(outcome),
        deviceCheck(readGpuFacts(), outcome, environment),
      ];
    }),
    look('cache', () => cacheCheck(environment)),
    look('data set', () => datasetChecks(environment)),
    look('weights', () => weightsCheck(environment)),
    ask('nats-server', () => natsServerCheck(context), 'run `npm run setup`'),
    ask('NATS_URL', () => natsUrlCheck(context), 'start that server, or unset NATS_URL: a local cluster has its own'),
    ask('coordinator', () => coordinatorCheck(context)),
  ]);
  return parts.flat();
}
