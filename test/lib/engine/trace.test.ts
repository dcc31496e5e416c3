import test from 'ava';
import { attribute, GraphDefinition } from '../../../lib/engine/graph-definition.ts';
import { batchNormInference, batchNormTraining, relu, softmaxCrossEntropy } from '../../../lib/engine/kernels.ts';
import { Session } from '../../../lib/engine/session.ts';
import { backend, nativeBackend, type Tensor, tf } from '../../../lib/engine/tf.ts';
import { traceInto } from '../../../lib/engine/trace.ts';

function compile(compute: (x: Tensor) => Tensor, shape: number[]) {
  const graph = new GraphDefinition();
  const x = tf.zeros(shape);
  const node = graph.placeholder('x', backend().binding.TF_FLOAT, shape);
  const [output] = traceInto(graph, 'f', [{ tensor: x, node }], () => [compute(x)]);
  x.dispose();
  const session = new Session(graph);
  return { run: (input: Tensor) => session.read({ x: input }, output as string), close: () => session.close() };
}

test('a traced function computes for other inputs what it computes eagerly', (t) => {
  const f = (x: Tensor) => tf.add(tf.mul(relu(x), 2), tf.sum(tf.square(x), 1, true));
  const compiled = compile(f, [3, 4]);
  for (let round = 0; round < 3; round++) {
    const x = tf.randomNormal([3, 4], 0, 1, 'float32', round + 1);
    t.deepEqual([...compiled.run(x)], [...tf.tidy(() => f(x)).dataSync()]);
  }
  compiled.close();
});

test('a value that is read back is refused: the graph would repeat it', (t) => {
  const readsBack = (x: Tensor) => tf.mul(x, (tf.sum(x).dataSync()[0] as number) > 0 ? 2 : 3);
  t.throws(() => compile(readsBack, [2]), { message: /cannot compile f: it reads a tensor's value/ });
});

test('a tensor from outside is refused: the graph would hold its present value', (t) => {
  const outside = tf.exp(tf.ones([2]));
  t.throws(() => compile((x) => tf.add(x, outside), [2]), { message: /neither one of its inputs/ });
  t.is(nativeBackend().binding.isUsingGpuDevice(), false);
});

test('after a refusal eager execution goes on as before', (t) => {
  t.throws(() => compile((x) => tf.tensor1d([...x.dataSync()]), [2]));
  t.deepEqual([...tf.add(tf.ones([2]), 1).dataSync()], [2, 2]);
});

test('a node name is taken once', (t) => {
  const graph = new GraphDefinition();
  graph.float('a', [1], []);
  t.throws(() => graph.add('a', 'Identity', ['a'], { T: attribute.type(1) }), { message: /exists already/ });
});

test('gradients of the kernels agree with their definitions', (t) => {
  const x = tf.tensor2d([
    [-1, 2, 0.5],
    [3, -0.1, 0],
  ]);
  t.deepEqual(
    [
      ...tf
        .grad((v: Tensor) => tf.sum(relu(v)))(x)
        .dataSync(),
    ],
    [0, 1, 1, 1, 0, 0],
  );
  const p = tf.tensor2d([
    [1, 0, 0],
    [0.2, 0.3, 0.5],
  ]);
  const slope = tf.grad((z: Tensor) => tf.sum(softmaxCrossEntropy(z, p)))(x);
  const expected = tf.sub(tf.softmax(x), p);
  t.true((tf.max(tf.abs(tf.sub(slope, expected))).dataSync()[0] as number) < 1e-6);
});

test('batch norm normalises by the batch and reports the unbiased variance', (t) => {
  const x = tf.randomNormal([6, 2, 2, 3], 5, 2, 'float32', 4);
  const scale = tf.tensor1d([1, 2, 3]);
  const offset = tf.tensor1d([0, 1, -1]);
  const { y, mean, variance } = batchNormTraining(x, scale, offset, 1e-5);
  const moments = tf.moments(x, [0, 1, 2]);
  const near = (a: Tensor, b: Tensor) => t.true((tf.max(tf.abs(tf.sub(a, b))).dataSync()[0] as number) < 1e-4);
  near(mean, moments.mean);
  near(variance, tf.mul(moments.variance, 24 / 23));
  near(y, batchNormInference(x, scale, offset, moments.mean, moments.variance, 1e-5));
});
