/** What each layer makes of the shape that it is given, and which tensors it has. Layers that do not fit are refused. */
import { StillhouseError } from '../base/errors.ts';
import type { ImageShape } from '../data/manifest.ts';
import { BATCH_NORM_MOMENTUM, type BlockLayer, type Layer, type Padding, type ResidualLayer } from './layers.ts';
import type { Layout } from './tensor-layout.ts';

/** What flows between two layers: an image, or a vector (`flattened` when it was one). */
export interface Flow {
  readonly shape: ImageShape;
  readonly isVector: boolean;
  readonly flattened: ImageShape | null;
}

/** A layer that holds no others. */
export type PlainLayer = Exclude<Layer, ResidualLayer | BlockLayer>;

export type TensorRole = 'weight' | 'bias' | 'scale' | 'offset' | 'running-mean' | 'running-variance';

/** A tensor of a layer, before its place in the model is known. */
export interface LayerTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly layout: Layout;
  readonly role: TensorRole;
}

/** More numbers than a tensor of a model that trains has: 4 GiB. */
const TENSOR_SIZE_MAX = 2 ** 30;

const VECTOR: Layout = { kind: 'vector' };

export function parametersOf(layer: PlainLayer, { shape, flattened }: Flow, classes: number): LayerTensor[] {
  switch (layer.kind) {
    case 'conv2d':
    case 'depthwise-conv2d': {
      const { kind, name, kernel } = layer;
      const [last, outputs] = kind === 'conv2d' ? [layer.filters, layer.filters] : [1, shape.channels];
      const weight = tensor(`${name}.weight`, [kernel, kernel, shape.channels, last], { kind }, 'weight');
      return layer.bias ? [weight, tensor(`${name}.bias`, [outputs], VECTOR, 'bias')] : [weight];
    }
    case 'batch-norm':
      return [
        tensor(`${layer.name}.weight`, [shape.channels], VECTOR, 'scale'),
        tensor(`${layer.name}.bias`, [shape.channels], VECTOR, 'offset'),
      ];
    case 'linear': {
      const features = layer.features === 'classes' ? classes : layer.features;
      const layout = { kind: 'linear', flattened } as const;
      return [
        tensor(`${layer.name}.weight`, [shape.channels, features], layout, 'weight'),
        tensor(`${layer.name}.bias`, [features], VECTOR, 'bias'),
      ];
    }
    default:
      return [];
  }
}

export function statisticsOf(layer: PlainLayer, { shape }: Flow): (LayerTensor & { readonly momentum: number })[] {
  if (layer.kind !== 'batch-norm') return [];
  const momentum = layer.momentum ?? BATCH_NORM_MOMENTUM;
  return [
    { ...tensor(`${layer.name}.running_mean`, [shape.channels], VECTOR, 'running-mean'), momentum },
    { ...tensor(`${layer.name}.running_var`, [shape.channels], VECTOR, 'running-variance'), momentum },
  ];
}

function tensor(name: string, shape: readonly number[], layout: Layout, role: TensorRole): LayerTensor {
  if (sizeOfShape(shape) <= TENSOR_SIZE_MAX) return { name, shape, layout, role };
  throw new StillhouseError('INVALID_ARGUMENT', `tensor ${name} would have ${sizeOfShape(shape)} numbers`, {
    field: name,
    hint: 'pool before the linear layer, or take fewer filters',
  });
}

export function sizeOfShape(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/**
 * The shape after a layer.
 * @param place where the layer stands, for errors
 * @throws INVALID_ARGUMENT when the layer cannot take what flows into it
 */
export function flowAfter(layer: PlainLayer, flow: Flow, classes: number, place: string): Flow {
  const { height, width, channels } = flow.shape;
  requireKind(layer, flow, place);
  switch (layer.kind) {
    case 'conv2d':
    case 'depthwise-conv2d': {
      const { kernel, stride = 1, padding } = layer;
      const filters = layer.kind === 'conv2d' ? layer.filters : channels;
      const side = (size: number) => sideAfter(size, kernel, stride, padding, place);
      return image({ height: side(height), width: side(width), channels: filters });
    }
    case 'max-pool':
    case 'average-pool': {
      const { size, stride, padding = 0 } = layer;
      if (2 * padding > size) throw misfit(place, `pads ${padding} on each side, more than half its window of ${size}`);
      const side = (length: number) => sideAfter(length, size, stride, padding, place);
      return image({ height: side(height), width: side(width), channels });
    }
    case 'global-average-pool':
      return vector(channels, null);
    case 'flatten':
      return vector(height * width * channels, flow.shape);
    case 'linear':
      return vector(layer.features === 'classes' ? classes : layer.features, null);
    case 'dropout':
      if (!(layer.rate >= 0 && layer.rate < 1)) throw misfit(place, `has rate ${layer.rate}, expected 0 to below 1`);
      return flow;
    default:
      return flow;
  }
}

const image = (shape: ImageShape): Flow => ({ shape, isVector: false, flattened: null });

const vector = (size: number, flattened: ImageShape | null): Flow => ({
  shape: { height: 1, width: 1, channels: size },
  isVector: true,
  flattened,
});

const TAKES_BOTH: ReadonlySet<PlainLayer['kind']> = new Set(['relu', 'relu6', 'dropout']);

function requireKind(layer: PlainLayer, { isVector }: Flow, place: string): void {
  if (TAKES_BOTH.has(layer.kind)) return;
  const takesVector = layer.kind === 'linear';
  if (takesVector === isVector) return;
  throw takesVector
    ? misfit(place, 'takes a vector but is given an image', 'put flatten or global-average-pool before it')
    : misfit(place, 'takes an image but is given a vector', 'put it before flatten or global-average-pool');
}

/** Places along one side after a window has gone over it. */
function sideAfter(side: number, window: number, stride: number, padding: Padding, place: string): number {
  if (padding === 'same') return Math.ceil(side / stride);
  const padded = side + 2 * padding;
  if (padded >= window) return Math.floor((padded - window) / stride) + 1;
  const size = padding === 0 ? `${side}` : `${side} (${padded} with padding)`;
  throw misfit(place, `has a window of ${window}, larger than its input of ${size}`, 'take larger images or pool less');
}

/** @param place e.g. `small-net: conv2d conv1` */
export function misfit(place: string, problem: string, hint?: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', `${place} ${problem}`, hint === undefined ? {} : { hint });
}
