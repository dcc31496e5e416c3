/**
 * The tensors of a model: names, shapes and order, derived from the architecture, and their initial values. In memory,
 * convolution kernels are [height, width, in, out] and linear weights [in, out], as TensorFlow computes; artefacts hold
 * PyTorch's layout. All trainable tensors in order, one after the other, are the model's flat parameter vector.
 */
import { invariant, StillhouseError } from '../base/errors.ts';
import { createRandom, hashName, type Random } from '../base/random.ts';
import type { ImageShape } from '../data/manifest.ts';
import type { Architecture, Layer } from './layers.ts';
import type { NamedTensors } from './safetensors.ts';

/** How a tensor's memory order relates to PyTorch's. */
export type Layout =
  | { readonly kind: 'vector' }
  /** Memory [h, w, in, out], PyTorch [out, in, h, w]. */
  | { readonly kind: 'conv2d' }
  /** Memory [in, out], PyTorch [out, in]; after `flatten`, rows are in (h, w, c) order here and (c, h, w) there. */
  | { readonly kind: 'linear'; readonly flattened: ImageShape | null };

export interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly size: number;
  readonly layout: Layout;
  readonly role: 'weight' | 'bias' | 'scale' | 'offset' | 'running-mean' | 'running-variance';
}

export interface ModelSpec {
  readonly architecture: Architecture;
  readonly input: ImageShape;
  readonly classes: number;
  readonly parameters: readonly TensorSpec[];
  readonly parameterCount: number;
  /** Moving statistics of batch norm, in the order mean, variance per layer. */
  readonly statistics: readonly TensorSpec[];
  readonly statisticCount: number;
}

/** What flows between two layers: an image, or a vector (`flattened` when it was one). */
interface Flow {
  readonly shape: ImageShape;
  readonly isVector: boolean;
  readonly flattened: ImageShape | null;
}

/**
 * Walks the layers and derives every tensor.
 * @throws INVALID_ARGUMENT when the layers do not fit each other or the input.
 */
export function describeModel(architecture: Architecture, input: ImageShape, classes: number): ModelSpec {
  const parameters: TensorSpec[] = [];
  const statistics: TensorSpec[] = [];
  const walk = (layers: readonly Layer[], start: Flow): Flow =>
    layers.reduce((flow, layer) => describeLayer(layer, flow), start);
  const describeLayer = (layer: Layer, flow: Flow): Flow => {
    if (layer.kind === 'residual') {
      const main = walk(layer.main, flow);
      const shortcut = walk(layer.shortcut, flow);
      invariant(JSON.stringify(main) === JSON.stringify(shortcut), 'both branches of a residual have one shape');
      return main;
    }
    parameters.push(...parametersOf(layer, flow, classes));
    statistics.push(...statisticsOf(layer, flow));
    return flowAfter(layer, flow, classes, architecture.name);
  };
  const end = walk(architecture.layers, { shape: input, isVector: false, flattened: null });
  if (!end.isVector || end.shape.channels !== classes) {
    throw new StillhouseError('INVALID_ARGUMENT', `${architecture.name} does not end in one logit per class`);
  }
  const total = (specs: readonly TensorSpec[]) => specs.reduce((sum, { size }) => sum + size, 0);
  return {
    architecture,
    input,
    classes,
    parameters,
    parameterCount: total(parameters),
    statistics,
    statisticCount: total(statistics),
  };
}

function spec(name: string, shape: readonly number[], layout: Layout, role: TensorSpec['role']): TensorSpec {
  return { name, shape, size: shape.reduce((product, size) => product * size, 1), layout, role };
}

const VECTOR: Layout = { kind: 'vector' };

function parametersOf(layer: Layer, { shape, flattened }: Flow, classes: number): TensorSpec[] {
  if (layer.kind === 'conv2d') {
    const { name, kernel, filters } = layer;
    const weight = spec(`${name}.weight`, [kernel, kernel, shape.channels, filters], { kind: 'conv2d' }, 'weight');
    return layer.bias ? [weight, spec(`${name}.bias`, [filters], VECTOR, 'bias')] : [weight];
  }
  if (layer.kind === 'batch-norm') {
    return [
      spec(`${layer.name}.weight`, [shape.channels], VECTOR, 'scale'),
      spec(`${layer.name}.bias`, [shape.channels], VECTOR, 'offset'),
    ];
  }
  if (layer.kind === 'linear') {
    const features = layer.features === 'classes' ? classes : layer.features;
    const weight = spec(`${layer.name}.weight`, [shape.channels, features], { kind: 'linear', flattened }, 'weight');
    return [weight, spec(`${layer.name}.bias`, [features], VECTOR, 'bias')];
  }
  return [];
}

function statisticsOf(layer: Layer, { shape }: Flow): TensorSpec[] {
  if (layer.kind !== 'batch-norm') return [];
  return [
    spec(`${layer.name}.running_mean`, [shape.channels], VECTOR, 'running-mean'),
    spec(`${layer.name}.running_var`, [shape.channels], VECTOR, 'running-variance'),
  ];
}

