/** `stillhouse dataset push`: a data set goes to S3, for the workers of a cluster. */
import type { Command } from 'commander';
import { StillhouseError } from '../../lib/base/errors.ts';
import { Settings } from '../../lib/base/settings.ts';
import { isAddress } from '../../lib/data/places/place.ts';
import { placeOptionsOf } from '../../lib/data/places/place-settings.ts';
import { pushDataset } from '../../lib/data/places/push.ts';
import type { CliContext } from '../context.ts';
import { datasetAddress } from '../dataset/open.ts';
import { startProgress } from '../progress-line.ts';
import { byteSize, counted } from '../text.ts';

export function addDatasetPushCommand(dataset: Command, context: CliContext): void {
  dataset
    .command('push')
    .description('Upload a data set to S3. What is there already is not sent again.')
    .argument('<dataset>', 'a name or a folder')
    .argument('<destination>', 's3://bucket/prefix; credentials and endpoint are those of the AWS tools')
    .addHelpText(
      'after',
      '\nExamples:\n  $ stillhouse dataset push pictures s3://bucket/pictures' +
        '\n  $ AWS_ENDPOINT_URL=http://127.0.0.1:9000 stillhouse dataset push pictures s3://bucket/pictures',
    )
    .action((name: string, destination: string) => push(name, destination, context));
}

async function push(name: string, destination: string, context: CliContext): Promise<void> {
  if (isAddress(name)) {
    const message = `${name} is not on this machine`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { hint: 'name a data set of this machine, or its folder' });
  }
  const progress = startProgress(context, 'kB');
  try {
    const { address, digest, uploadedFiles, uploadedBytes, skippedFiles } = await pushDataset(
      datasetAddress(name, context),
      destination,
      {
        ...placeOptionsOf(new Settings(context.environment)),
        signal: context.signal,
        onProgress: ({ bytes, totalBytes }) => progress.show('uploading', bytes / 1000, totalBytes / 1000),
      },
    );
    progress.close();
    const there = skippedFiles === 0 ? '' : `; ${counted(skippedFiles, 'file')} there already`;
    context.note(`uploaded ${counted(uploadedFiles, 'file')}, ${byteSize(uploadedBytes)}${there}`);
    context.out(`${address}  ${digest}`);
  } finally {
    progress.close();
  }
}
