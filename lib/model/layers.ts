/**
 * Architectures as data: a list of layers. Layer and tensor names are PyTorch's, so that state dicts match by name.
 * Images are [batch, height, width, channels] throughout.
 */

export interface Conv2dLayer {
  readonly kind: 'conv2d';
  readonly name: string;
  readonly filters: number;
  readonly kernel: number;
  readonly stride?: number;
  /** Zeros on each side; PyTorch's meaning, symmetric at every stride. */
  readonly padding: number;
  readonly bias: boolean;
}

export interface BatchNormLayer {
  readonly kind: 'batch-norm';
  readonly name: string;
}

export interface LinearLayer {
  readonly kind: 'linear';
  readonly name: string;
  /** Output features; `classes` stands for the number of classes. */
  readonly features: number | 'classes';
}

/** relu(main(x) + shortcut(x)); an empty shortcut is the identity. */
export interface ResidualLayer {
  readonly kind: 'residual';
  readonly main: readonly Layer[];
  readonly shortcut: readonly Layer[];
}

export type Layer =
  | Conv2dLayer
  | BatchNormLayer
  | LinearLayer
  | ResidualLayer
  | { readonly kind: 'relu' }
  | { readonly kind: 'max-pool'; readonly size: number; readonly stride: number }
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