function flowAfter(layer: Exclude<Layer, { kind: 'residual' }>, flow: Flow, classes: number, where: string): Flow {
  const { height, width, channels } = flow.shape;
  const vector = (size: number, flattened: ImageShape | null): Flow => ({
    shape: { height: 1, width: 1, channels: size },
    isVector: true,
    flattened,
  });
  const image = (size: (side: number) => number, filters: number): Flow => {
    const shape = { height: size(height), width: size(width), channels: filters };
    if (shape.height > 0 && shape.width > 0) return { shape, isVector: false, flattened: null };
    throw new StillhouseError(
      'INVALID_ARGUMENT',
      `${where} needs larger images than it is given: ${layer.kind} is left with nothing`,
    );
  };
  switch (layer.kind) {
    case 'conv2d':
      return image(
        (side) => Math.floor((side + 2 * layer.padding - layer.kernel) / (layer.stride ?? 1)) + 1,
        layer.filters,
      );
    case 'max-pool':
      return image((side) => Math.floor((side - layer.size) / layer.stride) + 1, channels);
    case 'global-average-pool':
      return vector(channels, null);
    case 'flatten':
      return vector(height * width * channels, flow.shape);
    case 'linear':
      return vector(layer.features === 'classes' ? classes : layer.features, null);
    default:
      return flow;
  }
}

/** The flat parameter vector at the start; each tensor draws from its own stream of `seed`. */
export function initialParameters(model: ModelSpec, seed: number): Float32Array {
  const values = new Float32Array(model.parameterCount);
  let offset = 0;
  let fanIn = 1;
  for (const tensor of model.parameters) {
    if (tensor.role === 'weight') fanIn = tensor.size / (tensor.shape.at(-1) as number);
    const random = createRandom(seed, hashName(tensor.name));
    const draw = initialiser(model, tensor, fanIn, random);
    for (let index = 0; index < tensor.size; index++) values[offset + index] = draw();
    offset += tensor.size;
  }
  return values;
}

function initialiser(model: ModelSpec, tensor: TensorSpec, fanIn: number, random: Random): () => number {
  if (tensor.role === 'scale') return () => 1;
  if (tensor.role === 'offset') return () => 0;
  if (model.architecture.initialisation === 'kaiming-fan-out' && tensor.layout.kind === 'conv2d') {
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
      const values = new Float32Array(tensor.size);
      const order = pytorchOrder(tensor);
      for (let index = 0; index < tensor.size; index++) values[order(index)] = flat[offset + index] as number;
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
  const flatten = (wanted: readonly TensorSpec[], size: number) => {
    const flat = new Float32Array(size);
    let offset = 0;
    for (const tensor of wanted) {
      const found = tensors.get(tensor.name);
      const shape = pytorchShape(tensor);
      if (found === undefined) throw misfit(model, tensor.name, 'is missing');
      if (found.shape.join() !== shape.join()) {
        throw misfit(model, tensor.name, `has shape [${found.shape}], expected [${shape}]`);
      }
      const order = pytorchOrder(tensor);
      for (let index = 0; index < tensor.size; index++) {
        const value = found.values[order(index)] as number;
        if (!Number.isFinite(value)) throw misfit(model, tensor.name, `holds ${value}`);
        flat[offset + index] = value;
      }
      offset += tensor.size;
    }
    return flat;
  };
  return {
    parameters: flatten(model.parameters, model.parameterCount),
    statistics: flatten(model.statistics, model.statisticCount),
  };
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

function pytorchShape({ shape, layout }: TensorSpec): readonly number[] {
  if (layout.kind === 'conv2d') {
    const [height, width, channels, filters] = shape as [number, number, number, number];
    return [filters, channels, height, width];
  }
  return layout.kind === 'linear' ? [shape[1] as number, shape[0] as number] : shape;
}

/** For an index into the tensor as it lies in memory: its index in PyTorch's layout. */
function pytorchOrder({ shape, layout }: TensorSpec): (index: number) => number {
  if (layout.kind === 'vector') return (index) => index;
  if (layout.kind === 'conv2d') {
    const [height, width, channels, filters] = shape as [number, number, number, number];
    return (index) => {
      const filter = index % filters;
      const channel = Math.floor(index / filters) % channels;
      const position = Math.floor(index / (filters * channels));
      return (filter * channels + channel) * height * width + position;
    };
  }
  const [rows, columns] = shape as [number, number];
  const { flattened } = layout;
  return (index) => {
    const column = index % columns;
    const row = Math.floor(index / columns);
    if (flattened === null) return column * rows + row;
    const channel = row % flattened.channels;
    const position = Math.floor(row / flattened.channels);
    return column * rows + channel * flattened.height * flattened.width + position;
  };
}
