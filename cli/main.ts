/** The `stillhouse` command: arguments in, exit code out. */
import { Command, CommanderError } from 'commander';
import { describeError, StillhouseError } from '../lib/base/errors.ts';
import { killAllChildren } from './cluster/child.ts';
import { addArchitecturesCommand } from './commands/architectures.ts';
import { addCacheCommand } from './commands/cache.ts';
import { addClusterCommand } from './commands/cluster.ts';
import { addDatasetCommand } from './commands/dataset.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addJobCommand } from './commands/job.ts';
import { addLabelCommand } from './commands/label.ts';
import { addModelsCommand } from './commands/models.ts';
import { addPredictCommand } from './commands/predict.ts';
import { addRouteCommand } from './commands/route.ts';
import { addRunCommand } from './commands/run.ts';
import { addSetupCommand } from './commands/setup.ts';
import { addUpCommand } from './commands/up.ts';
import { addWeightsCommand } from './commands/weights.ts';
import type { CliContext } from './context.ts';
import { watchInterrupts } from './interrupt.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/**
 * Runs the command line and resolves with the exit code, once every process that it started has ended.
 *
 * @param argv the arguments after the program's name.
 */
export async function main(argv: readonly string[]): Promise<number> {
  const interrupts = watchInterrupts(killAllChildren);
  // Whatever ends this process, a crash included: nothing that it started stays.
  process.once('exit', killAllChildren);
  // They stay: that the reader of a pipe has gone is heard of after the last line was written.
  const onOutputError = (error: Error) => interrupts.interrupt(`the output was closed: ${error.message}`);
  for (const stream of [process.stdout, process.stderr]) stream.on('error', onOutputError);
  let exitCode = 0;
  const context: CliContext = {
    environment: process.env,
    signal: interrupts.signal,
    out: (line) => process.stdout.write(`${line}\n`),
    note: (line) => process.stderr.write(`${line}\n`),
    setExitCode: (code) => {
      exitCode = code;
    },
  };
  try {
    await createProgram(context).parseAsync(argv, { from: 'user' });
  } catch (error) {
    exitCode = exitCodeFor(error, context);
  } finally {
    interrupts.dispose();
    process.off('exit', killAllChildren);
  }
  return interrupts.exitCode() ?? exitCode;
}

function createProgram(context: CliContext): Command {
  const program = new Command('stillhouse')
    .description('Turns a large image classifier into small, fast ones, and serves them.')
    .exitOverride()
    .showHelpAfterError('(add --help for help)')
    .addHelpText('after', '\nExample:\n  $ stillhouse run examples/quickstart.yaml --quick');
  addUpCommand(program, context);
  addRunCommand(program, context);
  addLabelCommand(program, context);
  addJobCommand(program, context);
  addModelsCommand(program, context);
  addRouteCommand(program, context);
  addClusterCommand(program, context);
  addPredictCommand(program, context);
  addDatasetCommand(program, context);
  addCacheCommand(program, context);
  addDoctorCommand(program, context);
  addSetupCommand(program, context);
  addWeightsCommand(program, context);
  addArchitecturesCommand(program, context);
  return program;
}

function exitCodeFor(error: unknown, context: CliContext): number {
  // Commander has printed its message, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
  if (context.signal.aborted) {
    const reason = StillhouseError.from(context.signal.reason).message;
    context.note(`stopped (${reason}); everything that was started has been ended`);
    return EXIT_FAILED;
  }
  context.note(`stillhouse: ${describeError(error)}`);
  return EXIT_FAILED;
}
