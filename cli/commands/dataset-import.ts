/** `stillhouse dataset import`: a data set in someone else's format becomes one that jobs can name. */
import path from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { StillhouseError } from '../../lib/base/errors.ts';
import { dataRoot } from '../../lib/base/folders.ts';
import { readNames } from '../../lib/data/formats/class-names.ts';
import { openSource } from '../../lib/data/formats/open-source.ts';
import { type OpenedSource, SOURCE_FORMATS, type SourceFormat } from '../../lib/data/formats/source-options.ts';
import { BAD_SAMPLES_MAX } from '../../lib/data/sharded-manifest.ts';
import type { CliContext } from '../context.ts';
import { freeFolder, importInto } from '../dataset/import-into.ts';
import { withScratch } from '../dataset/scratch.ts';
import { wholeNumber } from '../options.ts';
import { counted } from '../text.ts';

interface ImportCommandOptions {
  readonly name: string;
  readonly format: SourceFormat | 'auto';
  readonly size?: number;
  readonly fit?: 'squash' | 'crop';
  readonly testShare?: number;
  readonly valAs?: 'train' | 'test';
  readonly seed: number;
  readonly classes?: string;
  readonly coarse?: boolean;
  readonly extra?: boolean;
  readonly badSamples: number;
  readonly statistics: boolean;
  readonly replace: boolean;
}

const SIZE_MAX = 4096;
const SEED_MAX = 0xffffffff;

export function addDatasetImportCommand(dataset: Command, context: CliContext): void {
  dataset
    .command('import')
    .description('Make a data set of files: every image is decoded once, shuffled, and put into shards.')
    .argument('<source>', 'a folder (CIFAR binary, IDX, SVHN, or pictures in folders by class)')
    .requiredOption('--name <name>', 'what jobs call it')
    .addOption(
      new Option('--format <format>', 'what the files are').choices(['auto', ...SOURCE_FORMATS]).default('auto'),
    )
    .option('--size <pixels>', 'pictures: height and width that jobs see (default: 224)', wholeNumber(1, SIZE_MAX))
    .addOption(
      new Option('--fit <fit>', 'pictures: squash to a square, or scale and crop the centre (default: squash)').choices(
        ['squash', 'crop'],
      ),
    )
    .option('--test-share <share>', 'pictures without a test folder: held out of each class (default: 0.2)', share)
    .addOption(
      new Option('--val-as <split>', 'pictures: what val/ is (default: train beside test/, else test)').choices([
        'train',
        'test',
      ]),
    )
    .option('--seed <n>', 'decides on the order, and on what is held out', wholeNumber(0, SEED_MAX), 1)
    .option('--classes <file>', 'IDX: names of the classes, one a line (default: labels.txt beside it, or digits)')
    .option('--coarse', 'CIFAR-100: the 20 coarse classes instead of the 100 fine ones')
    .option('--extra', 'SVHN: extra_32x32.mat trains too')
    .option(
      '--bad-samples <policy>',
      'fail at the first damaged image, or keep:N to list up to N of them (1,000 at most), which jobs can leave out (default: fail)',
      badSamples,
      0,
    )
    .option('--statistics', 'compute mean and standard deviation of all training images', false)
    .option('--replace', 'take the place of a data set that was imported under that name', false)
    .addHelpText(
      'after',
      '\nExamples:\n  $ stillhouse dataset import ~/pictures --name pictures --size 160 --fit crop' +
        '\n  $ stillhouse dataset import cifar-100-binary --name cifar100 --statistics' +
        '\n  $ stillhouse dataset import scans --name scans --bad-samples keep:20',
    )
    .action((source: string, options: ImportCommandOptions) => importFrom(source, options, context));
}

function share(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && value < 1) return value;
  throw new InvalidArgumentError('Expected a number between 0 and 1.');
}

/** How many damaged samples may be kept. */
function badSamples(text: string): number {
  if (text === 'fail') return 0;
  const [, count] = /^keep:(\d+)$/.exec(text) ?? [];
  if (count !== undefined && Number(count) <= BAD_SAMPLES_MAX) return Number(count);
  throw new InvalidArgumentError(`Expected fail, or keep: and how many, up to ${BAD_SAMPLES_MAX}, e.g. keep:20.`);
}

async function importFrom(location: string, options: ImportCommandOptions, context: CliContext): Promise<void> {
  const { name, seed, statistics, replace } = options;
  const folder = await freeFolder({ name, replace }, context);
  await withScratch(dataRoot(context.environment), async (scratch) => {
    const source = await open(location, options, scratch);
    for (const [extension, count] of source.ignored) {
      context.note(`left aside: ${counted(count, 'file')} ${extension === '' ? 'without an extension' : extension}`);
    }
    await importInto(folder, source, { name, seed, statistics, replace, badSamples: options.badSamples }, context);
  });
}

async function open(location: string, options: ImportCommandOptions, scratch: string): Promise<OpenedSource> {
  const { format, size, fit, testShare, valAs, seed, coarse, extra, classes } = options;
  return openSource(path.resolve(location), {
    ...(format !== 'auto' && { format }),
    ...{ scratch, size, fit, testShare, valAs, seed, coarse, extra },
    ...(classes !== undefined && { classNames: await namesIn(classes) }),
  });
}

async function namesIn(location: string): Promise<readonly string[]> {
  const names = await readNames(location);
  if (names !== null) return names;
  throw new StillhouseError('NOT_FOUND', `there is no file ${location}`, { field: '--classes' });
}
