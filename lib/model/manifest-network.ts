/** The network that a manifest describes, and the other way round. */
import type { ImageShape } from '../data/manifest.ts';
import { type ArchitectureSpec, isLayerList, resolveArchitecture } from './architecture-choice.ts';
import { type ModelManifest, outputCount } from './model-manifest.ts';
import { describeModel, type ModelSpec } from './parameters.ts';

type ManifestArchitecture = ModelManifest['architecture'];

/** @param images as the model is given them; @param input as the network takes them */
export function manifestArchitecture(
  spec: ArchitectureSpec,
  input: ImageShape,
  images: ImageShape,
): ManifestArchitecture {
  const scaled = input.height === images.height && input.width === images.width ? {} : { inputSize: input.height };
  if (typeof spec === 'string') return withParameters({ name: spec }, scaled);
  if (isLayerList(spec)) return withParameters({ name: spec.name, definition: spec }, scaled);
  const { name, dropout } = spec;
  return withParameters({ name }, { ...scaled, ...(dropout === undefined ? {} : { dropout }) });
}

function withParameters(
  architecture: Omit<ManifestArchitecture, 'parameters'>,
  parameters: Readonly<Record<string, number>>,
): ManifestArchitecture {
  return Object.keys(parameters).length === 0 ? architecture : { ...architecture, parameters };
}

/** The images that the network takes: the model's own, unless it scales them. */
export function networkInput({ architecture, input }: ModelManifest): ImageShape {
  const side = architecture.parameters?.inputSize;
  return typeof side === 'number' ? { ...input, height: side, width: side } : input;
}

/** The architecture as a job file would name it. */
export function architectureOf({ architecture }: ModelManifest): ArchitectureSpec {
  const { name, parameters, definition } = architecture;
  const dropout = parameters?.dropout;
  return definition ?? (typeof dropout === 'number' ? { name, dropout } : name);
}

/** @throws NOT_FOUND for an unknown architecture; INVALID_ARGUMENT when its layers do not fit */
export function networkOf(manifest: ModelManifest): ModelSpec {
  const architecture = resolveArchitecture(architectureOf(manifest));
  return describeModel(architecture, networkInput(manifest), outputCount(manifest));
}
