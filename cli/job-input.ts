/** Reading a job file from disk, and checking it against this machine before anything starts. */
import { readFile } from 'node:fs/promises';
import { basename, resolve, sep } from 'node:path';
import { StillhouseError } from '../lib/base/errors.ts';
import { type Dataset, openDataset } from '../lib/data/dataset.ts';
import type { Splits } from '../lib/data/splits.ts';
import { architectureNames } from '../lib/model/zoo.ts';
import { type JobFile, type JobSpec, readJobFile, validateJob } from '../lib/wire/job-file.ts';
import { checkSamples } from '../lib/wire/job-samples.ts';

export interface JobInputOptions {
  /** `--set a.b=c`, in order. */
  readonly set: readonly string[];
  readonly quick: boolean;
}

/** A test image with its label, as the data set has it. */
export interface TestImage {
  readonly sampleId: number;
  readonly label: string;
  /** RGB 0..255, [height, width, 3]. */
  readonly pixels: Uint8Array;
  readonly height: number;
  readonly width: number;
}

export interface CheckedJob {
  readonly spec: JobSpec;
  readonly trainImages: number;
  readonly testImages: number;
  /** A few test images of the job, spread over its test split. */
  readonly samples: readonly TestImage[];
}

const SAMPLE_COUNT = 3;

/**
 * The job as it is to be submitted: a data set given by a relative path is meant from the current folder, which the
 * services do not know, so it becomes absolute.
 * @throws INVALID_ARGUMENT with every problem of the file; NOT_FOUND when there is no such file
 */
export async function readJob(path: string, options: JobInputOptions): Promise<JobFile> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : String(error);
    throw new StillhouseError('NOT_FOUND', `cannot read the job file ${path}: ${reason}`, { cause: error });
  }
  const { spec, locate } = readJobFile(text, { where: basename(path), overrides: options.set, quick: options.quick });
  const { dataset } = spec.data;
  const isPath = dataset.includes('/') || dataset.includes(sep);
  return { spec: isPath ? { ...spec, data: { ...spec.data, dataset: resolve(dataset) } } : spec, locate };
}

/** All that can be refused without a cluster: architectures, the data set, its classes, the sizes of the splits. */
export async function checkJob({ spec, locate }: JobFile, dataRoot: string): Promise<CheckedJob> {
  // First without the data set: what the file itself gets wrong is named even when the data set is missing.
  validateJob(spec, { architectures: architectureNames }, locate);
  // The services verify the content when they open it; here only what the job asks of it matters.
  const dataset = await openDataset(dataRoot, spec.data.dataset, { verifyContent: false }).catch((error) => {
    throw placed(error, 'data.dataset', locate);
  });
  try {
    validateJob(spec, { architectures: architectureNames, classNames: dataset.classNames }, locate);
    const splits = splitsOrExplain(spec, dataset, locate);
    const count = Math.min(SAMPLE_COUNT, splits.test.length);
    const ids = Array.from({ length: count }, (_, i) => splits.test[Math.floor((i * splits.test.length) / count)] ?? 0);
    const { height, width, channels } = dataset.image;
    const pixels = Uint8Array.from(dataset.readImages(ids));
    const size = height * width * channels;
    const samples = ids.map((sampleId, index) => ({
      sampleId,
      label: dataset.classNames[dataset.labels[sampleId] ?? 0] ?? '',
      pixels: pixels.slice(index * size, (index + 1) * size),
      height,
      width,
    }));
    return { spec, trainImages: splits.train.length, testImages: splits.test.length, samples };
  } finally {
    await dataset.close();
  }
}

function splitsOrExplain(spec: JobSpec, dataset: Dataset, locate: JobFile['locate']): Splits {
  try {
    return checkSamples(spec, dataset);
  } catch (error) {
    throw placed(error, StillhouseError.from(error).field ?? 'data', locate);
  }
}

/** The error with the path in the job file in front and the line behind. */
function placed(thrown: unknown, field: string, locate: JobFile['locate']): StillhouseError {
  const { code, message, hint } = StillhouseError.from(thrown);
  const text = message.startsWith(`${field}:`) ? message : `${field}: ${message}`;
  const details = hint === undefined ? { field } : { field, hint };
  return new StillhouseError(code, `${text}${locate(field.split('.'))}`, { ...details, cause: thrown });
}
