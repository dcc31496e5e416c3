/** `npm run bench -- <name>`: benchmarks beside the field's own tools. */
import { Command, Option } from 'commander';
import { THREADS_MAX, wholeNumber } from '../cli/options.ts';
import { describeError } from '../lib/base/errors.ts';
import { availableCores } from '../lib/base/machine.ts';
import { benchData, DATA_CASES } from './data/main.ts';
import { benchPredict, PREDICT_NETS } from './predict/main.ts';
import { NETS } from './step/cases.ts';
import { benchStep } from './step/main.ts';
import { benchTeacher, TEACHER_CASES } from './teacher/main.ts';

// Of the processes that are measured: what plain TensorFlow.js takes says nothing about the product.
process.env.STILLHOUSE_ENGINE = 'native';

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

program
  .command('predict')
  .description('predictions beside PyTorch and ONNX Runtime')
  .option(
    '--python <path>',
    'Python with torch, torchvision, timm, onnx, onnxruntime',
    process.env.STILLHOUSE_BENCH_PYTHON,
  )
  .addOption(new Option('--net <name...>', 'only these nets').choices(PREDICT_NETS).default([], 'all'))
  .option('--threads <n>', 'threads of every process', wholeNumber(1, THREADS_MAX), availableCores())
  .action(async ({ python, net, threads }: { python?: string; net: string[]; threads: number }) => {
    const options = { python, nets: net, threads };
    const isReached = await benchPredict(options, (line) => process.stdout.write(`${line}\n`));
    if (!isReached) process.exitCode = 1;
  });

program
  .command('data')
  .description('reading, augmenting and normalising images beside PyTorch; data sets of millions of samples')
  .option('--python <path>', 'Python with torch and torchvision', process.env.STILLHOUSE_BENCH_PYTHON)
  .addOption(new Option('--case <name...>', 'only these cases').choices(DATA_CASES).default([], 'all'))
  .action(async ({ python, case: cases }: { python?: string; case: string[] }) => {
    const options = { python, cases, environment: process.env };
    const isReached = await benchData(options, (line) => process.stdout.write(`${line}\n`));
    if (!isReached) process.exitCode = 1;
  });

program
  .command('teacher')
  .description('distilling beside training alone, streams of logits, encodings of logits')
  .addOption(new Option('--case <name...>', 'only these cases').choices(TEACHER_CASES).default([], 'all'))
  .action(async ({ case: cases }: { case: string[] }) => {
    const options = { cases, environment: process.env };
    const isReached = await benchTeacher(options, (line) => process.stdout.write(`${line}\n`));
    if (!isReached) process.exitCode = 1;
  });

program.parseAsync().catch((error) => {
  process.stderr.write(`bench: ${describeError(error)}\n`);
  process.exitCode = 1;
});
