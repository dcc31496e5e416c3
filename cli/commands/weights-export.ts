/** `stillhouse weights export FOLDER`: a model artefact in the formats of others. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { StillhouseError } from '../../lib/base/errors.ts';
import { dataRoot } from '../../lib/base/folders.ts';
import { Settings } from '../../lib/base/settings.ts';
import { resolveClasses } from '../../lib/data/class-map.ts';
import type { Dataset } from '../../lib/data/dataset.ts';
import { openDataset } from '../../lib/data/open-dataset.ts';
import { placeOptionsOf } from '../../lib/data/places/place-settings.ts';
import type { RecordDataset } from '../../lib/data/record-dataset.ts';
import { restrictDataset } from '../../lib/data/restricted-dataset.ts';
import { configureEngine } from '../../lib/engine/environment.ts';
import { type DecodedArtefact, readArtefactFolder } from '../../lib/model/artefact.ts';
import {
  type ExportedModel,
  exportModel,
  FLOAT_FORMATS,
  type FloatFormat,
} from '../../lib/model/export/export-model.ts';
import { type QuantisedModel, quantiseModel } from '../../lib/model/export/quantise-model.ts';
import type { BatchSize } from '../../lib/model/export/signature.ts';
import { requireFree, writeExport } from '../../lib/model/export/write-export.ts';
import type { CliContext } from '../context.ts';
import { wholeNumber } from '../options.ts';
import { grouped, percent, table } from '../text.ts';

interface ExportOptions {
  readonly format: FloatFormat | 'onnx-int8';
  readonly out: string;
  readonly batchSize: BatchSize;
  readonly calibrate?: string;
  readonly calibrationImages: number;
  readonly evaluateImages: number;
}

const IMAGES_MAX = 10_000_000;
const BATCH_MAX = 65_536;

export function addWeightsExportCommand(weights: Command, context: CliContext): void {
  const images = wholeNumber(1, IMAGES_MAX);
  weights
    .command('export')
    .description('Write a model in the format of others: safetensors, SavedModel, TensorFlow.js, ONNX.')
    .argument('<folder>', 'a model: the folder with its model.json and weights.safetensors')
    .addOption(
      new Option('--format <format>', 'what to write; onnx-int8 is quantised after training')
        .choices([...FLOAT_FORMATS, 'onnx-int8'])
        .makeOptionMandatory(),
    )
    .requiredOption('--out <path>', 'the file to write; for saved-model and tfjs the folder')
    .option('--batch-size <n>', 'images per call: a number, or dynamic', batchSize, 'dynamic')
    .option(
      '--calibrate <dataset>',
      'onnx-int8: the data set (name, path or address) whose training images show the range of every value',
    )
    .option('--calibration-images <n>', 'onnx-int8: training images to look at', images, 256)
    .option('--evaluate-images <n>', 'onnx-int8: test images to measure the accuracy on', images, 1000)
    .addHelpText(
      'after',
      '\nExamples:\n  $ stillhouse weights export model --format onnx --out model.onnx' +
        '\n  $ stillhouse weights export model --format onnx-int8 --calibrate cifar10 --out model.int8.onnx',
    )
    .action((folder: string, options: ExportOptions) => exportWeights(folder, options, context));
}

function batchSize(text: string): BatchSize {
  if (text === 'dynamic') return text;
  try {
    return wholeNumber(1, BATCH_MAX)(text);
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message} Or dynamic, for any number.`);
  }
}

async function exportWeights(folder: string, options: ExportOptions, context: CliContext): Promise<void> {
  const { format, out } = options;
  await requireFree(out);
  if (format === 'onnx-int8') {
    const dataset = requireCalibration(options);
    const quantised = await quantise(await readArtefactFolder(folder), dataset, options, context);
    await writeExport(out, quantised.bytes);
    for (const line of reportLines(quantised)) context.out(line);
  } else {
    if (options.calibrate !== undefined) throw onlyForInt8(format);
    const artefact = await readArtefactFolder(folder);
    // TensorFlow's library writes SavedModels; nothing is computed with it.
    if (format === 'saved-model') configureEngine({ intraOpThreads: 1, interOpThreads: 1, device: 'cpu' });
    const exported = await exportModel(artefact, format, options.batchSize);
    await writeExport(out, exported);
    context.out(`wrote ${out}: ${artefact.manifest.name} as ${format}, ${grouped(sizeOf(exported))} bytes`);
  }
}

function requireCalibration({ calibrate }: ExportOptions): string {
  if (calibrate !== undefined) return calibrate;
  throw new StillhouseError('INVALID_ARGUMENT', 'the format onnx-int8 needs images to calibrate with', {
    field: '--calibrate',
    hint: 'name the data set that the model was trained on, e.g. --calibrate cifar10',
  });
}

function onlyForInt8(format: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', `--calibrate is of no use for the format ${format}`, {
    field: '--calibrate',
    hint: 'leave it out, or choose --format onnx-int8',
  });
}

async function quantise(
  artefact: DecodedArtefact,
  datasetName: string,
  { batchSize, calibrationImages, evaluateImages }: ExportOptions,
  { environment, signal }: CliContext,
): Promise<QuantisedModel> {
  const dataset = await openDataset(dataRoot(environment), datasetName, placeOptionsOf(new Settings(environment)));
  try {
    return await quantiseModel(artefact, {
      dataset: ofClasses(dataset, artefact.manifest.parentClassNames),
      calibrationImages,
      evaluationImages: evaluateImages,
      batchSize,
      signal,
    });
  } finally {
    await dataset.close();
  }
}

/** The data set as the model's job saw it, by `data.classes` perhaps; as it is where it lacks some of them. */
function ofClasses(dataset: RecordDataset, classNames: readonly string[]): Dataset {
  if (classNames.some((name) => !dataset.classNames.includes(name))) return dataset;
  return restrictDataset(dataset, resolveClasses(classNames, dataset.classNames, 'calibrate'));
}

function reportLines({ bytes, floatBytes, report }: QuantisedModel): string[] {
  const { accuracy, agreement, calibrationImages, evaluatedImages } = report;
  const change = 100 * (accuracy.int8 - accuracy.float32);
  return [
    ...table([
      ['', 'ACCURACY', 'BYTES'],
      ['float32', percent(accuracy.float32), grouped(floatBytes)],
      ['int8', percent(accuracy.int8), grouped(bytes.length)],
    ]),
    `change ${change < 0 ? '' : '+'}${change.toFixed(2)} points; same answer for ${percent(agreement)} of ` +
      `${grouped(evaluatedImages)} test images; calibrated with ${grouped(calibrationImages)} training images`,
  ];
}

function sizeOf(exported: ExportedModel): number {
  if (exported instanceof Uint8Array) return exported.length;
  return [...exported.values()].reduce((sum, { length }) => sum + length, 0);
}
