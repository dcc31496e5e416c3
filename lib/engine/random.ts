/**
 * Random tensors that are functions of a key: the same numbers whether executed eagerly or from a graph, on any run. The
 * generator is Philox 4x32-10 (Salmon et al. 2011), TensorFlow's StatelessRandomUniform.
 */
import { invariant, StillhouseError } from '../base/errors.ts';
import { attributeOf, shapeTensor } from './op-attributes.ts';
import { backend, type Tensor, tf } from './tf.ts';

interface Ambient {
  readonly key: Tensor;
  draws: number;
}

/** Odd, without a pattern: keys that count up by one do not meet the draws of their neighbours. */
const DRAW_STEPS = [0x9e3779b9 | 0, 0x85ebca6b | 0] as const;

let ambient: Ambient | undefined;

/**
 * Runs `body`; what it draws depends on the key and on the order of its draws alone.
 * @param key int32 [2]
 */
export function withRandomKey<T>(key: Tensor, body: () => T): T {
  invariant(key.dtype === 'int32' && key.shape.join() === '2', 'a random key is an int32 tensor of two numbers');
  const outer = ambient;
  ambient = { key, draws: 0 };
  try {
    return body();
  } finally {
    ambient = outer;
  }
}

/**
 * Uniform in [0, 1), float32; no gradient.
 * @throws FAILED_PRECONDITION outside `withRandomKey`
 */
export function randomUniform(shape: readonly number[]): Tensor {
  if (ambient === undefined) {
    throw new StillhouseError('FAILED_PRECONDITION', 'random numbers are drawn without a key', {
      hint: 'random layers and losses run in a training step, which provides the key',
    });
  }
  const draw = ambient.draws++;
  const engine = backend();
  const { binding } = engine;
  const steps = DRAW_STEPS.map((step) => Math.imul(step, draw));
  const seed = tf.add(ambient.key, tf.tensor1d(steps, 'int32'));
  return engine.executeSingleOutput(
    'StatelessRandomUniform',
    [
      attributeOf('dtype', binding.TF_ATTR_TYPE, binding.TF_FLOAT),
      attributeOf('T', binding.TF_ATTR_TYPE, binding.TF_INT32),
      attributeOf('Tseed', binding.TF_ATTR_TYPE, binding.TF_INT32),
    ],
    [shapeTensor(shape), seed],
  );
}

/**
 * Zeroes each value with probability `rate` and scales the others by 1/(1 - rate) (Srivastava et al. 2014, inverted).
 * @param rate in [0, 1)
 * @throws as `randomUniform`
 */
export function dropout(x: Tensor, rate: number): Tensor {
  if (rate === 0) return x;
  const kept = tf.cast(tf.greaterEqual(randomUniform(x.shape), rate), 'float32');
  return tf.mul(x, tf.mul(kept, 1 / (1 - rate)));
}
