/** `stillhouse cache …`: the teachers' answers that are stored on this machine. */
import { type Command, Option } from 'commander';
import { wallClockIso } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';
import { logitsRoot } from '../../lib/base/folders.ts';
import { LogitsCache, MemoryBudget } from '../../lib/checkpoint/logits-cache/cache.ts';
import type { Namespace } from '../../lib/checkpoint/logits-cache/namespaces.ts';
import { detailLines, type Looked, listLines, type NamespaceSummary, summarise } from '../cache/cache-view.ts';
import { age, type ClearOptions, clearCache } from '../cache/clear-cache.ts';
import { findNamespaces } from '../cache/find-namespaces.ts';
import { type VerifiedNamespace, verifyNamespace } from '../cache/verify-cache.ts';
import type { CliContext } from '../context.ts';
import { print } from '../coordinator-command.ts';
import { wholeNumber } from '../options.ts';
import { startProgress } from '../progress-line.ts';
import { counted } from '../text.ts';

interface InfoOptions {
  readonly quick: boolean;
  readonly json: boolean;
}

interface VerifyCommandOptions {
  readonly samples?: number;
  readonly model?: string;
  readonly nats?: string;
  readonly json: boolean;
}

const WHICH = 'the beginning of a namespace’s name';
const SAMPLES = 64;
const SAMPLES_MAX = 1_000_000;

export function addCacheCommand(program: Command, context: CliContext): void {
  const cache = program
    .command('cache')
    .description('The teachers’ answers that are stored on this machine: look at them, check them, remove them.')
    .addHelpText(
      'after',
      '\nA namespace holds the answers of one teacher to the images of one data set, under some views, in one encoding.' +
        '\nEnvironment: STILLHOUSE_LOGITS (the folder, default: logits in the cache), STILLHOUSE_LOGITS_MAX_BYTES.' +
        '\n\nExample:\n  $ stillhouse cache info',
    );
  addInfo(cache, context);
  addVerify(cache, context);
  cache
    .command('clear')
    .description('Remove a namespace, those that are not used, or all. One that a process writes is refused.')
    .argument('[namespace]', WHICH)
    .option('--unused-for <age>', 'those that nobody has opened for so long: 12h, 30d, 8w', age)
    .option('--all', 'every namespace', false)
    .option('--yes', 'do it: without it, only say what would be removed', false)
    .addHelpText(
      'after',
      '\nExamples:\n  $ stillhouse cache clear 3fa9\n  $ stillhouse cache clear --unused-for 30d --yes',
    )
    .action((name: string | undefined, options: ClearOptions) => clearCache(name, options, context));
}

function addInfo(cache: Command, context: CliContext): void {
  cache
    .command('info')
    .description('Show what is stored: teachers, data sets, views, encodings, how many images, sizes, last use.')
    .argument('[namespace]', WHICH)
    .option('--quick', 'without counting the images, which reads everything', false)
    .option('--json', 'print a JSON array', false)
    .addHelpText('after', '\nExamples:\n  $ stillhouse cache info\n  $ stillhouse cache info 3fa9 --json')
    .action((name: string | undefined, options: InfoOptions) => info(name, options, context));
}

function addVerify(cache: Command, context: CliContext): void {
  cache
    .command('verify')
    .description(
      'Check every stored answer’s checksum, and ask the teacher again for some; exit code 1 if any differs.',
    )
    .argument('[namespace]', WHICH)
    .option(
      '--samples <n>',
      `answers to compute again, drawn at random (default: ${SAMPLES} where the teacher can be had)`,
      wholeNumber(0, SAMPLES_MAX),
    )
    .option('--model <path>', 'the teacher: the folder of a model, e.g. runs/<job>/models/<teacher>, or its file')
    .addOption(
      new Option('--nats <url>', 'a cluster that has the teacher (default: the local cluster)').env('NATS_URL'),
    )
    .option('--json', 'print a JSON array', false)
    .addHelpText(
      'after',
      '\nExamples:\n  $ stillhouse cache verify\n  $ stillhouse cache verify 3fa9 --samples 500 --model runs/digits/models/big',
    )
    .action((name: string | undefined, options: VerifyCommandOptions) => verify(name, options, context));
}

async function info(name: string | undefined, { quick, json }: InfoOptions, context: CliContext): Promise<void> {
  const summaries: NamespaceSummary[] = [];
  for (const namespace of await findNamespaces(name, context)) {
    context.signal.throwIfAborted();
    const lastUse = wallClockIso(namespace.usedMs);
    summaries.push(summarise(namespace, lastUse, quick ? null : await look(namespace, context)));
  }
  const [only] = summaries;
  print(context, json, summaries, () => {
    if (only === undefined) return [`nothing is stored in ${logitsRoot(context.environment)}`];
    return name === undefined ? listLines(summaries) : detailLines(only);
  });
}

async function look({ recipe }: Namespace, { environment }: CliContext): Promise<Looked | null> {
  if (recipe === null) return null;
  const options = { writes: false, memory: new MemoryBudget(0), isUse: false };
  const cache = await LogitsCache.open(logitsRoot(environment), recipe, options);
  try {
    return { samplesByView: cache.samplesByView(), damaged: cache.stats.damaged };
  } finally {
    await cache.close();
  }
}

async function verify(name: string | undefined, options: VerifyCommandOptions, context: CliContext): Promise<void> {
  const { json, model, nats } = options;
  const namespaces = await findNamespaces(name, context);
  if (model !== undefined && namespaces.length > 1) {
    const message = `--model is one teacher’s, and there are ${namespaces.length} namespaces`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { field: '--model', hint: 'name one of them' });
  }
  const root = logitsRoot(context.environment);
  const progress = startProgress(context, 'answers');
  const results: VerifiedNamespace[] = [];
  try {
    const settings = { samples: options.samples ?? SAMPLES, model, nats, onProgress: progress.show };
    for (const namespace of namespaces) {
      context.signal.throwIfAborted();
      results.push(await verifyNamespace(namespace, root, settings, context));
    }
  } finally {
    progress.close();
  }
  // Who has said how many expects them to be computed.
  const isAsked = options.samples !== undefined || model !== undefined;
  const isWrong = results.some(
    ({ problems, notRecomputed }) => problems.length > 0 || (isAsked && notRecomputed !== ''),
  );
  if (isWrong) context.setExitCode(1);
  print(context, json, results, () => {
    if (results.length === 0) return [`nothing is stored in ${root}`];
    return results.flatMap(verifiedLines);
  });
}

function verifiedLines(verified: VerifiedNamespace): string[] {
  const { namespace, answers, damaged, recomputed, notRecomputed, problems } = verified;
  const parts = [`${counted(answers, 'answer')} as stored`, `${damaged} damaged`];
  if (recomputed > 0) parts.push(`${recomputed} computed again`);
  const well = recomputed > 0 ? 'all well' : 'checksums only';
  const verdict = problems.length === 0 ? [well] : [];
  return [
    `${namespace}: ${[...parts, ...verdict].join(', ')}`,
    ...(notRecomputed === '' ? [] : [`  none was computed again: ${notRecomputed}`]),
    ...problems.map((problem) => `  ${problem}`),
  ];
}
