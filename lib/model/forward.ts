/** Computes an architecture's layers with TensorFlow. */
import { invariant } from '../base/errors.ts';
import { batchNormInference, batchNormTraining, biasAdd, relu } from '../engine/kernels.ts';
import { type Tensor, tf } from '../engine/tf.ts';
import { BATCH_NORM_EPSILON, type Conv2dLayer, type Layer } from './layers.ts';
import type { ModelSpec } from './parameters.ts';

export interface ForwardResult {
  /** [batch, classes] */
  readonly logits: Tensor;
  /**
   * The batch's own mean and variance per batch norm layer, in the order of `ModelSpec.statistics`; empty at inference.
   * They are kept out of any tidy: the caller disposes of them.
   */
  readonly statistics: readonly Tensor[];
}

/** @param tensors parameters by name, and moving statistics when `training` is false; memory layout */
export function forward(
  model: ModelSpec,
  tensors: ReadonlyMap<string, Tensor>,
  images: Tensor,
  training: boolean,
): ForwardResult {
  const statistics: Tensor[] = [];
  const tensor = (name: string): Tensor => {
    const found = tensors.get(name);
    invariant(found !== undefined, `the model's tensor ${name} is at hand`);
    return found;
  };
  const apply = (layers: readonly Layer[], input: Tensor): Tensor => layers.reduce(applyLayer, input);
  const applyLayer = (x: Tensor, layer: Layer): Tensor => {
    switch (layer.kind) {
      case 'conv2d': {
        const y = convolve(layer, x, tensor(`${layer.name}.weight`));
        return layer.bias ? biasAdd(y, tensor(`${layer.name}.bias`)) : y;
      }
      case 'batch-norm': {
        const scale = tensor(`${layer.name}.weight`);
        const offset = tensor(`${layer.name}.bias`);
        if (training) {
          const { y, mean, variance } = batchNormTraining(x, scale, offset, BATCH_NORM_EPSILON);
          statistics.push(mean, variance);
          return y;
        }
        const mean = tensor(`${layer.name}.running_mean`);
        return batchNormInference(x, scale, offset, mean, tensor(`${layer.name}.running_var`), BATCH_NORM_EPSILON);
      }
      case 'relu':
        return relu(x);
      case 'max-pool':
        return tf.maxPool(x as tf.Tensor4D, layer.size, layer.stride, 'valid');
      case 'global-average-pool':
        return tf.mean(x, [1, 2]);
      case 'flatten':
        return tf.reshape(x, [x.shape[0] as number, x.size / (x.shape[0] as number)]);
      case 'linear':
        return biasAdd(
          tf.matMul(x as tf.Tensor2D, tensor(`${layer.name}.weight`) as tf.Tensor2D),
          tensor(`${layer.name}.bias`),
        );
      case 'residual':
        return relu(tf.add(apply(layer.main, x), apply(layer.shortcut, x)));
    }
  };
  return { logits: apply(model.architecture.layers, images), statistics };
}

/** TensorFlow's `same` pads as PyTorch does only at stride 1; elsewhere the zeros are added first. */
function convolve(layer: Conv2dLayer, x: Tensor, kernel: Tensor): Tensor {
  const stride = layer.stride ?? 1;
  const { padding } = layer;
  const filter = kernel as tf.Tensor4D;
  if (stride === 1 && 2 * padding === layer.kernel - 1) return tf.conv2d(x as tf.Tensor4D, filter, 1, 'same');
  const around: [number, number] = [padding, padding];
  const padded = padding === 0 ? x : tf.pad(x, [[0, 0], around, around, [0, 0]]);
  return tf.conv2d(padded as tf.Tensor4D, filter, stride, 'valid');
}
