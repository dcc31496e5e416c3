/**
 * The tensors of a model: names, shapes and order, derived from the architecture, and their initial values. In memory,
 * convolution kernels are [height, width, in, out] and linear weights [in, out], as TensorFlow computes; artefacts hold
 * PyTorch's layout. All trainable tensors in order, one after the other, are the model's flat parameter vector.
 */
import { StillhouseError } from '../base/errors.ts';
import { createRandom, hashName, type Random } from '../base/random.ts';
import type { ImageShape } from '../data/manifest.ts';
import {
  type Flow,
  flowAfter,
  type LayerTensor,
  misfit as layerMisfit,
  type PlainLayer,
  parametersOf,
  sizeOfShape,
  statisticsOf,
} from './layer-shapes.ts';
import type { Architecture, Layer } from './layers.ts';
import type { NamedTensor, NamedTensors } from './safetensors.ts';
import { fromPytorch, pytorchShape, toPytorch } from './tensor-layout.ts';

export interface TensorSpec extends LayerTensor {
  readonly size: number;
  /** The layer's name. */
  readonly layer: string;
  /** 0 for the stem, 1..n for the blocks in order, n + 1 for the head. */
  readonly depth: number;
  /** Of a moving statistic: share of the newest batch. */
  readonly momentum?: number;
}

export interface ModelSpec {
  readonly architecture: Architecture;
  readonly input: ImageShape;
  readonly classes: number;
  /** How many blocks there are between stem and head. */
  readonly blocks: number;
  readonly parameters: readonly TensorSpec[];
  readonly parameterCount: number;
  /** Moving statistics of batch norm, in the order mean, variance per layer. */
  readonly statistics: readonly TensorSpec[];
  readonly statisticCount: number;
}

/**
 * Walks the layers and derives every tensor.
 * @throws INVALID_ARGUMENT naming the layer when the layers do not fit each other or the input.
 */
export function describeModel(architecture: Architecture, input: ImageShape, classes: number): ModelSpec {
  const parameters: TensorSpec[] = [];
  const statistics: TensorSpec[] = [];
  const names = new Set<string>();
  const claim = (name: string, place: string) => {
    if (names.has(name)) throw layerMisfit(place, 'has a name that another layer has', 'give every layer its own name');
    names.add(name);
  };
  const walk = (layers: readonly Layer[], start: Flow, depth: number): Flow =>
    layers.reduce((flow, layer) => describeLayer(layer, flow, depth), start);
  const describeLayer = (layer: Layer, flow: Flow, depth: number): Flow => {
    const place = `${architecture.name}: ${nameOf(layer)}`;
    if (layer.kind === 'block') {
      claim(`block ${layer.name}`, place);
      return walk(layer.layers, flow, depth);
    }
    if (layer.kind === 'residual') {
      const main = walk(layer.main, flow, depth);
      const shortcut = walk(layer.shortcut, flow, depth);
      if (shapeText(main) === shapeText(shortcut)) return main;
      throw layerMisfit(place, `adds ${shapeText(main)} of its main branch to ${shapeText(shortcut)} of its shortcut`);
    }
    if ('name' in layer) claim(layer.name, place);
    const after = flowAfter(layer, flow, classes, place);
    const complete = (tensor: LayerTensor) => ({ size: sizeOfShape(tensor.shape), layer: layerName(layer), depth });
    parameters.push(...parametersOf(layer, flow, classes).map((tensor) => ({ ...tensor, ...complete(tensor) })));
    statistics.push(...statisticsOf(layer, flow).map((tensor) => ({ ...tensor, ...complete(tensor) })));
    return after;
  };
  const { layers, blocks } = layersByDepth(architecture);
  let flow: Flow = { shape: input, isVector: false, flattened: null };
  for (const { layer, depth } of layers) flow = describeLayer(layer, flow, depth);
  if (!flow.isVector || flow.shape.channels !== classes) {
    throw layerMisfit(architecture.name, `ends in ${shapeText(flow)}, not in one logit for each of ${classes} classes`);
  }
  const total = (specs: readonly TensorSpec[]) => specs.reduce((sum, { size }) => sum + size, 0);
  return {
    architecture,
    input,
    classes,
    blocks,
    parameters,
    parameterCount: total(parameters),
    statistics,
    statisticCount: total(statistics),
  };
}

/**
 * The top-level layers with their depth. A list without blocks is cut where images become a vector.
 */
export function layersByDepth({ layers }: Architecture): {
  readonly layers: readonly { readonly layer: Layer; readonly depth: number }[];
  readonly blocks: number;
} {
  const blocks = layers.filter(({ kind }) => kind === 'block').length;
  const isCut = ({ kind }: Layer) => kind === 'flatten' || kind === 'global-average-pool';
  let depth = 0;
  let isHead = false;
  return {
    blocks,
    layers: layers.map((layer) => {
      if (layer.kind === 'block') return { layer, depth: ++depth };
      isHead ||= blocks === 0 && isCut(layer);
      // Between two blocks a layer goes with the block before it.
      const isAfterLast = blocks > 0 && depth === blocks;
      return { layer, depth: isHead || isAfterLast ? blocks + 1 : depth };
    }),
  };
}

