/** `stillhouse weights inspect|import|export`: weights in files, and models of them. */
import { readFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { StillhouseError } from '../../lib/base/errors.ts';
import { cacheRoot } from '../../lib/base/folders.ts';
import { decodeUtf8, parseJson } from '../../lib/data/json-document.ts';
import { writeArtefactFolder } from '../../lib/model/artefact.ts';
import { importModel } from '../../lib/model/imported-model.ts';
import { pretrainedNames } from '../../lib/model/pretrained.ts';
import { openWeights } from '../../lib/model/weights-source.ts';
import type { CliContext } from '../context.ts';
import { layersOf } from '../layer-file.ts';
import { wholeNumber } from '../options.ts';
import { grouped } from '../text.ts';
import { inspectionLines, inspectWeights } from '../weights-view.ts';
import { addWeightsExportCommand } from './weights-export.ts';

interface InspectOptions {
  readonly json: boolean;
}

interface ImportCommandOptions {
  readonly arch?: string;
  readonly out: string;
  readonly name?: string;
  readonly classes?: string;
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  readonly inputSize?: number;
}

const SIZE_MAX = 4096;
const FILE_HELP = `a .safetensors file, a .pth or .pt file of torch.save, a model's folder, or pretrained:<name> (${pretrainedNames.join(', ')})`;

export function addWeightsCommand(program: Command, context: CliContext): void {
  const weights = program
    .command('weights')
    .description('Weights in files: look into them, make models of them, write models for others.')
    .addHelpText('after', '\nExample:\n  $ stillhouse weights inspect resnet18.pth');
  weights
    .command('inspect')
    .description('Show what a file of weights holds and which architectures it fits. Nothing in it is run.')
    .argument('<file>', FILE_HELP)
    .option('--json', 'print one JSON document', false)
    .addHelpText('after', '\nExample:\n  $ stillhouse weights inspect resnet18.pth')
    .action((file: string, options: InspectOptions) => inspect(file, options, context));
  weights
    .command('import')
    .description('Make a model of a file of weights: a folder with model.json and weights.safetensors.')
    .argument('<file>', FILE_HELP)
    .requiredOption('--out <folder>', 'the folder to write; it must not exist')
    .option(
      '--arch <name|file>',
      'the architecture: a name, or a file with its layers (default: the only one that fits)',
    )
    .option('--name <name>', 'what the model is called (default: imported/<architecture>)')
    .option(
      '--classes <file>',
      'class names in the order of the outputs: a line each, or a JSON list (default for 1000: ImageNet’s)',
    )
    .option('--mean <r,g,b>', 'mean of each channel, pixels 0..1 (default for ImageNet nets: ImageNet’s)', numbers)
    .option('--std <r,g,b>', 'standard deviation of each channel (default likewise)', numbers)
    .option(
      '--input-size <pixels>',
      'height and width of the images (default: 224, or 32 for CIFAR nets)',
      wholeNumber(1, SIZE_MAX),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  $ stillhouse weights import pretrained:efficientnet-lite0 --out models/lite0\n  $ stillhouse weights import resnet18.safetensors --arch resnet-18 --out models/resnet-18',
    )
    .action((file: string, options: ImportCommandOptions) => importWeights(file, options, context));
  addWeightsExportCommand(weights, context);
}

async function inspect(location: string, options: InspectOptions, context: CliContext): Promise<void> {
  const inspection = inspectWeights(await openWeights(location, cacheRoot(context.environment)));
  if (options.json) context.out(JSON.stringify(inspection));
  else for (const line of inspectionLines(inspection)) context.out(line);
}

async function importWeights(location: string, options: ImportCommandOptions, context: CliContext): Promise<void> {
  const source = await openWeights(location, cacheRoot(context.environment));
  const { arch, name, classes, mean, std, inputSize, out } = options;
  const artefact = importModel(source, {
    ...(arch !== undefined && { architecture: await layersOf(arch, '.') }),
    ...(name !== undefined && { name }),
    ...(classes !== undefined && { classNames: await readClassNames(classes) }),
    ...(mean !== undefined && { mean }),
    ...(std !== undefined && { std }),
    ...(inputSize !== undefined && { inputSize }),
  });
  await writeArtefactFolder(out, artefact);
  const { manifest, digest } = artefact;
  const { architecture, classNames, input, preprocessing, weights } = manifest;
  context.note(
    `${manifest.name}: ${architecture.name}, ${grouped(weights.parameters)} values, ${grouped(classNames.length)} classes`,
  );
  context.note(`images ${input.height} x ${input.width}, mean ${preprocessing.mean}, std ${preprocessing.std}`);
  context.out(`${out}  ${digest}`);
}

function numbers(text: string): number[] {
  const values = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  if (values.length === 3 && values.every(Number.isFinite)) return values;
  throw new InvalidArgumentError('Expected three numbers, e.g. 0.485,0.456,0.406.');
}

async function readClassNames(location: string): Promise<readonly string[]> {
  const text = decodeUtf8(await readText(location), location);
  const names = text.trimStart().startsWith('[')
    ? parseJson(text, location)
    : text.split(/\r?\n/).filter((line) => line.trim() !== '');
  if (Array.isArray(names) && names.every((name) => typeof name === 'string')) return names.map((name) => name.trim());
  throw new StillhouseError('INVALID_ARGUMENT', `${location} is not a list of names`, { field: '--classes' });
}

async function readText(location: string): Promise<Uint8Array> {
  try {
    return await readFile(location);
  } catch (cause) {
    const message = `cannot read the class names: ${(cause as Error).message}`;
    throw new StillhouseError('NOT_FOUND', message, { field: '--classes', cause });
  }
}
