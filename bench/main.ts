/** `npm run bench -- <name>`: benchmarks beside the field's own tools. */
import { Command, Option } from 'commander';
import { THREADS_MAX, wholeNumber } from '../cli/options.ts';
import { describeError } from '../lib/base/errors.ts';
import { availableCores } from '../lib/base/machine.ts';
import { NETS } from './step/cases.ts';
import { benchStep } from './step/main.ts';

const program = new Command('bench').description('Benchmarks; exit code 1 when a bar is missed.');
program
  .command('step')
  .description('a training step, compiled and eager, beside PyTorch')
  .option('--python <path>', 'Python with torch and torchvision', process.env.STILLHOUSE_BENCH_PYTHON)
  .addOption(new Option('--net <name...>', 'only these nets').choices(NETS).default([], 'all'))
  .option('--threads <n>', 'threads of every process', wholeNumber(1, THREADS_MAX), availableCores())
  .action(async ({ python, net, threads }: { python?: string; net: string[]; threads: number }) => {
    const isReached = await benchStep({ python, nets: net, threads }, (line) => process.stdout.write(`${line}\n`));
    if (!isReached) process.exitCode = 1;
  });

program.parseAsync().catch((error) => {
  process.stderr.write(`bench: ${describeError(error)}\n`);
  process.exitCode = 1;
});