/** For errors: kind and name; a residual is named by the first layer in it. */
function nameOf(layer: Layer): string {
  if ('name' in layer) return `${layer.kind} ${layer.name}`;
  if (layer.kind !== 'residual') return layer.kind;
  const named = [...layer.main, ...layer.shortcut].find((inner) => 'name' in inner);
  return named === undefined ? 'residual' : `residual with ${nameOf(named)}`;
}

function layerName(layer: PlainLayer): string {
  return 'name' in layer ? layer.name : layer.kind;
}

function shapeText({ shape, isVector }: Flow): string {
  return isVector ? `a vector of ${shape.channels}` : `an image ${shape.height}x${shape.width}x${shape.channels}`;
}

/** The flat parameter vector at the start; each tensor draws from its own stream of `seed`. */
export function initialParameters(model: ModelSpec, seed: number): Float32Array {
  const values = new Float32Array(model.parameterCount);
  let offset = 0;
  let fanIn = 1;
  for (const tensor of model.parameters) {
    if (tensor.role === 'weight') fanIn = fanInOf(tensor);
    const random = createRandom(seed, hashName(tensor.name));
    const draw = initialiser(model, tensor, fanIn, random);
    for (let index = 0; index < tensor.size; index++) values[offset + index] = draw();
    offset += tensor.size;
  }
  return values;
}

/** Inputs of one output. */
function fanInOf({ shape, layout, size }: TensorSpec): number {
  return size / (layout.kind === 'depthwise-conv2d' ? (shape[2] as number) : (shape.at(-1) as number));
}

function initialiser(model: ModelSpec, tensor: TensorSpec, fanIn: number, random: Random): () => number {
  if (tensor.role === 'scale') return () => 1;
  if (tensor.role === 'offset') return () => 0;
  if (model.architecture.initialisation === 'kaiming-fan-out' && tensor.shape.length === 4) {
    // With one filter per channel, an input feeds one output at each place of the window: fan out is height · width · 1.
    const [height, width, , filters] = tensor.shape as [number, number, number, number];
    const deviation = Math.sqrt(2 / (height * width * filters));
    return () => deviation * random.nextNormal();
  }
  const bound = 1 / Math.sqrt(fanIn);
  return () => bound * (2 * random.nextFloat() - 1);
}

/** The flat statistics vector at the start: means 0, variances 1. */
export function initialStatistics(model: ModelSpec): Float32Array {
  const values = new Float32Array(model.statisticCount);
  let offset = 0;
  for (const { size, role } of model.statistics) {
    values.fill(role === 'running-variance' ? 1 : 0, offset, offset + size);
    offset += size;
  }
  return values;
}

/** Flat vectors → named tensors in PyTorch's layout. */
export function exportTensors(model: ModelSpec, parameters: Float32Array, statistics: Float32Array): NamedTensors {
  const tensors = new Map<string, { shape: readonly number[]; values: Float32Array }>();
  const take = (specs: readonly TensorSpec[], flat: Float32Array) => {
    let offset = 0;
    for (const tensor of specs) {
      const values = toPytorch(tensor, flat.subarray(offset, offset + tensor.size));
      tensors.set(tensor.name, { shape: pytorchShape(tensor), values });
      offset += tensor.size;
    }
  };
  take(model.parameters, parameters);
  take(model.statistics, statistics);
  return tensors;
}

/**
 * Named tensors in PyTorch's layout → flat vectors.
 * @throws INVALID_ARGUMENT naming the tensor that is missing, too many, of another shape, or not finite.
 */
export function importTensors(
  model: ModelSpec,
  tensors: NamedTensors,
): { parameters: Float32Array; statistics: Float32Array } {
  const specs = [...model.parameters, ...model.statistics];
  const known = new Set(specs.map(({ name }) => name));
  for (const name of tensors.keys()) {
    if (!known.has(name)) throw misfit(model, name, 'is not one of its tensors');
  }
  const flatten = (wanted: readonly TensorSpec[], count: number) => {
    const flat = new Float32Array(count);
    let offset = 0;
    for (const tensor of wanted) {
      const found = tensors.get(tensor.name);
      if (found === undefined) throw misfit(model, tensor.name, 'is missing');
      flat.set(fromPytorch(tensor, checkedValues(model, tensor, found)), offset);
      offset += tensor.size;
    }
    return flat;
  };
  return {
    parameters: flatten(model.parameters, model.parameterCount),
    statistics: flatten(model.statistics, model.statisticCount),
  };
}

function checkedValues(model: ModelSpec, tensor: TensorSpec, { shape, values }: NamedTensor): Float32Array {
  const expected = pytorchShape(tensor);
  if (shape.join() !== expected.join()) {
    throw misfit(model, tensor.name, `has shape [${shape}], expected [${expected}]`);
  }
  for (const value of values) if (!Number.isFinite(value)) throw misfit(model, tensor.name, `holds ${value}`);
  return values;
}

function misfit(model: ModelSpec, tensor: string, problem: string): StillhouseError {
  return new StillhouseError(
    'INVALID_ARGUMENT',
    `weights for ${model.architecture.name}: tensor ${tensor} ${problem}`,
    {
      field: tensor,
    },
  );
}
