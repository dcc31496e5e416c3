/** `npm run bench -- <name>`: benchmarks beside the field's own tools. */
import { Command } from 'commander';
import { describeError } from '../lib/base/errors.ts';
import { availableCores } from '../lib/base/machine.ts';
import { benchStep } from './step/main.ts';

const program = new Command('bench').description('Benchmarks; exit code 1 when a bar is missed.');
program
  .command('step')
  .description('a training step, compiled and eager, beside PyTorch')
  .option('--python <path>', 'Python with torch and torchvision', process.env.STILLHOUSE_BENCH_PYTHON)
  .option('--net <name...>', 'only these nets', [])
  .option('--threads <n>', 'threads of every process', String(availableCores()))
  .action(async ({ python, net, threads }: { python?: string; net: string[]; threads: string }) => {
    const options = { python, nets: net, threads: Number(threads) };
    const isReached = await benchStep(options, (line) => process.stdout.write(`${line}\n`));
    if (!isReached) process.exitCode = 1;
  });

program.parseAsync().catch((error) => {
  process.stderr.write(`bench: ${describeError(error)}\n`);
  process.exitCode = 1;
});
