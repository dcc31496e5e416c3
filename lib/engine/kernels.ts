/**
 * Operations for which TensorFlow has one kernel and tfjs several, with their gradients. They trace like everything else.
 */
import { attributeOf, channelsLast, floatType } from './op-attributes.ts';
import { backend, type OpAttribute, type Tensor, type TypeNumbers, tf } from './tf.ts';

function activation(op: string): (x: Tensor) => Tensor {
  return tf.customGrad((...args: unknown[]) => {
    const [x, save] = args as [Tensor, (saved: Tensor[]) => void];
    const engine = backend();
    const types = [floatType(engine.binding)];
    const y = engine.executeSingleOutput(op, types, [x]);
    save([y]);
    return {
      value: y,
      gradFunc: (dy: Tensor, saved: Tensor[]) =>
        backend().executeSingleOutput(`${op}Grad`, types, [dy, saved[0] as Tensor]),
    };
  }) as (x: Tensor) => Tensor;
}

/** max(x, 0) with the kernel ReluGrad. */
export const relu = activation('Relu');

/** min(max(x, 0), 6) with the kernel Relu6Grad. */
export const relu6 = activation('Relu6');

/** x + bias over the last axis, with the kernels BiasAdd and BiasAddGrad. */
export const biasAdd: (x: Tensor, bias: Tensor) => Tensor = tf.customGrad((...args: unknown[]) => {
  const [x, bias] = args as [Tensor, Tensor];
  const engine = backend();
  const attributes = [floatType(engine.binding), channelsLast(engine.binding)];
  return {
    value: engine.executeSingleOutput('BiasAdd', attributes, [x, bias]),
    gradFunc: (dy: Tensor) => [dy, backend().executeSingleOutput('BiasAddGrad', attributes, [dy])],
  };
}) as (x: Tensor, bias: Tensor) => Tensor;

export interface BatchNormResult {
  readonly y: Tensor;
  /** Mean over batch, height and width, [channels]. */
  readonly mean: Tensor;
  /** Variance over batch, height and width with Bessel's correction, [channels]. */
  readonly variance: Tensor;
}

function batchNormAttributes(binding: TypeNumbers, epsilon: number, training: boolean): OpAttribute[] {
  return [
    floatType(binding),
    attributeOf('U', binding.TF_ATTR_TYPE, binding.TF_FLOAT),
    attributeOf('epsilon', binding.TF_ATTR_FLOAT, epsilon),
    attributeOf('is_training', binding.TF_ATTR_BOOL, training),
    channelsLast(binding),
  ];
}

/**
 * Batch normalisation over the batch's own statistics (Ioffe and Szegedy 2015), by FusedBatchNormV3.
 * The gradient flows to x, scale and offset; the statistics leave beside the value and carry none.
 * @param x [batch, height, width, channels]
 */
export function batchNormTraining(x: Tensor, scale: Tensor, offset: Tensor, epsilon: number): BatchNormResult {
  const statistics: Tensor[] = [];
  const normalise = tf.customGrad((...args: unknown[]) => {
    const [input, gamma, beta, save] = args as [Tensor, Tensor, Tensor, (saved: Tensor[]) => void];
    const engine = backend();
    const attributes = batchNormAttributes(engine.binding, epsilon, true);
    const empty = tf.tensor1d([], 'float32');
    const outputs = engine.executeMultipleOutputs(
      'FusedBatchNormV3',
      attributes,
      [input, gamma, beta, empty, empty],
      6,
    );
    const [y, mean, variance, reserve1, reserve2, reserve3] = outputs as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    save([input, gamma, reserve1, reserve2, reserve3]);
    statistics.push(tf.keep(mean), tf.keep(variance));
    return {
      value: y,
      gradFunc: (dy: Tensor, saved: Tensor[]) =>
        backend()
          .executeMultipleOutputs('FusedBatchNormGradV3', attributes, [dy, ...saved], 5)
          .slice(0, 3),
    };
  }) as (x: Tensor, scale: Tensor, offset: Tensor) => Tensor;
  const y = normalise(x, scale, offset);
  const [mean, variance] = statistics as [Tensor, Tensor];
  return { y, mean, variance };
}

/**
 * Batch normalisation over given statistics, as a served model and a frozen layer do it. The gradient flows to x, scale and
 * offset.
 */
export function batchNormInference(
  x: Tensor,
  scale: Tensor,
  offset: Tensor,
  mean: Tensor,
  variance: Tensor,
  epsilon: number,
): Tensor {
  const attributes = batchNormAttributes(backend().binding, epsilon, false);
  const normalise = tf.customGrad((...args: unknown[]) => {
    const [input, gamma, beta, save] = args as [Tensor, Tensor, Tensor, (saved: Tensor[]) => void];
    const inputs = [input, gamma, beta, mean, variance];
    const [y, , , , , reserve3] = backend().executeMultipleOutputs('FusedBatchNormV3', attributes, inputs, 6);
    save([input, gamma, reserve3 as Tensor]);
    return {
      value: y as Tensor,
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [image, factor, reserve] = saved as [Tensor, Tensor, Tensor];
        return backend()
          .executeMultipleOutputs('FusedBatchNormGradV3', attributes, [dy, image, factor, mean, variance, reserve], 5)
          .slice(0, 3);
      },
    };
  }) as (x: Tensor, scale: Tensor, offset: Tensor) => Tensor;
  return normalise(x, scale, offset);
}

/**
 * Cross-entropy of softmax(logits) against given probabilities, [batch], by SoftmaxCrossEntropyWithLogits. The gradient
 * flows to the logits only.
 * @param logits [batch, classes]
 * @param probabilities [batch, classes], rows sum to 1
 */
export function softmaxCrossEntropy(logits: Tensor, probabilities: Tensor): Tensor {
  const compute = tf.customGrad((...args: unknown[]) => {
    const [z, save] = args as [Tensor, (saved: Tensor[]) => void];
    const engine = backend();
    const attributes = [floatType(engine.binding)];
    const [loss, slope] = engine.executeMultipleOutputs(
      'SoftmaxCrossEntropyWithLogits',
      attributes,
      [z, probabilities],
      2,
    ) as [Tensor, Tensor];
    save([slope]);
    return {
      value: loss,
      gradFunc: (dy: Tensor, saved: Tensor[]) => tf.mul(tf.reshape(dy, [dy.size, 1]), saved[0] as Tensor),
    };
  }) as (z: Tensor) => Tensor;
  return compute(logits);
}
