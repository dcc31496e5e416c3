/**
 * Fine-tuning a part of a model: which tensors move, and how a model is cut into a backbone, whose outputs can be kept
 * when none of it moves, and the head that is trained on them.
 */
import { StillhouseError } from '../base/errors.ts';
import type { Architecture, Layer } from './layers.ts';
import { describeModel, layersByDepth, type ModelSpec, type TensorSpec } from './parameters.ts';

/** Everything; what follows the last block; or that and the last n blocks. */
export type FineTune = 'all' | 'head' | { readonly lastBlocks: number };

/** The depth from which on tensors are trained. @throws INVALID_ARGUMENT when the architecture has fewer blocks. */
export function firstTrainedDepth(
  { architecture, blocks }: Pick<ModelSpec, 'architecture' | 'blocks'>,
  fineTune: FineTune,
): number {
  if (fineTune === 'all') return 0;
  const lastBlocks = fineTune === 'head' ? 0 : fineTune.lastBlocks;
  if (Number.isInteger(lastBlocks) && lastBlocks >= 0 && lastBlocks <= blocks) return blocks + 1 - lastBlocks;
  throw new StillhouseError(
    'INVALID_ARGUMENT',
    `the last ${lastBlocks} blocks of ${architecture.name} cannot be fine-tuned: it has ${blocks}`,
    { field: 'lastBlocks', hint: 'its stem is trained only with all' },
  );
}

/** Parameters that are trained, in the model's order. @throws INVALID_ARGUMENT when the model has too few blocks. */
export function trainableTensors(model: ModelSpec, fineTune: FineTune): readonly TensorSpec[] {
  const first = firstTrainedDepth(model, fineTune);
  return model.parameters.filter(({ depth }) => depth >= first);
}

/** Moving statistics of batch norm layers that are not frozen, in the model's order. @throws as `trainableTensors`. */
export function trainedStatistics(model: ModelSpec, fineTune: FineTune): readonly TensorSpec[] {
  const first = firstTrainedDepth(model, fineTune);
  return model.statistics.filter(({ depth }) => depth >= first);
}

/** Whether none of a layer's tensors move; a layer without tensors is not frozen. @throws as `trainableTensors`. */
export function isFrozenLayer(model: ModelSpec, fineTune: FineTune, layerName: string): boolean {
  const first = firstTrainedDepth(model, fineTune);
  const tensor = model.parameters.find(({ layer }) => layer === layerName);
  return tensor !== undefined && tensor.depth < first;
}

/**
 * A model as two. All of the model's statistics and its first parameters are the backbone's, in the same order; the other
 * parameters are the head's: flat vectors in memory layout are cut and joined at `backbone.parameterCount`.
 */
export interface SplitModel {
  /** From images to features: `classes` counts features, and what `forward` calls logits is [batch, features]. */
  readonly backbone: ModelSpec;
  /** From features, as images of one pixel with a channel per feature, to logits. */
  readonly head: ModelSpec;
}

/**
 * Cuts before the head's first dropout or linear layer.
 * @throws INVALID_ARGUMENT when there is no such layer, or dropout acts on images there: no vector of features enters it
 */
export function splitAtHead(model: ModelSpec): SplitModel {
  const { architecture, input, classes } = model;
  const { layers, cut } = cutAtHead(architecture);
  if (cut === -1) {
    throw new StillhouseError('INVALID_ARGUMENT', `${architecture.name} has no head that could be trained by itself`, {
      hint: 'put the linear layer behind the last block',
    });
  }
  const backboneLayers = layers.slice(0, cut);
  const headLayers = layers.slice(cut);
  if (!endInVector(backboneLayers)) {
    throw new StillhouseError(
      'INVALID_ARGUMENT',
      `the head of ${architecture.name} drops values of images: its backbone has no vector of features to keep`,
      { hint: 'put flatten or global-average-pool before the dropout' },
    );
  }
  const first = model.parameters.find(({ layer }) => layer === firstLinear(headLayers)) as TensorSpec;
  const features = first.shape[0] as number;
  const part = (name: string, part: readonly Layer[]): Architecture => ({
    ...architecture,
    name: `${architecture.name} ${name}`,
    layers: part,
  });
  return {
    backbone: describeModel(part('backbone', backboneLayers), input, features),
    head: describeModel(
      part('head', [{ kind: 'flatten' }, ...headLayers]),
      { height: 1, width: 1, channels: features },
      classes,
    ),
  };
}

function firstLinear(layers: readonly Layer[]): string | undefined {
  return layers.find((layer) => layer.kind === 'linear')?.name;
}

/**
 * Whether training the head on the backbone's features is training it within the model: the cut leaves to the head just what
 * `fineTune: head` trains, and nothing before it is random.
 */
export function hasFixedFeatures(model: ModelSpec): boolean {
  const { layers, cut } = cutAtHead(model.architecture);
  const before = layers.slice(0, cut);
  if (!endInVector(before) || before.some(hasDropout)) return false;
  const trained = trainableTensors(model, 'head');
  const { head } = splitAtHead(model);
  return trained.length === head.parameters.length;
}

/** The top-level layers, and the place of the head's first dropout or linear layer among them; -1 when there is none. */
function cutAtHead(architecture: Architecture): { readonly layers: readonly Layer[]; readonly cut: number } {
  const { layers, blocks } = layersByDepth(architecture);
  const isStart = ({ kind }: Layer) => kind === 'dropout' || kind === 'linear';
  const cut = layers.findIndex(({ layer, depth }) => depth > blocks && isStart(layer));
  return { layers: layers.map(({ layer }) => layer), cut };
}

function endInVector(layers: readonly Layer[]): boolean {
  return layers.some(({ kind }) => kind === 'flatten' || kind === 'global-average-pool');
}

function hasDropout(layer: Layer): boolean {
  if (layer.kind === 'block') return layer.layers.some(hasDropout);
  if (layer.kind === 'residual') return [...layer.main, ...layer.shortcut].some(hasDropout);
  return layer.kind === 'dropout';
}

/** The whole model's parameters from its parts'. */
export function joinHead(backboneParameters: Float32Array, headParameters: Float32Array): Float32Array {
  const joined = new Float32Array(backboneParameters.length + headParameters.length);
  joined.set(backboneParameters);
  joined.set(headParameters, backboneParameters.length);
  return joined;
}
