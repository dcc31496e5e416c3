/** Writes a source of samples as a data set into the folder of data sets, with its progress shown. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { StillhouseError } from '../../lib/base/errors.ts';
import { dataRoot } from '../../lib/base/folders.ts';
import { type ImportOptions, importDataset } from '../../lib/data/import-dataset.ts';
import type { SplitName } from '../../lib/data/manifest.ts';
import { readDatasetManifest } from '../../lib/data/open-dataset.ts';
import type { SampleSource } from '../../lib/data/sample-source.ts';
import type { ShardedManifest } from '../../lib/data/sharded-manifest.ts';
import type { CliContext } from '../context.ts';
import { startProgress } from '../progress-line.ts';
import { byteSize, counted, grouped, shownPath } from '../text.ts';

export type ImportRequest = Omit<ImportOptions, 'onProgress' | 'signal'>;

/**
 * The folder that a data set of that name is to be written to.
 * @throws INVALID_ARGUMENT for what is no name; ALREADY_EXISTS for one that may not be replaced
 */
export async function freeFolder(
  { name, replace = false }: Pick<ImportRequest, 'name' | 'replace'>,
  { environment }: CliContext,
): Promise<string> {
  if (!/^[A-Za-z0-9][\w.-]*$/.test(name)) {
    const message = `"${name}" is no name for a data set`;
    const hint = 'take letters, digits, dots, hyphens and underscores';
    throw new StillhouseError('INVALID_ARGUMENT', message, { field: '--name', hint });
  }
  const root = dataRoot(environment);
  const folder = path.join(root, name);
  if (!(await isThere(folder))) return folder;
  if (!replace) {
    const message = `there is a data set ${name} already: ${shownPath(folder)}`;
    const hint = 'choose another --name, or --replace it';
    throw new StillhouseError('ALREADY_EXISTS', message, { field: '--name', hint });
  }
  // Only what an import has written: anything else in that place is the user's.
  const { formatVersion } = await readDatasetManifest(root, name);
  if (formatVersion !== 1) return folder;
  throw new StillhouseError('ALREADY_EXISTS', `${name} is not an imported data set, so it is not replaced`, {
    field: '--replace',
    hint: 'choose another --name',
  });
}

/** Closes the source. @throws what `importDataset` throws */
export async function importInto(
  folder: string,
  source: SampleSource,
  request: ImportRequest,
  context: CliContext,
): Promise<void> {
  const progress = startProgress(context, 'images');
  const onProgress = (done: number, total: number) => progress.show('importing', done, total);
  try {
    const manifest = await importDataset(source, folder, { ...request, onProgress, signal: context.signal });
    progress.close();
    const { name, classNames, image, shards, labels, badSamples, origin, digest } = manifest;
    const images = goodSamples(manifest);
    const bytes = shards.reduce((sum, shard) => sum + shard.bytes, labels.bytes);
    context.note(
      `${name}: ${grouped(images.train)} training and ${grouped(images.test)} test images of ` +
        `${grouped(classNames.length)} ${classNames.length === 1 ? 'class' : 'classes'}, ${image.height}x${image.width}; ${byteSize(bytes)} in ${counted(shards.length, 'shard')}`,
    );
    if (origin.synthetic !== undefined) context.note(`synthetic: ${origin.synthetic}`);
    if (badSamples.length > 0) {
      context.note(
        `${counted(badSamples.length, 'damaged sample')}; jobs that shall leave them out say data.badSamples`,
      );
    }
    if (images.test === 0) {
      context.note(
        'no test images: every job tests what it trains, so none can use this until it is imported with some',
      );
    }
    context.out(`${shownPath(folder)}  ${digest}`);
  } finally {
    progress.close();
    await source.close();
  }
}

/** Samples that are not damaged. */
function goodSamples({ shards, badSamples }: ShardedManifest): Record<SplitName, number> {
  const counts = { train: 0, test: 0 };
  let firstId = 0;
  for (const { split, records } of shards) {
    const behind = firstId + records;
    counts[split] += records - badSamples.filter(({ id }) => id >= firstId && id < behind).length;
    firstId = behind;
  }
  return counts;
}

async function isThere(location: string): Promise<boolean> {
  try {
    await stat(location);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
