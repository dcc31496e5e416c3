/** Reading a job file from disk, and checking it against this machine before anything starts. */
import { readFile } from 'node:fs/promises';
import { basename, dirname, resolve, sep } from 'node:path';
import { StillhouseError } from '../lib/base/errors.ts';
import type { Dataset } from '../lib/data/dataset.ts';
import { isAddress, type PlaceOptions } from '../lib/data/places/place.ts';
import type { Splits } from '../lib/data/splits.ts';
import { Datasets } from '../lib/wire/datasets.ts';
import { openJobData } from '../lib/wire/job-data.ts';
import { type JobFile, type JobSpec, readJobFile, validateJob } from '../lib/wire/job-file.ts';
import { checkNetworks } from '../lib/wire/job-networks.ts';
import { checkRoutes } from '../lib/wire/job-routes.ts';
import { checkSamples } from '../lib/wire/job-samples.ts';
import type { DataSpec, DistillSpec, LossTermSpec } from '../lib/wire/job-spec.ts';
import { labelledSamples } from '../lib/wire/training-samples.ts';
import { resolveNetworks } from './job-networks.ts';
import { bundleLoss } from './loss-bundle.ts';

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
  /** Training images whose labels the job looks at. */
  readonly labelledImages: number;
  readonly testImages: number;
  /** See `Dataset`. */
  readonly synthetic: string | null;
  /** A few test images of the job, spread over its test split. */
  readonly samples: readonly TestImage[];
}

const SAMPLE_COUNT = 3;

/**
 * The job as it is to be submitted. A data set given by a relative path is meant from the current folder, which the
 * services do not know, so it becomes absolute. A loss given by a path, which is meant from the folder of the job file,
 * becomes its code; so do files of layers and of weights, see `resolveNetworks`.
 * @throws INVALID_ARGUMENT with every problem of the file; NOT_FOUND when there is no such file; what `bundleLoss` throws
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
  const data = withAbsolutePaths(spec.data);
  const distill = await bundleLosses(spec.distill, dirname(path), locate);
  return { spec: await resolveNetworks({ ...spec, data, distill }, dirname(path), locate), locate };
}

function withAbsolutePaths(data: DataSpec): DataSpec {
  const { dataset, source } = data;
  return {
    ...data,
    dataset: absolute(dataset),
    ...(source !== undefined && { source: { ...source, dataset: absolute(source.dataset) } }),
  };
}

/** Names and addresses mean the same everywhere. */
function absolute(dataset: string): string {
  const isPath = dataset.includes('/') || dataset.includes(sep);
  return isPath && !isAddress(dataset) ? resolve(dataset) : dataset;
}

async function bundleLosses(distill: DistillSpec, folder: string, locate: JobFile['locate']): Promise<DistillSpec> {
  const loss: LossTermSpec[] = [];
  for (const [index, term] of distill.loss.entries()) {
    if (!('module' in term) || typeof term.module !== 'string') {
      loss.push(term);
      continue;
    }
    const field = `distill.loss[${index}].module`;
    const module = await bundleLoss(resolve(folder, term.module), field).catch((error) => {
      throw placed(error, field, () => locate(['distill', 'loss', index, 'module']));
    });
    loss.push({ ...term, module });
  }
  return { ...distill, loss };
}

/** All that can be refused without a cluster: networks, the data set, its classes, the sizes of the splits. */
export async function checkJob(
  { spec, locate }: JobFile,
  dataRoot: string,
  places: PlaceOptions = {},
): Promise<CheckedJob> {
  // First without the data set: what the file itself gets wrong is named even when the data set is missing.
  validateJob(spec, undefined, locate);
  // The services verify the content when they open it; here only what the job asks of it matters.
  const rights = { allowPaths: true, mayAsk: () => true };
  const datasets = new Datasets({ ...places, ...rights, root: dataRoot, verifyContent: false });
  try {
    const dataset = await openJobData(datasets, spec.data).catch((error) => {
      throw placed(error, StillhouseError.from(error).field ?? 'data.dataset', locate);
    });
    validateJob(spec, dataset.classNames, locate);
    const splits = await samplesOrExplain(spec, dataset, locate);
    const count = Math.min(SAMPLE_COUNT, splits.test.length);
    const ids = Array.from({ length: count }, (_, i) => splits.test[Math.floor((i * splits.test.length) / count)] ?? 0);
    const { height, width, channels } = dataset.image;
    const pixels = Uint8Array.from(await dataset.load(ids));
    const size = height * width * channels;
    const samples = ids.map((sampleId, index) => ({
      sampleId,
      label: dataset.classNames[dataset.labels[sampleId] ?? 0] ?? '',
      pixels: pixels.slice(index * size, (index + 1) * size),
      height,
      width,
    }));
    const [trainImages, testImages] = [splits.train.length, splits.test.length];
    const labelledImages = labelledSamples(spec, dataset, splits.train).length;
    return { spec, trainImages, labelledImages, testImages, synthetic: dataset.synthetic, samples };
  } finally {
    await datasets.close();
  }
}

async function samplesOrExplain(spec: JobSpec, dataset: Dataset, locate: JobFile['locate']): Promise<Splits> {
  try {
    checkRoutes(spec, dataset.classNames);
    checkNetworks(spec, dataset);
    return await checkSamples(spec, dataset);
  } catch (error) {
    throw placed(error, StillhouseError.from(error).field ?? 'data', locate);
  }
}

/** `students[0].arch` as `students`, 0, `arch`. */
function segmentsOf(field: string): (string | number)[] {
  return [...field.matchAll(/\[(\d+)\]|[^.[]+/g)].map(([text, index]) => (index === undefined ? text : Number(index)));
}

/** The error with the path in the job file in front, unless it begins with it, and the line behind. */
function placed(thrown: unknown, field: string, locate: JobFile['locate']): StillhouseError {
  const { code, message, hint } = StillhouseError.from(thrown);
  const isNamed = message.startsWith(field) && /^[:\s.[]/.test(message.slice(field.length));
  const text = isNamed ? message : `${field}: ${message}`;
  const details = hint === undefined ? { field } : { field, hint };
  return new StillhouseError(code, `${text}${locate(segmentsOf(field))}`, { ...details, cause: thrown });
}
