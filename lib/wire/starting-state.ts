/** The weights that a teacher or student starts training with. */
import type { ImageShape } from '../data/manifest.ts';
import { resolveArchitecture } from '../model/architecture-choice.ts';
import { type DecodedArtefact, outputCount } from '../model/artefact.ts';
import { withClassifier } from '../model/classifier.ts';
import { networkInput } from '../model/manifest-network.ts';
import {
  describeModel,
  importTensors,
  initialParameters,
  initialStatistics,
  type ModelSpec,
} from '../model/parameters.ts';
import type { NetworkSpec } from './job-spec.ts';

export interface StartingPlace {
  readonly classNames: readonly string[];
  /** Whether the model has one more output than classes. */
  readonly dustbin: boolean;
  /** Of the data set. */
  readonly images: ImageShape;
  readonly seed: number;
}

export interface StartingState {
  readonly model: ModelSpec;
  /** Flat, in memory layout. */
  readonly parameters: Float32Array;
  readonly statistics: Float32Array;
}

/**
 * Weights from `init`, with a seeded classifier where the classes are others; without `init`, all of them seeded.
 * @throws INVALID_ARGUMENT naming the layer or tensor that does not fit
 */
export function startingState(
  network: Pick<NetworkSpec, 'arch' | 'inputSize'>,
  init: DecodedArtefact | null,
  { classNames, dustbin, images, seed }: StartingPlace,
): StartingState {
  const side = network.inputSize ?? (init === null ? undefined : networkInput(init.manifest).height);
  const input = side === undefined ? images : { ...images, height: side, width: side };
  const model = describeModel(resolveArchitecture(network.arch), input, outputCount({ classNames, dustbin }));
  const parameters = initialParameters(model, seed);
  const statistics = initialStatistics(model);
  if (init === null) return { model, parameters, statistics };
  const { classNames: known, dustbin: hasDustbin = false } = init.manifest;
  const isSame = known.length === classNames.length && known.every((name, id) => name === classNames[id]);
  const knowsClasses = isSame && hasDustbin === dustbin;
  const tensors = knowsClasses ? init.tensors : withClassifier(model, init.tensors, parameters, statistics);
  return { model, ...importTensors(model, tensors) };
}
