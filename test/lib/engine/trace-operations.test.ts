import test from 'ava';
import { GraphDefinition } from '../../../lib/engine/graph-definition.ts';
import { Session } from '../../../lib/engine/session.ts';
import { backend, type Tensor, tf } from '../../../lib/engine/tf.ts';
import { traceInto } from '../../../lib/engine/trace.ts';

type Compute = (x: Tensor) => Tensor;

/** What losses and layers of users are made of. Inputs are positive, [6, 4]. */
const OPERATIONS: Readonly<Record<string, Compute>> = {
  abs: (x) => tf.abs(tf.sub(x, 1)),
  argMax: (x) => tf.cast(tf.argMax(x, 1), 'float32'),
  batchNorm: (x) => tf.batchNorm(x as tf.Tensor2D, tf.ones([4]), tf.ones([4]), tf.ones([4]), tf.ones([4])),
  cast: (x) => tf.cast(tf.greater(x, 1), 'float32'),
  clipByValue: (x) => tf.clipByValue(x, 0.5, 1.5),
  concat: (x) => tf.concat([x, tf.neg(x)], 1),
  conv1d: (x) => tf.conv1d(tf.expandDims(x, 0) as tf.Tensor3D, tf.ones([2, 4, 3]) as tf.Tensor3D, 1, 'same'),
  cos: (x) => tf.cos(x),
  cumsum: (x) => tf.cumsum(x, 1),
  div: (x) => tf.div(1, x),
  dot: (x) => tf.dot(x as tf.Tensor2D, tf.transpose(x) as tf.Tensor2D),
  elu: (x) => tf.elu(tf.sub(x, 1)),
  erf: (x) => tf.erf(x),
  exp: (x) => tf.exp(x),
  expandDims: (x) => tf.expandDims(x, 1),
  gather: (x) => tf.gather(x, tf.tensor1d([2, 0, 1], 'int32'), 1),
  leakyRelu: (x) => tf.leakyRelu(tf.sub(x, 1)),
  log: (x) => tf.log(x),
  log1p: (x) => tf.log1p(x),
  logSoftmax: (x) => tf.logSoftmax(x),
  logSumExp: (x) => tf.logSumExp(x, 1),
  logicalAnd: (x) => tf.cast(tf.logicalAnd(tf.greater(x, 0.5), tf.less(x, 1.5)), 'float32'),
  matMul: (x) => tf.matMul(x as tf.Tensor2D, x as tf.Tensor2D, false, true),
  max: (x) => tf.max(x, 1),
  maximum: (x) => tf.maximum(x, 1),
  mean: (x) => tf.mean(x, 0),
  min: (x) => tf.min(x, 1),
  minimum: (x) => tf.minimum(x, 1),
  moments: (x) => tf.moments(x, 0).variance,
  norm: (x) => tf.norm(x, 'euclidean', 1),
  oneHot: (x) => tf.cast(tf.oneHot(tf.argMax(x, 1) as tf.Tensor1D, 4), 'float32'),
  pad: (x) =>
    tf.pad(x as tf.Tensor2D, [
      [1, 0],
      [0, 2],
    ]),
  pow: (x) => tf.pow(x, 1.5),
  prod: (x) => tf.prod(x, 1),
  reshape: (x) => tf.reshape(x, [4, 6]),
  reverse: (x) => tf.reverse(x, 1),
  rsqrt: (x) => tf.rsqrt(x),
  selu: (x) => tf.selu(tf.sub(x, 1)),
  sigmoid: (x) => tf.sigmoid(x),
  sin: (x) => tf.sin(x),
  slice: (x) => tf.slice(x, [1, 1], [3, 2]),
  softmax: (x) => tf.softmax(x),
  softplus: (x) => tf.softplus(x),
  split: (x) => tf.addN(tf.split(x, 2, 1)),
  sqrt: (x) => tf.sqrt(x),
  square: (x) => tf.square(x),
  squaredDifference: (x) => tf.squaredDifference(x, 1),
  squeeze: (x) => tf.squeeze(tf.reshape(x, [6, 1, 4])),
  stack: (x) => tf.stack([x, x], 1),
  sum: (x) => tf.sum(x, 1, true),
  tanh: (x) => tf.tanh(x),
  tile: (x) => tf.tile(x, [1, 2]),
  topk: (x) => tf.topk(x, 2).values,
  transpose: (x) => tf.transpose(x),
  unstack: (x) => tf.addN(tf.unstack(x, 1)),
  where: (x) => tf.where(tf.greater(x, 1), x, tf.zerosLike(x)),
};

/** tfjs defines no gradient for these. */
const WITHOUT_GRADIENT = new Set(['argMax', 'cast', 'logicalAnd', 'oneHot', 'reverse', 'topk', 'where']);

for (const [name, compute] of Object.entries(OPERATIONS)) {
  test(`tf.${name} and its gradient compute in a graph what they compute eagerly`, (t) => {
    const gradient = (x: Tensor) => tf.grad((v: Tensor) => tf.sum(tf.square(compute(v))))(x);
    const both = (x: Tensor) => (WITHOUT_GRADIENT.has(name) ? [compute(x)] : [compute(x), gradient(x)]);
    const graph = new GraphDefinition();
    const example = tf.randomUniform([6, 4], 0.1, 2, 'float32', 1);
    const node = graph.placeholder('x', backend().binding.TF_FLOAT, [6, 4]);
    const outputs = traceInto(graph, 'f', [{ tensor: example, node }], () => both(example));
    const session = new Session(graph);
    const x = tf.randomUniform([6, 4], 0.1, 2, 'float32', 2);
    for (const [index, expected] of tf.tidy(() => both(x)).entries()) {
      const got = session.read({ x }, outputs[index] as string);
      const wanted = expected.dataSync();
      t.true(got.every((value, place) => Math.abs(value - (wanted[place] as number)) <= 1e-5 * (1 + Math.abs(value))));
      expected.dispose();
    }
    session.close();
    tf.dispose([example, x]);
  });
}
