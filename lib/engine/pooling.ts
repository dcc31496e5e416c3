/** Pools by TensorFlow's kernels, with their gradients. All take [batch, height, width, channels]. */
import { attributeOf, floatType, shapeTensor, windowAttributes } from './op-attributes.ts';
import { backend, type OpAttribute, type Tensor, tf } from './tf.ts';

export interface Pool {
  /** Of the square window. */
  readonly size: number;
  readonly stride: number;
  /** Places added on each side. */
  readonly padding: number;
}

function poolAttributes({ size, stride, padding }: Pool): OpAttribute[] {
  const { binding } = backend();
  return [...windowAttributes({ stride, padding }), attributeOf('ksize', binding.TF_ATTR_INT, [1, size, size, 1])];
}

/** Largest value of each window; padded places never win. */
export function maxPool(x: Tensor, pool: Pool): Tensor {
  const attributes = poolAttributes(pool);
  const compute = tf.customGrad((...args: unknown[]) => {
    const [input, save] = args as [Tensor, (saved: Tensor[]) => void];
    const y = backend().executeSingleOutput('MaxPool', attributes, [input]);
    save([input, y]);
    return {
      value: y,
      gradFunc: (dy: Tensor, saved: Tensor[]) =>
        backend().executeSingleOutput('MaxPoolGrad', attributes, [...saved, dy]),
    };
  }) as (x: Tensor) => Tensor;
  return compute(x);
}

/** Mean of each window; padded places count as zeros. */
export function averagePool(x: Tensor, pool: Pool): Tensor {
  // The kernel leaves places that it pads itself out of the mean.
  const attributes = poolAttributes({ ...pool, padding: 0 }).filter(({ name }) => name !== 'explicit_paddings');
  const compute = tf.customGrad((...args: unknown[]) => {
    const [input] = args as [Tensor];
    return {
      value: backend().executeSingleOutput('AvgPool', attributes, [input]),
      gradFunc: (dy: Tensor) =>
        backend().executeSingleOutput('AvgPoolGrad', attributes, [shapeTensor(input.shape), dy]),
    };
  }) as (x: Tensor) => Tensor;
  const around: [number, number] = [pool.padding, pool.padding];
  return compute(pool.padding === 0 ? x : tf.pad(x, [[0, 0], around, around, [0, 0]]));
}

/** Mean over height and width, [batch, channels]. */
export const globalAveragePool: (x: Tensor) => Tensor = tf.customGrad((...args: unknown[]) => {
  const [x] = args as [Tensor];
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  return {
    value: tf.mean(x, [1, 2]),
    gradFunc: (dy: Tensor) => {
      const engine = backend();
      const { binding } = engine;
      const share = tf.reshape(tf.div(dy, height * width), [batch, 1, 1, channels]);
      const indexType = attributeOf('Tidx', binding.TF_ATTR_TYPE, binding.TF_INT32);
      return engine.executeSingleOutput('BroadcastTo', [floatType(binding), indexType], [share, shapeTensor(x.shape)]);
    },
  };
}) as (x: Tensor) => Tensor;
