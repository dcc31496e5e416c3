/** `stillhouse dataset fetch`: data sets that others publish, ready for jobs. */
import { Argument, type Command } from 'commander';
import { dataRoot } from '../../lib/base/folders.ts';
import { openSource } from '../../lib/data/formats/open-source.ts';
import { openDataset } from '../../lib/data/open-dataset.ts';
import type { CliContext } from '../context.ts';
import { blendDigits, MADE_FROM } from '../dataset/blended-digits.ts';
import { fetchSource } from '../dataset/fetch-source.ts';
import { freeFolder, importInto } from '../dataset/import-into.ts';
import { withScratch } from '../dataset/scratch.ts';
import { wholeNumber } from '../options.ts';

interface FetchOptions {
  readonly name?: string;
  readonly from?: string;
  readonly seed: number;
  readonly statistics: boolean;
  readonly replace: boolean;
}

const SETS = ['mnist', 'fashion-mnist', 'mnist-m'] as const;
type FetchedSet = (typeof SETS)[number];

/** What is called MNIST-M elsewhere has other photographs. */
const DEFAULT_NAMES: Readonly<Record<FetchedSet, string>> = {
  mnist: 'mnist',
  'fashion-mnist': 'fashion-mnist',
  'mnist-m': 'synthetic-mnist-m',
};

const PHOTOS = 'cifar10';
const SEED_MAX = 0xffffffff;

export function addDatasetFetchCommand(dataset: Command, context: CliContext): void {
  dataset
    .command('fetch')
    .description(
      'Get a data set that others publish: MNIST, Fashion-MNIST, or a synthetic MNIST-M made of MNIST and CIFAR-10.',
    )
    .addArgument(new Argument('<set>', 'which one').choices(SETS))
    .option('--name <name>', 'what jobs call it (default: its own name; synthetic-mnist-m)')
    .option('--from <folder>', 'your own copy of its files, packed with gzip or not; nothing is downloaded then')
    .option('--seed <n>', 'decides on the order, and on what lies behind the digits', wholeNumber(0, SEED_MAX), 1)
    .option('--statistics', 'compute mean and standard deviation of all training images', false)
    .option('--replace', 'take the place of a data set that was imported under that name', false)
    .addHelpText(
      'after',
      '\nExamples:\n  $ stillhouse dataset fetch mnist\n  $ stillhouse dataset fetch fashion-mnist --from ~/fashion' +
        '\n  $ stillhouse dataset fetch mnist-m',
    )
    .action((set: FetchedSet, options: FetchOptions) => fetchSet(set, options, context));
}

async function fetchSet(set: FetchedSet, options: FetchOptions, context: CliContext): Promise<void> {
  const { name = DEFAULT_NAMES[set], from, seed, statistics, replace } = options;
  const folder = await freeFolder({ name, replace }, context);
  const root = dataRoot(context.environment);
  const files = await fetchSource(set === 'mnist-m' ? 'mnist' : set, from, context);
  await withScratch(root, async (scratch) => {
    const classNames = set === 'fashion-mnist' ? 'fashion-mnist' : 'digits';
    const source = await openSource(files, { format: 'idx', scratch, classNames });
    const request = { name, seed, statistics, replace };
    if (set !== 'mnist-m') {
      await importInto(folder, source, request, context);
      return;
    }
    const photos = await openDataset(root, PHOTOS);
    try {
      await importInto(
        folder,
        blendDigits({ digits: source, photos, seed }),
        { ...request, synthetic: MADE_FROM },
        context,
      );
    } finally {
      await photos.close();
    }
  });
}
