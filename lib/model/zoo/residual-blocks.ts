/** The building blocks of ResNets, with torchvision's names. */
import type { BlockLayer, Layer } from '../layers.ts';

/** A convolution without bias, its batch norm. `padding` keeps the size at stride 1. */
export function convolutionNorm(
  [convolution, norm]: readonly [string, string],
  filters: number,
  kernel: number,
  stride = 1,
): Layer[] {
  const padding = (kernel - 1) / 2;
  return [
    { kind: 'conv2d', name: convolution, filters, kernel, stride, padding, bias: false },
    { kind: 'batch-norm', name: norm },
  ];
}

export interface ResidualShape {
  /** That come in. */
  readonly channels: number;
  readonly filters: number;
  readonly stride: number;
}

/** Two 3x3 convolutions (He et al. 2016, figure 5 left). */
export function basicBlock(name: string, shape: ResidualShape): BlockLayer {
  const { filters, stride } = shape;
  const main: Layer[] = [
    ...convolutionNorm([`${name}.conv1`, `${name}.bn1`], filters, 3, stride),
    { kind: 'relu' },
    ...convolutionNorm([`${name}.conv2`, `${name}.bn2`], filters, 3),
  ];
  return residualBlock(name, main, { ...shape, filters });
}

/** 1x1, 3x3 and 1x1 convolutions, the last four times as wide (He et al. 2016, figure 5 right); the 3x3 strides. */
export function bottleneckBlock(name: string, shape: ResidualShape): BlockLayer {
  const { filters, stride } = shape;
  const main: Layer[] = [
    ...convolutionNorm([`${name}.conv1`, `${name}.bn1`], filters, 1),
    { kind: 'relu' },
    ...convolutionNorm([`${name}.conv2`, `${name}.bn2`], filters, 3, stride),
    { kind: 'relu' },
    ...convolutionNorm([`${name}.conv3`, `${name}.bn3`], BOTTLENECK_EXPANSION * filters, 1),
  ];
  return residualBlock(name, main, { ...shape, filters: BOTTLENECK_EXPANSION * filters });
}

export const BOTTLENECK_EXPANSION = 4;

/** A shortcut that changes shape is a 1x1 convolution. */
function residualBlock(name: string, main: Layer[], { channels, filters, stride }: ResidualShape): BlockLayer {
  const isIdentity = stride === 1 && channels === filters;
  const shortcut = isIdentity
    ? []
    : convolutionNorm([`${name}.downsample.0`, `${name}.downsample.1`], filters, 1, stride);
  return { kind: 'block', name, layers: [{ kind: 'residual', main, shortcut }] };
}
