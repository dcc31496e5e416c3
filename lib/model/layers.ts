/**
 * Architectures as data: a list of layers. Layer and tensor names are PyTorch's, so that state dicts match by name.
 * Images are [batch, height, width, channels] throughout.
 */

/**
 * Zeros on each side, PyTorch's meaning, symmetric at every stride; or TensorFlow's `same`: the output has
 * ceil(input / stride) places, and an odd zero goes to the end.
 */
export type Padding = number | 'same';

export interface Conv2dLayer {
  readonly kind: 'conv2d';
  readonly name: string;
  readonly filters: number;
  readonly kernel: number;
  readonly stride?: number;
  readonly padding: Padding;
  readonly bias: boolean;
}

/** One filter per channel. */
export interface DepthwiseConv2dLayer {
  readonly kind: 'depthwise-conv2d';
  readonly name: string;
  readonly kernel: number;
  readonly stride?: number;
  readonly padding: Padding;
  readonly bias: boolean;
}

export interface BatchNormLayer {
  readonly kind: 'batch-norm';
  readonly name: string;
  /** Default `BATCH_NORM_EPSILON`. */
  readonly epsilon?: number;
  /** Share of the newest batch in the moving statistics; default `BATCH_NORM_MOMENTUM`. */
  readonly momentum?: number;
}

export interface LinearLayer {
  readonly kind: 'linear';
  readonly name: string;
  /** Output features; `classes` stands for the number of classes. */
  readonly features: number | 'classes';
}

export interface PoolLayer {
  readonly kind: 'max-pool' | 'average-pool';
  readonly size: number;
  readonly stride: number;
  /** Default 0; on each side. A padded place never wins a maximum, and counts as a zero in an average (PyTorch's default). */
  readonly padding?: number;
}

/** Zeroes activations with probability `rate` while training, and scales the others by 1/(1 - rate). */
export interface DropoutLayer {
  readonly kind: 'dropout';
  readonly rate: number;
}

/** activation(main(x) + shortcut(x)); an empty shortcut is the identity. */
export interface ResidualLayer {
  readonly kind: 'residual';
  readonly main: readonly Layer[];
  readonly shortcut: readonly Layer[];
  /** Default `relu`. */
  readonly activation?: 'relu' | 'none';
}

/** Layers that are frozen or fine-tuned together. Computes nothing of its own. */
export interface BlockLayer {
  readonly kind: 'block';
  readonly name: string;
  readonly layers: readonly Layer[];
}

export type Layer =
  | Conv2dLayer
  | DepthwiseConv2dLayer
  | BatchNormLayer
  | LinearLayer
  | PoolLayer
  | DropoutLayer
  | ResidualLayer
  | BlockLayer
  | { readonly kind: 'relu' }
  | { readonly kind: 'relu6' }
  | { readonly kind: 'global-average-pool' }
  | { readonly kind: 'flatten' };

/** How weights start out. */
export type Initialisation =
  /** PyTorch's defaults: uniform in ±1/sqrt(fan in), weights and biases. */
  | 'pytorch'
  /** He et al. 2015, normal by fan out, for convolutions; linear layers as `pytorch`. torchvision's ResNets. */
  | 'kaiming-fan-out';

export interface Architecture {
  readonly name: string;
  /** One line for listings. */
  readonly summary: string;
  readonly initialisation: Initialisation;
  readonly layers: readonly Layer[];
}

/** PyTorch's default of BatchNorm2d. */
export const BATCH_NORM_EPSILON = 1e-5;
/** Share of the newest batch in the moving statistics, PyTorch's default. */
export const BATCH_NORM_MOMENTUM = 0.1;
