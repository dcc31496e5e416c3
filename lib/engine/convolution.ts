/** Convolutions by TensorFlow's kernels, and their gradients. */
import { attributeOf, shapeTensor, type Window, windowAttributes } from './op-attributes.ts';
import { backend, type OpAttribute, type Tensor, tf } from './tf.ts';

/**
 * Cross-correlation, Conv2D.
 * @param x [batch, height, width, in]
 * @param filter [height, width, in, out]
 */
export function conv2d(x: Tensor, filter: Tensor, window: Window): Tensor {
  const [batch, height, width] = x.shape as [number, number, number, number];
  const [rows, columns] = planSides(x, filter, window);
  const live = withoutDeadTaps(filter, rows, columns);
  const coversAll = [rows, columns].every(({ places, before, after }) => places === 1 && before === 0 && after === 0);
  const filters = filter.shape[3] as number;
  if (coversAll && rows.taps === height && columns.taps === width) {
    const flat = tf.reshape(x, [batch, x.size / batch]) as tf.Tensor2D;
    const product = tf.matMul(flat, tf.reshape(live, [live.size / filters, filters]) as tf.Tensor2D);
    return tf.reshape(product, [batch, 1, 1, filters]);
  }
  const { input, attributes } = padded(x, rows, columns, window.stride);
  const onGpu = attributeOf('use_cudnn_on_gpu', backend().binding.TF_ATTR_BOOL, true);
  return convolve('Conv2D', 'Conv2DBackprop', input, live, [...attributes, onGpu]);
}

/**
 * One filter per channel, DepthwiseConv2dNative.
 * @param x [batch, height, width, channels]
 * @param filter [height, width, channels, 1]
 */
export function depthwiseConv2d(x: Tensor, filter: Tensor, window: Window): Tensor {
  const name = 'DepthwiseConv2dNative';
  const [rows, columns] = planSides(x, filter, window);
  const { input, attributes } = padded(x, rows, columns, window.stride);
  return convolve(name, `${name}Backprop`, input, withoutDeadTaps(filter, rows, columns), attributes);
}

/** A convolution along height or width. */
interface Side {
  readonly length: number;
  /** Outputs. */
  readonly places: number;
  /** Zeros that are needed at either end. */
  readonly before: number;
  readonly after: number;
  /** The filter's taps that ever meet the image: the others meet padding at every place, so they add nothing. */
  readonly firstTap: number;
  readonly taps: number;
}

function planSides(x: Tensor, filter: Tensor, window: Window): [Side, Side] {
  const [, height, width] = x.shape as [number, number, number, number];
  const [rows, columns] = filter.shape as [number, number];
  return [planSide(height, rows, window), planSide(width, columns, window)];
}

function planSide(length: number, kernel: number, { stride, padding }: Window): Side {
  const isSame = padding === 'same';
  const places = isSame ? Math.ceil(length / stride) : Math.floor((length + 2 * padding - kernel) / stride) + 1;
  const before = isSame ? samePadding(length, kernel, stride).before : padding;
  const firstTap = Math.max(0, before - (places - 1) * stride);
  const taps = Math.min(kernel, length + before) - firstTap;
  // Zeros that no window reaches are left out.
  const after = Math.max(0, (places - 1) * stride + taps - length - (before - firstTap));
  return { length, places, before: before - firstTap, after, firstTap, taps };
}

/** TensorFlow's rule for SAME: as few zeros as ceil(length / stride) places need, an odd one at the end. */
function samePadding(length: number, kernel: number, stride: number): { before: number; after: number } {
  const zeros = Math.max(0, (Math.ceil(length / stride) - 1) * stride + kernel - length);
  const before = Math.floor(zeros / 2);
  return { before, after: zeros - before };
}

function withoutDeadTaps(filter: Tensor, rows: Side, columns: Side): Tensor {
  const [height, width, channels, filters] = filter.shape as [number, number, number, number];
  if (rows.taps === height && columns.taps === width) return filter;
  return tf.slice(filter, [rows.firstTap, columns.firstTap, 0, 0], [rows.taps, columns.taps, channels, filters]);
}

/**
 * The input with the zeros that its kernel does not add. Kernels pad by themselves where TensorFlow calls it SAME. Explicit
 * padding they know as well, but slowly: TensorFlow 2.21 leaves its gradients to kernels that are up to three times slower
 * than oneDNN's, and a depthwise one with a bias, which it fuses, ends the process (its shape function refuses EXPLICIT).
 */
function padded(x: Tensor, rows: Side, columns: Side, stride: number): { input: Tensor; attributes: OpAttribute[] } {
  const dilations = attributeOf('dilations', backend().binding.TF_ATTR_INT, [1, 1, 1, 1]);
  const isSame = [rows, columns].every(({ length, taps, before, after, places }) => {
    const same = samePadding(length, taps, stride);
    return places === Math.ceil(length / stride) && before === same.before && after === same.after;
  });
  const isPadded = [rows, columns].some(({ before, after }) => before > 0 || after > 0);
  const attributes = [...windowAttributes({ stride, padding: isPadded && isSame ? 'same' : 0 }), dilations];
  if (isSame || !isPadded) return { input: x, attributes };
  const around = ({ before, after }: Side): [number, number] => [before, after];
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
