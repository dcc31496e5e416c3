/** `stillhouse dataset preview`: a contact sheet. */
import { rename, rm } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { StillhouseError } from '../../lib/base/errors.ts';
import { uniqueId } from '../../lib/base/random.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { writeDurably } from '../../lib/data/durable-file.ts';
import type { ImageShape, SplitName } from '../../lib/data/manifest.ts';
import type { CliContext } from '../context.ts';
import { contactSheet, hasFonts, type Tile } from '../dataset/contact-sheet.ts';
import { withDataset, withJobDataset } from '../dataset/open.ts';
import { plainTiles, studentTiles } from '../dataset/preview-tiles.ts';
import { collect, wholeNumber } from '../options.ts';
import { counted, shownPath } from '../text.ts';

interface PreviewOptions {
  readonly out: string;
  readonly count: number;
  readonly split: SplitName;
  readonly seed: number;
  readonly job?: string;
  readonly student?: string;
  readonly epoch: number;
  readonly set: readonly string[];
}

const IMAGES_MAX = 1024;
const SEED_MAX = 0xffffffff;
const EPOCHS_MAX = 1_000_000;

export function addDatasetPreviewCommand(dataset: Command, context: CliContext): void {
  dataset
    .command('preview')
    .description('Draw a contact sheet: a PNG of some images with the names of their classes.')
    .argument('[dataset]', 'a name, a folder or an address; with --job the job’s if it is left out')
    .requiredOption('--out <file>', 'the PNG to write')
    .option('--count <n>', 'images to show', wholeNumber(1, IMAGES_MAX), 64)
    .addOption(new Option('--split <split>', 'the images to draw from').choices(['train', 'test']).default('train'))
    .option('--seed <n>', 'decides on which images are drawn', wholeNumber(0, SEED_MAX), 1)
    .option('--job <file>', 'show training images as a student of this job sees them: cropped, jittered, mixed')
    .option('--student <name>', 'with --job: the student (default: the first one)')
    .option('--epoch <n>', 'with --job: the epoch, from 1', wholeNumber(1, EPOCHS_MAX), 1)
    .option('--set <path=value>', 'with --job: override a value of the file (repeatable)', collect, [])
    .addHelpText(
      'after',
      '\nExamples:\n  $ stillhouse dataset preview cifar10 --out sheet.png' +
        '\n  $ stillhouse dataset preview --job job.yaml --epoch 2 --count 16 --out views.png',
    )
    .action((name: string | undefined, options: PreviewOptions) => preview(name, options, context));
}

async function preview(name: string | undefined, options: PreviewOptions, context: CliContext): Promise<void> {
  const { job } = options;
  if (job !== undefined) await previewJob(job, name, options, context);
  else if (name !== undefined) await previewDataset(name, options, context);
  else
    throw new StillhouseError('INVALID_ARGUMENT', 'there is no data set to show', { hint: 'name one, or give --job' });
}

async function previewDataset(
  name: string,
  { out, count, split, seed }: PreviewOptions,
  context: CliContext,
): Promise<void> {
  await withDataset(name, context, async ({ dataset }) => {
    const tiles = await plainTiles(dataset, split, { count, seed });
    if (tiles.length === 0) throw noImages(dataset.name, split);
    await write(out, tiles, dataset.image, context);
    context.out(`wrote ${shownPath(out)}: ${counted(tiles.length, `${split} image`)} of ${markedName(dataset)}`);
  });
}

async function previewJob(
  job: string,
  name: string | undefined,
  options: PreviewOptions,
  context: CliContext,
): Promise<void> {
  const { out, count, seed, epoch } = options;
  await withJobDataset({ job, set: setOf(name, options) }, context, async (spec, dataset) => {
    const student = spec.students.find((candidate) => candidate.name === (options.student ?? candidate.name));
    if (student === undefined) throw unknownStudent(options.student ?? '');
    const tiles = await studentTiles(spec, dataset, { count, seed, student, epoch: epoch - 1 });
    await write(out, tiles, dataset.image, context);
    const images = counted(tiles.length, 'training image');
    const seen = `as ${student.name} sees them in epoch ${epoch}`;
    context.out(`wrote ${shownPath(out)}: ${images} of ${markedName(dataset)} ${seen}`);
  });
}

/** Never without the word where it is true. */
function markedName({ name, synthetic }: Dataset): string {
  return synthetic === null ? name : `${name} (${synthetic})`;
}

function setOf(name: string | undefined, { set, split }: PreviewOptions): readonly string[] {
  if (split === 'test') {
    throw new StillhouseError('INVALID_ARGUMENT', 'test images are never augmented', {
      field: '--split',
      hint: 'leave out --job or --split test',
    });
  }
  return name === undefined ? set : [...set, `data.dataset=${name}`];
}

/** What was there stays until the new one is whole. */
async function write(out: string, tiles: readonly Tile[], image: ImageShape, { note, signal }: CliContext) {
  if (!(await hasFonts())) {
    note('this machine has no fonts, so names appear as boxes (Debian, Ubuntu: apt-get install fonts-dejavu-core)');
  }
  const sheet = await contactSheet(tiles, image);
  signal.throwIfAborted();
  const partial = `${out}.${uniqueId('partial')}`;
  try {
    await writeDurably(partial, sheet);
    await rename(partial, out);
  } catch (cause) {
    await rm(partial, { force: true });
    const message = `cannot write ${out}: ${(cause as Error).message}`;
    throw new StillhouseError('FAILED_PRECONDITION', message, { field: '--out', cause });
  }
}

function unknownStudent(name: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', `the job has no student ${name}`, { field: '--student' });
}

function noImages(name: string, split: SplitName): StillhouseError {
  return new StillhouseError('FAILED_PRECONDITION', `${name} has no ${split} images`, { field: '--split' });
}
