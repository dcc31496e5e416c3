/** Which architectures of the zoo given weights fit, and what does not fit where. */
import { StillhouseError } from '../base/errors.ts';
import type { ImageShape } from '../data/manifest.ts';
import type { Architecture, Layer } from './layers.ts';
import { describeModel, importTensors, type ModelSpec } from './parameters.ts';
import type { NamedTensors } from './safetensors.ts';
import { pytorchShape } from './tensor-layout.ts';
import { architectureNamed, architectureNames } from './zoo.ts';

/** Sizes that are tried: where a linear layer follows a flatten, its weights fit one size of image only. */
const SIZES = [224, 32, 28, 64, 96, 128, 299];

export interface Fit {
  readonly architecture: string;
  readonly classes: number;
  /** The images' size in pixels, the first of the usual ones that fits. */
  readonly size: number;
}

/**
 * The architectures whose tensors have exactly these names and shapes.
 * @param tensors under the zoo's names
 */
export function architecturesThatFit(tensors: NamedTensors): readonly Fit[] {
  return architectureNames.flatMap((name) => {
    const classes = classesOf(architectureNamed(name), tensors);
    if (classes === undefined) return [];
    const size = SIZES.find((side) => fitsAt(name, side, classes, tensors));
    return size === undefined ? [] : [{ architecture: name, classes, size }];
  });
}

/**
 * The model that the weights make with an architecture; the number of classes is the classifier's.
 *
 * @param tensors under the zoo's names
 * @throws StillhouseError INVALID_ARGUMENT naming the tensor that is missing, too many, of another shape or not finite, the hint
 *   naming the architectures of the zoo that fit.
 */
export function fitWeights(tensors: NamedTensors, architecture: Architecture, input: ImageShape): ModelSpec {
  try {
    const classes = classesOf(architecture, tensors);
    const model = describeModel(architecture, input, classes ?? 1);
    importTensors(model, tensors);
    return model;
  } catch (thrown) {
    const error = StillhouseError.from(thrown);
    if (error.code !== 'INVALID_ARGUMENT') throw error;
    const fits = architecturesThatFit(tensors).filter((fit) => fit.architecture !== architecture.name);
    throw new StillhouseError(error.code, error.message, {
      ...(error.field !== undefined && { field: error.field }),
      ...(fits.length > 0 && { hint: `these weights fit ${fits.map((fit) => fit.architecture).join(', ')}` }),
      cause: error,
    });
  }
}

/** What the classifier's weights say; undefined when they are not there. */
function classesOf(architecture: Architecture, tensors: NamedTensors): number | undefined {
  const name = classifierOf(architecture.layers);
  const weight = name === undefined ? undefined : tensors.get(`${name}.weight`);
  return weight?.shape.length === 2 && (weight.shape[0] as number) > 0 ? weight.shape[0] : undefined;
}

function classifierOf(layers: readonly Layer[]): string | undefined {
  for (const layer of layers) {
    if (layer.kind === 'linear' && layer.features === 'classes') return layer.name;
    const inner = layer.kind === 'block' ? classifierOf(layer.layers) : undefined;
    if (inner !== undefined) return inner;
  }
  return undefined;
}

function fitsAt(name: string, side: number, classes: number, tensors: NamedTensors): boolean {
  let model: ModelSpec;
  try {
    model = describeModel(architectureNamed(name), { height: side, width: side, channels: 3 }, classes);
  } catch (error) {
    // Images of this size are too small for it.
    if (StillhouseError.from(error).code === 'INVALID_ARGUMENT') return false;
    throw error;
  }
  const specs = [...model.parameters, ...model.statistics];
  return (
    specs.length === tensors.size &&
    specs.every((spec) => tensors.get(spec.name)?.shape.join() === pytorchShape(spec).join())
  );
}
