/** The operations of TensorFlow that our kernels are made of, computed by plain TensorFlow.js on the CPU. */
import tf from '@tensorflow/tfjs';
import { invariant } from '../../base/errors.ts';
import type { Backend, OpAttribute, Tensor, TypeNumbers } from '../tf.ts';
import { convolutionPlan, depthwiseFilterGradient, filterGradient } from './filter-gradients.ts';
import { normalise, normaliseGradient } from './normalisation.ts';
import { statelessUniform } from './philox.ts';

/** TensorFlow's own (tensorflow/core/framework/types.proto, tensorflow/c/tf_attrtype.h): graphs are written with them. */
const TYPE_NUMBERS: TypeNumbers = {
  TF_FLOAT: 1,
  TF_INT32: 3,
  TF_INT64: 9,
  TF_BOOL: 10,
  TF_ATTR_STRING: 0,
  TF_ATTR_INT: 1,
  TF_ATTR_FLOAT: 2,
  TF_ATTR_BOOL: 3,
  TF_ATTR_TYPE: 4,
  TF_ATTR_SHAPE: 5,
};

/** Makes tfjs's CPU backend the one that computes. */
export function createPlainBackend(): Backend {
  void tf.setBackend('cpu');
  invariant(tf.getBackend() === 'cpu', 'the CPU backend of TensorFlow.js is ready at once');
  // With its first tensor it would advise users of Node.js to install another package.
  (tf.backend() as unknown as { firstUse: boolean }).firstUse = false;
  const execute = (op: string, attributes: readonly OpAttribute[], inputs: readonly Tensor[]): Tensor[] => {
    const kernel = KERNELS[op];
    invariant(kernel !== undefined, `the plain engine has the operation ${op}`);
    const values = new Map(attributes.map(({ name, value }) => [name, value]));
    return tf.tidy(() => kernel((name) => values.get(name), ...inputs));
  };
  return {
    binding: TYPE_NUMBERS,
    executeSingleOutput: (op, attributes, inputs) => execute(op, attributes, inputs)[0] as Tensor,
    executeMultipleOutputs: execute,
  };
}

/** An attribute's value by its name. */
type Attributes = (name: string) => unknown;
/** Outputs that nothing of ours looks at are left out at the end. */
type Kernel = (attributes: Attributes, ...inputs: Tensor[]) => Tensor[];

const KERNELS: Readonly<Record<string, Kernel>> = {
  AvgPool: (attributes, x) => run('AvgPool', { x }, poolOf(attributes)),
  AvgPoolGrad: (attributes, shape, dy) =>
    run('AvgPoolGrad', { dy, input: tf.zeros(valuesOf(shape)) }, poolOf(attributes)),
  BiasAdd: (_, x, bias) => [tf.add(x, bias)],
  BiasAddGrad: (_, dy) => [tf.sum(tf.reshape(dy, [-1, dy.shape.at(-1) as number]), 0)],
  BroadcastTo: (_, x, shape) => [tf.broadcastTo(x, valuesOf(shape))],
  Conv2D: (attributes, x, filter) => run('Conv2D', { x, filter }, windowOf(attributes)),
  Conv2DBackpropFilter: (attributes, x, shape, dy) => [
    filterGradient(x, dy, convolutionPlan(x.shape, valuesOf(shape), windowOf(attributes))),
  ],
  Conv2DBackpropInput: (attributes, shape, filter, dy) =>
    run('Conv2DBackpropInput', { dy, filter }, { ...windowOf(attributes), inputShape: valuesOf(shape) }),
  DepthwiseConv2dNative: (attributes, x, filter) => run('DepthwiseConv2dNative', { x, filter }, windowOf(attributes)),
  DepthwiseConv2dNativeBackpropFilter: (attributes, x, shape, dy) => [
    depthwiseFilterGradient(x, dy, convolutionPlan(x.shape, valuesOf(shape), windowOf(attributes))),
  ],
  DepthwiseConv2dNativeBackpropInput: (attributes, shape, filter, dy) =>
    run(
      'DepthwiseConv2dNativeBackpropInput',
      { dy, filter },
      {
        ...windowOf(attributes),
        inputShape: valuesOf(shape),
      },
    ),
  FusedBatchNormV3: (attributes, x, scale, offset, mean, variance) => {
    const given = attributes('is_training') === true ? null : { mean, variance };
    return normalise(x, scale, offset, given, attributes('epsilon') as number);
  },
  FusedBatchNormGradV3: (attributes, dy, x, scale, mean, variance) =>
    normaliseGradient(
      dy,
      x,
      scale,
      { mean, variance },
      {
        epsilon: attributes('epsilon') as number,
        ofBatch: attributes('is_training') === true,
      },
    ),
  MaxPool: (attributes, x) => run('MaxPool', { x }, poolOf(attributes)),
  MaxPoolGrad: (attributes, input, output, dy) => run('MaxPoolGrad', { dy, input, output }, poolOf(attributes)),
  Relu: (_, x) => [tf.relu(x)],
  ReluGrad: (_, dy, y) => [tf.where(tf.greater(y, 0), dy, 0)],
  Relu6: (_, x) => [tf.relu6(x)],
  Relu6Grad: (_, dy, y) => [tf.where(tf.logicalAnd(tf.greater(y, 0), tf.less(y, 6)), dy, 0)],
  SoftmaxCrossEntropyWithLogits: (_, logits, probabilities) => [
    tf.neg(tf.sum(tf.mul(probabilities, tf.logSoftmax(logits)), 1)),
    tf.sub(tf.softmax(logits), probabilities),
  ],
  StatelessRandomUniform: (_, shape, seed) => {
    const sizes = valuesOf(shape);
    return [tf.tensor(statelessUniform(valuesOf(seed) as [number, number], tf.util.sizeFromShape(sizes)), sizes)];
  },
};

/** A kernel of tfjs by its name: what a gradient is made of has no function. */
function run(
  name: string,
  inputs: Readonly<Record<string, Tensor>>,
  attributes: Readonly<Record<string, unknown>>,
): Tensor[] {
  return [tf.engine().runKernel(name, { ...inputs }, { ...attributes } as tf.NamedAttrMap) as Tensor];
}

function valuesOf(vector: Tensor): number[] {
  return [...(vector.dataSync() as Int32Array)];
}

/** As tfjs's convolutions take it. */
function windowOf(attributes: Attributes) {
  const strides = (attributes('strides') as number[]).slice(1, 3) as [number, number];
  const pad = (attributes('padding') as string).toLowerCase() as 'same' | 'valid' | 'explicit';
  return { strides, pad, dataFormat: 'NHWC', dilations: 1, dimRoundingMode: undefined };
}

/** As tfjs's pools take it: one number for the padding of all sides. */
function poolOf(attributes: Attributes) {
  const { strides, pad, dimRoundingMode } = windowOf(attributes);
  const filterSize = (attributes('ksize') as number[]).slice(1, 3);
  const around = pad === 'explicit' ? (attributes('explicit_paddings') as number[])[2] : pad;
  return { filterSize, strides, pad: around, dimRoundingMode };
}
