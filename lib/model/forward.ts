/** Computes an architecture's layers with TensorFlow. */
import { invariant } from '../base/errors.ts';
import { conv2d, depthwiseConv2d } from '../engine/convolution.ts';
import { batchNormInference, batchNormTraining, biasAdd, relu, relu6 } from '../engine/kernels.ts';
import { averagePool, globalAveragePool, maxPool } from '../engine/pooling.ts';
import { dropout } from '../engine/random.ts';
import { type Tensor, tf } from '../engine/tf.ts';
import type { PlainLayer } from './layer-shapes.ts';
import { BATCH_NORM_EPSILON, type BatchNormLayer, type Layer } from './layers.ts';
import type { ModelSpec } from './parameters.ts';

export interface ForwardMode {
  /** Batch norm looks at the batch, and dropout acts; the latter needs `withRandomKey`. */
  readonly training: boolean;
  /** Batch norm layers that keep to their moving statistics in training too; default none. */
  readonly isFrozen?: (layerName: string) => boolean;
}

export interface ForwardResult {
  /** [batch, classes] */
  readonly logits: Tensor;
  /**
   * The batch's own mean and variance per batch norm layer that is not frozen, in the order of `ModelSpec.statistics`; empty
   * at inference. They are kept out of any tidy: the caller disposes of them.
   */
  readonly statistics: readonly Tensor[];
}

/**
 * @param tensors parameters by name, and moving statistics where they are used; memory layout
 * @param images [batch, height, width, channels], preprocessed
 */
export function forward(
  { architecture }: Pick<ModelSpec, 'architecture'>,
  tensors: ReadonlyMap<string, Tensor>,
  images: Tensor,
  mode: ForwardMode,
): ForwardResult {
  const statistics: Tensor[] = [];
  const tensor = (name: string): Tensor => {
    const found = tensors.get(name);
    invariant(found !== undefined, `the model's tensor ${name} is at hand`);
    return found;
  };
  const apply = (layers: readonly Layer[], input: Tensor): Tensor => layers.reduce(applyLayer, input);
  const applyLayer = (x: Tensor, layer: Layer): Tensor => {
    if (layer.kind === 'block') return apply(layer.layers, x);
    if (layer.kind === 'residual') {
      const sum = tf.add(apply(layer.main, x), apply(layer.shortcut, x));
      return layer.activation === 'none' ? sum : relu(sum);
    }
    if (layer.kind === 'batch-norm') return normalise(x, layer);
    return compute(layer, x, tensor, mode.training);
  };
  const normalise = (x: Tensor, layer: BatchNormLayer): Tensor => {
    const { name, epsilon = BATCH_NORM_EPSILON } = layer;
    const scale = tensor(`${name}.weight`);
    const offset = tensor(`${name}.bias`);
    if (mode.training && mode.isFrozen?.(name) !== true) {
      const { y, mean, variance } = batchNormTraining(x, scale, offset, epsilon);
      statistics.push(mean, variance);
      return y;
    }
    const mean = tensor(`${name}.running_mean`);
    return batchNormInference(x, scale, offset, mean, tensor(`${name}.running_var`), epsilon);
  };
  return { logits: apply(architecture.layers, images), statistics };
}

function compute(
  layer: Exclude<PlainLayer, BatchNormLayer>,
  x: Tensor,
  tensor: (name: string) => Tensor,
  training: boolean,
): Tensor {
  switch (layer.kind) {
    case 'conv2d':
    case 'depthwise-conv2d': {
      const convolve = layer.kind === 'conv2d' ? conv2d : depthwiseConv2d;
      const { name, stride = 1, padding } = layer;
      const y = convolve(x, tensor(`${name}.weight`), { stride, padding });
      return layer.bias ? biasAdd(y, tensor(`${name}.bias`)) : y;
    }
    case 'relu':
      return relu(x);
    case 'relu6':
      return relu6(x);
    case 'max-pool':
      return maxPool(x, { padding: 0, ...layer });
    case 'average-pool':
      return averagePool(x, { padding: 0, ...layer });
    case 'global-average-pool':
      return globalAveragePool(x);
    case 'flatten':
      return tf.reshape(x, [x.shape[0] as number, x.size / (x.shape[0] as number)]);
    case 'dropout':
      return training ? dropout(x, layer.rate) : x;
    case 'linear': {
      const product = tf.matMul(x as tf.Tensor2D, tensor(`${layer.name}.weight`) as tf.Tensor2D);
      return biasAdd(product, tensor(`${layer.name}.bias`));
    }
  }
}
