import test from 'ava';
import { GraphDefinition } from '../../../lib/engine/graph-definition.ts';
import { dropout, randomUniform, withRandomKey } from '../../../lib/engine/random.ts';
import { Session } from '../../../lib/engine/session.ts';
import { backend, type Tensor, tf } from '../../../lib/engine/tf.ts';
import { traceInto } from '../../../lib/engine/trace.ts';

const keyOf = (first: number, second: number) => tf.tensor1d([first, second], 'int32');
const draw = (key: Tensor, count: number) =>
  withRandomKey(key, () => randomUniform([count])).dataSync() as Float32Array;

test('numbers are a function of the key and of the draw', (t) => {
  const same = [draw(keyOf(3, 4), 8), draw(keyOf(3, 4), 8)];
  t.deepEqual(same[0], same[1]);
  t.notDeepEqual(draw(keyOf(3, 5), 8), same[0]);
  t.notDeepEqual(draw(keyOf(4, 4), 8), same[0]);
  const [first, second] = withRandomKey(keyOf(3, 4), () => [randomUniform([8]), randomUniform([8])]) as [
    Tensor,
    Tensor,
  ];
  t.deepEqual(first.dataSync(), same[0]);
  t.notDeepEqual(second.dataSync(), same[0]);
});

test('keys that count up do not meet the draws of their neighbours', (t) => {
  const seen = new Set<string>();
  for (let step = 0; step < 20; step++) {
    withRandomKey(keyOf(1, step), () => {
      for (let count = 0; count < 20; count++) seen.add(randomUniform([2]).dataSync().join());
    });
  }
  t.is(seen.size, 400);
});

test('numbers are uniform in [0, 1)', (t) => {
  const values = draw(keyOf(7, 1), 100_000);
  t.true(values.every((value) => value >= 0 && value < 1));
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const square = values.reduce((sum, value) => sum + value ** 2, 0) / values.length;
  // Four standard deviations of the mean of 100,000.
  t.true(Math.abs(mean - 1 / 2) < 4 * Math.sqrt(1 / 12 / values.length));
  t.true(Math.abs(square - 1 / 3) < 4 * Math.sqrt(4 / 45 / values.length));
});

test('a draw without a key is refused, also after a body that failed', (t) => {
  t.throws(() => randomUniform([2]), { message: /without a key/ });
  t.throws(() =>
    withRandomKey(keyOf(1, 1), () => {
      throw new Error('broken');
    }),
  );
  t.throws(() => randomUniform([2]), { message: /without a key/ });
});

test('dropout zeroes a share, keeps the expectation, and masks the gradient alike', (t) => {
  const x = tf.ones([200, 500]);
  const key = keyOf(5, 6);
  const y = withRandomKey(key, () => dropout(x, 0.3)).dataSync() as Float32Array;
  t.deepEqual([...new Set(y)].sort(), [0, Math.fround(1 / Math.fround(0.7))]);
  const mean = y.reduce((sum, value) => sum + value, 0) / y.length;
  t.true(Math.abs(mean - 1) < 4 * Math.sqrt(0.3 / 0.7 / y.length));
  const slope = withRandomKey(key, () => tf.grad((v: Tensor) => dropout(v, 0.3))(x)).dataSync();
  t.deepEqual(slope, y);
  t.is(dropout(x, 0), x);
});

test('a graph draws what eager execution draws, for other keys than the traced one too', (t) => {
  const graph = new GraphDefinition();
  const { TF_FLOAT, TF_INT32 } = backend().binding;
  const inputs = [
    { tensor: tf.ones([4, 6]), node: graph.placeholder('x', TF_FLOAT, [4, 6]) },
    { tensor: keyOf(0, 0), node: graph.placeholder('key', TF_INT32, [2]) },
  ] as const;
  const body = (x: Tensor, key: Tensor) => withRandomKey(key, () => dropout(dropout(x, 0.2), 0.5));
  const [output] = traceInto(graph, 'f', inputs, () => [body(inputs[0].tensor, inputs[1].tensor)]);
  const session = new Session(graph);
  const x = tf.randomNormal([4, 6], 0, 1, 'float32', 9);
  for (const key of [keyOf(0, 0), keyOf(8, -3), keyOf(2 ** 31 - 1, -(2 ** 31))]) {
    t.deepEqual(session.read({ x, key }, output as string), body(x, key).dataSync() as Float32Array);
  }
  session.close();
});
