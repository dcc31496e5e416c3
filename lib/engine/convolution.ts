/** Convolutions by TensorFlow's kernels, and their gradients. */
import { attributeOf, shapeTensor, type Window, windowAttributes } from './op-attributes.ts';
import { backend, type OpAttribute, type Tensor, tf } from './tf.ts';

/**
 * Cross-correlation, Conv2D.
 * @param x [batch, height, width, in]
 * @param filter [height, width, in, out]
 */
export function conv2d(x: Tensor, filter: Tensor, window: Window): Tensor {
  const { binding } = backend();
  const { input, attributes } = padded(x, filter, window);
  const onGpu = attributeOf('use_cudnn_on_gpu', binding.TF_ATTR_BOOL, true);
  return convolve('Conv2D', 'Conv2DBackprop', input, filter, [...attributes, onGpu]);
}

/**
 * One filter per channel, DepthwiseConv2dNative.
 * @param x [batch, height, width, channels]
 * @param filter [height, width, channels, 1]
 */
export function depthwiseConv2d(x: Tensor, filter: Tensor, window: Window): Tensor {
  const name = 'DepthwiseConv2dNative';
  const { input, attributes } = padded(x, filter, window);
  return convolve(name, `${name}Backprop`, input, filter, attributes);
}

/**
 * The input with the zeros that its kernel does not add. Kernels pad by themselves where TensorFlow calls it SAME. Explicit
 * padding they know as well, but slowly: TensorFlow 2.21 leaves its gradients to kernels that are up to three times slower
 * than oneDNN's, and a depthwise one with a bias, which it fuses, ends the process (its shape function refuses EXPLICIT).
 */
function padded(x: Tensor, filter: Tensor, { stride, padding }: Window): { input: Tensor; attributes: OpAttribute[] } {
  const dilations = attributeOf('dilations', backend().binding.TF_ATTR_INT, [1, 1, 1, 1]);
  const [kernel, width] = filter.shape as [number, number];
  const isSame = padding === 'same' || (stride === 1 && 2 * padding === kernel - 1 && kernel === width);
  const attributes = [...windowAttributes({ stride, padding: isSame ? 'same' : 0 }), dilations];
  if (isSame || padding === 0) return { input: x, attributes };
  const around = (side: number): [number, number] => {
    const places = Math.floor((side + 2 * padding - kernel) / stride) + 1;
    // Zeros that no window reaches are left out.
    return [padding, Math.max(0, (places - 1) * stride + kernel - side - padding)];
  };
  const [, rows, columns] = x.shape as [number, number, number, number];
  return { input: tf.pad(x as tf.Tensor4D, [[0, 0], around(rows), around(columns), [0, 0]]), attributes };
}

function convolve(op: string, backprop: string, x: Tensor, filter: Tensor, attributes: OpAttribute[]): Tensor {
  const compute = tf.customGrad((...args: unknown[]) => {
    const [input, kernel, save] = args as [Tensor, Tensor, (saved: Tensor[]) => void];
    save([input, kernel]);
    return {
      value: backend().executeSingleOutput(op, attributes, [input, kernel]),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [image, weights] = saved as [Tensor, Tensor];
        const engine = backend();
        return [
          engine.executeSingleOutput(`${backprop}Input`, attributes, [shapeTensor(image.shape), weights, dy]),
          engine.executeSingleOutput(`${backprop}Filter`, attributes, [image, shapeTensor(weights.shape), dy]),
        ];
      },
    };
  }) as (x: Tensor, filter: Tensor) => Tensor;
  return compute(x, filter);
}
