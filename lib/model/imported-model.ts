/** Weights from elsewhere → a model artefact, as if a job had trained it. */
import { StillhouseError } from '../base/errors.ts';
import type { ImageShape } from '../data/manifest.ts';
import { type ArchitectureSpec, architectureLabel, resolveArchitecture } from './architecture-choice.ts';
import { type EncodedArtefact, encodeArtefact } from './artefact.ts';
import { imagenetClasses } from './imagenet-classes.ts';
import { manifestArchitecture } from './manifest-network.ts';
import { IMAGENET_PREPROCESSING, type Preprocessing } from './pretrained.ts';
import { architecturesThatFit, fitWeights } from './weights-fit.ts';
import type { WeightsSource } from './weights-source.ts';
import { isForImagenet, usualInputSize } from './zoo.ts';

/** What the user says; the source's own, else defaults, stand in for what is left out. */
export interface ImportOptions {
  readonly architecture?: ArchitectureSpec;
  readonly name?: string;
  readonly classNames?: readonly string[];
  /** The classes of a source that names none, if they are as many. */
  readonly classNamesIfAsMany?: readonly string[];
  /** Numbers the classes where nothing names them: enough for a model that is trained further. */
  readonly namelessClasses?: boolean;
  /** Height and width of the images in pixels; goes before what the source says. */
  readonly inputSize?: number;
  /** The images where the source does not say; default: of the usual size of the architecture, in colour. */
  readonly input?: ImageShape;
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
}

const CHANNELS = 3;

/**
 * Fits the weights to an architecture and encodes them as a model artefact. Nothing is written.
 *
 * @throws StillhouseError INVALID_ARGUMENT when a tensor is missing, too many, of another shape or not finite (the message names it),
 *   or when class names or preprocessing are missing or do not fit; NOT_FOUND for an unknown architecture.
 */
export function importModel(source: WeightsSource, options: ImportOptions): EncodedArtefact {
  const architecture = options.architecture ?? source.architecture ?? onlyFit(source);
  const label = architectureLabel(architecture);
  const { input, networkInput } = imagesFor(options, source, label);
  const model = fitWeights(source.tensors, resolveArchitecture(architecture), networkInput);
  const classNames = namesFor(options.classNames ?? source.classNames, model.classes, options);
  const preprocessing = preprocessingFor(options, source, label, input.channels);
  return encodeArtefact(
    {
      formatVersion: 1,
      name: options.name ?? `imported/${label}`,
      architecture: manifestArchitecture(architecture, networkInput, input),
      classNames,
      classIds: classNames.map((_, index) => index),
      parentClassNames: classNames,
      input,
      preprocessing: { scale: '0..1', ...preprocessing },
      calibration: null,
      lineage: { arm: 'imported', source: { file: source.file.name, digest: source.file.digest } },
    },
    source.tensors,
  );
}

/** The images that the model is given, and what of them its network takes. */
function imagesFor(
  options: ImportOptions,
  source: WeightsSource,
  label: string,
): { input: ImageShape; networkInput: ImageShape } {
  const usual = usualInputSize(label);
  const fallback = options.input ?? { height: usual, width: usual, channels: CHANNELS };
  const input = source.input ?? fallback;
  const { inputSize: side } = options;
  if (side === undefined) return { input, networkInput: source.networkInput ?? input };
  const square = { height: side, width: side, channels: input.channels };
  return { input: square, networkInput: square };
}

function onlyFit({ tensors, file }: WeightsSource): string {
  const fits = architecturesThatFit(tensors).map(({ architecture }) => architecture);
  if (fits.length === 1 && fits[0] !== undefined) return fits[0];
  const problem =
    fits.length === 0 ? 'fit no architecture of the zoo' : `fit several architectures: ${fits.join(', ')}`;
  throw new StillhouseError('INVALID_ARGUMENT', `the weights of ${file.name} ${problem}`, {
    field: 'architecture',
    hint: 'name the one that is meant to hear what does not fit',
  });
}

/** 1000 outputs are taken for ImageNet's, which nearly all such weights are. */
function namesFor(
  given: readonly string[] | null,
  classes: number,
  { classNamesIfAsMany: guess, namelessClasses = false }: ImportOptions,
): readonly string[] {
  const usual = classes === imagenetClasses.length ? imagenetClasses : namelessClasses ? numbered(classes) : null;
  const names = given ?? (guess?.length === classes ? guess : usual);
  if (names?.length === classes) return names;
  const problem = names === null ? 'nothing names them' : `${names.length} names are given`;
  throw new StillhouseError('INVALID_ARGUMENT', `the model has ${classes} classes, ${problem}`, {
    field: 'classes',
    hint: `give the ${classes} names in the order of the outputs`,
  });
}

function numbered(classes: number): readonly string[] {
  return Array.from({ length: classes }, (_, index) => `class-${index}`);
}

function preprocessingFor(
  options: ImportOptions,
  source: WeightsSource,
  architecture: string,
  channels: number,
): Preprocessing {
  const usual = isForImagenet(architecture) && channels === CHANNELS ? IMAGENET_PREPROCESSING : undefined;
  const known = source.preprocessing ?? usual;
  const mean = options.mean ?? known?.mean;
  const std = options.std ?? known?.std;
  if (mean !== undefined && std !== undefined) return { mean, std };
  throw new StillhouseError(
    'INVALID_ARGUMENT',
    'nothing says how the images were normalised when these weights were made',
    {
      field: mean === undefined ? 'mean' : 'std',
      hint: 'give mean and std per channel, of pixels 0..1, to `stillhouse weights import`, and use the model that it writes',
    },
  );
}
