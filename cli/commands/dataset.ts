/** `stillhouse dataset …`: data sets of images, as jobs train on them. */
import { type Command, InvalidArgumentError } from 'commander';
import { describeError, StillhouseError } from '../../lib/base/errors.ts';
import { dataRoot } from '../../lib/base/folders.ts';
import { availableCores } from '../../lib/base/machine.ts';
import { isAddress } from '../../lib/data/places/place.ts';
import type { CliContext } from '../context.ts';
import { print } from '../coordinator-command.ts';
import { datasetNames } from '../dataset/dataset-names.ts';
import {
  type DatasetSummary,
  describeDataset,
  describeSamples,
  infoLines,
  listLines,
  sampleLines,
  summarise,
} from '../dataset/dataset-view.ts';
import { datasetAddress, manifestOf, verifyingPlace, withDataset } from '../dataset/open.ts';
import { type VerifyOptions, verifyFiles, verifyRecords } from '../dataset/verify-dataset.ts';
import { startProgress } from '../progress-line.ts';
import { byteSize, counted } from '../text.ts';
import { addDatasetFetchCommand } from './dataset-fetch.ts';
import { addDatasetImportCommand } from './dataset-import.ts';
import { addDatasetPreviewCommand } from './dataset-preview.ts';
import { addDatasetPushCommand } from './dataset-push.ts';

interface JsonOption {
  readonly json: boolean;
}

interface InfoOptions extends JsonOption {
  readonly samples?: readonly number[];
}

interface VerifyCommandOptions extends JsonOption {
  readonly quick: boolean;
}

const WHICH = 'a name, a folder or an address';

export function addDatasetCommand(program: Command, context: CliContext): void {
  const dataset = program
    .command('dataset')
    .description('Data sets of images: get, import, look at, check, draw, upload them.')
    .addHelpText('after', '\nExample:\n  $ stillhouse dataset import ~/pictures --name pictures');
  dataset
    .command('list')
    .description('List the data sets that jobs can name.')
    .option('--json', 'print a JSON array', false)
    .addHelpText('after', '\nExamples:\n  $ stillhouse dataset list\n  $ stillhouse dataset list --json')
    .action((options: JsonOption) => list(options, context));
  dataset
    .command('info')
    .description('Show what a data set holds: classes, images per split and class, digest, damaged samples.')
    .argument('<dataset>', WHICH)
    .option('--json', 'print one JSON document', false)
    .option('--samples <id,…>', 'also the split and class of these samples', sampleIds)
    .addHelpText(
      'after',
      '\nExamples:\n  $ stillhouse dataset info cifar10\n  $ stillhouse dataset info s3://bucket/pictures --json' +
        '\n  $ stillhouse dataset info cifar10 --samples 0,50000',
    )
    .action((name: string, options: InfoOptions) => info(name, options, context));
  dataset
    .command('verify')
    .description('Check the digests of all files and decode every image; exit code 1 when something is wrong.')
    .argument('<dataset>', WHICH)
    .option('--quick', 'digests only', false)
    .option('--json', 'print one JSON document', false)
    .addHelpText(
      'after',
      '\nExamples:\n  $ stillhouse dataset verify cifar10\n  $ stillhouse dataset verify cifar10 --quick',
    )
    .action((name: string, options: VerifyCommandOptions) => verify(name, options, context));
  addDatasetImportCommand(dataset, context);
  addDatasetFetchCommand(dataset, context);
  addDatasetPreviewCommand(dataset, context);
  addDatasetPushCommand(dataset, context);
}

function sampleIds(text: string): number[] {
  const ids = text.split(',').map((part) => (/^\d+$/.test(part.trim()) ? Number(part) : Number.NaN));
  if (ids.every(Number.isSafeInteger)) return ids;
  throw new InvalidArgumentError('Expected sample ids, e.g. 0,17.');
}

/** What cannot be read is said beside the others. */
async function list({ json }: JsonOption, context: CliContext): Promise<void> {
  const root = dataRoot(context.environment);
  const summaries: DatasetSummary[] = [];
  for (const name of await datasetNames(root)) {
    try {
      // By the folder: that is what jobs name.
      summaries.push({ ...summarise(await manifestOf(name, context), datasetAddress(name, context)), name });
    } catch (error) {
      context.note(`${name}: ${describeError(error)}`);
    }
  }
  const hint = 'stillhouse dataset fetch, or stillhouse dataset import, puts one there';
  print(context, json, summaries, () => (summaries.length > 0 ? listLines(summaries) : [`none in ${root}: ${hint}`]));
}

async function info(name: string, { json, samples }: InfoOptions, context: CliContext): Promise<void> {
  await withDataset(name, context, async ({ manifest, dataset, address }) => {
    const described = describeDataset(manifest, dataset, address);
    const outside = samples?.find((id) => id >= dataset.sampleCount);
    if (outside !== undefined) throw unknownSample(outside, dataset.sampleCount);
    const asked = samples === undefined ? undefined : describeSamples(dataset, samples);
    const document = asked === undefined ? described : { ...described, samples: asked };
    print(context, json, document, () => [...infoLines(described), ...(asked === undefined ? [] : sampleLines(asked))]);
  });
}

function unknownSample(id: number, count: number): StillhouseError {
  const message = `there is no sample ${id}: ids are 0 to ${count - 1}`;
  return new StillhouseError('INVALID_ARGUMENT', message, { field: '--samples' });
}

async function verify(name: string, { quick, json }: VerifyCommandOptions, context: CliContext): Promise<void> {
  const manifest = await manifestOf(name, context);
  const place = verifyingPlace(name, context);
  const progress = startProgress(context, quick ? 'files' : 'files or images');
  try {
    const options: VerifyOptions = { signal: context.signal, onProgress: progress.show };
    const files = await verifyFiles(manifest, place, options);
    const records = quick ? { records: 0, problems: [] } : await decodeAll(name, files.damaged, context, options);
    progress.close();
    const problems = [...files.problems, ...records.problems.filter((problem) => !files.problems.includes(problem))];
    const document = {
      ok: problems.length === 0,
      files: files.files,
      bytes: files.bytes,
      images: records.records,
      problems,
    };
    const looked = `${counted(files.files, 'file')}, ${byteSize(files.bytes)}${quick ? '' : `, ${counted(records.records, 'image')} decoded`}`;
    const verdict = problems.length === 0 ? 'all as it should be' : counted(problems.length, 'problem');
    print(context, json, document, () => [...problems, `${manifest.name}: ${looked}: ${verdict}`]);
    if (problems.length > 0) context.setExitCode(1);
  } finally {
    progress.close();
  }
}

/** Damaged files that are here are read too: that tells where the damage is. Others would be fetched again and again. */
async function decodeAll(
  name: string,
  damaged: ReadonlySet<string>,
  context: CliContext,
  options: VerifyOptions,
): Promise<{ records: number; problems: readonly string[] }> {
  const without = isAddress(name) ? damaged : new Set<string>();
  try {
    return await withDataset(
      name,
      context,
      ({ manifest, dataset }) => verifyRecords({ manifest, dataset, without, ...options }),
      availableCores(),
    );
  } catch (error) {
    const { code, message } = StillhouseError.from(error);
    // Its labels are damaged, so it cannot be opened.
    if (code === 'DATA_LOSS') return { records: 0, problems: [message] };
    throw error;
  }
}
