/**
 * The network as it only predicts. Batch norm over fixed statistics is a scale and an offset per channel, which the convolution
 * before it takes over: what is left is a convolution, a bias and an activation, which TensorFlow computes as one.
 */
import { invariant } from '../base/errors.ts';
import { type Tensor, tf } from '../engine/tf.ts';
import {
  type Architecture,
  BATCH_NORM_EPSILON,
  type BatchNormLayer,
  type Conv2dLayer,
  type DepthwiseConv2dLayer,
  type Layer,
} from './layers.ts';

export interface FoldedNetwork {
  readonly architecture: Architecture;
  /** By name, as the architecture's layers have them. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

type Convolution = Conv2dLayer | DepthwiseConv2dLayer;

/**
 * The same function of images without any batch norm that comes right after a convolution:
 * w' = w·γ/√(σ²+ε), b' = (b−μ)·γ/√(σ²+ε) + β.
 * @param tensors parameters and moving statistics by name; memory layout
 */
export function foldBatchNorm(architecture: Architecture, tensors: ReadonlyMap<string, Tensor>): FoldedNetwork {
  const changed = new Map<string, Tensor>();
  const tensor = (name: string): Tensor => {
    const found = changed.get(name) ?? tensors.get(name);
    invariant(found !== undefined, `the model's tensor ${name} is at hand`);
    return found;
  };
  const fold = (layers: readonly Layer[]): Layer[] => {
    const folded: Layer[] = [];
    for (const layer of layers) {
      const before = folded.at(-1);
      if (layer.kind === 'batch-norm' && isConvolution(before)) {
        folded[folded.length - 1] = { ...before, bias: true };
        for (const [name, value] of foldPair(before, layer, tensor)) changed.set(name, value);
      } else {
        folded.push(foldLayer(layer));
      }
    }
    return folded;
  };
  const foldLayer = (layer: Layer): Layer => {
    if (layer.kind === 'block') return { ...layer, layers: fold(layer.layers) };
    if (layer.kind === 'residual') return { ...layer, main: fold(layer.main), shortcut: fold(layer.shortcut) };
    return layer;
  };
  const layers = fold(architecture.layers);
  return { architecture: { ...architecture, layers }, tensors: new Map([...tensors, ...changed]) };
}

function isConvolution(layer: Layer | undefined): layer is Convolution {
  return layer?.kind === 'conv2d' || layer?.kind === 'depthwise-conv2d';
}

function foldPair(
  { kind, name, bias }: Convolution,
  norm: BatchNormLayer,
  tensor: (name: string) => Tensor,
): [string, Tensor][] {
  const weight = tensor(`${name}.weight`);
  const variance = tf.add(tensor(`${norm.name}.running_var`), norm.epsilon ?? BATCH_NORM_EPSILON);
  const factor = tf.div(tensor(`${norm.name}.weight`), tf.sqrt(variance));
  const mean = tensor(`${norm.name}.running_mean`);
  const centred = bias ? tf.sub(tensor(`${name}.bias`), mean) : tf.neg(mean);
  // A depthwise filter has its channels before its last axis.
  const perFilter = kind === 'conv2d' ? factor : tf.reshape(factor, [factor.size, 1]);
  return [
    [`${name}.weight`, tf.mul(weight, perFilter)],
    [`${name}.bias`, tf.add(tf.mul(centred, factor), tensor(`${norm.name}.bias`))],
  ];
}
