/** Attributes of TensorFlow's operations, as the binding takes them. */
import { backend, type OpAttribute, type Tensor, type TypeNumbers, tf } from './tf.ts';

export const attributeOf = (name: string, type: number, value: unknown): OpAttribute => ({ name, type, value });

export function floatType(binding: TypeNumbers): OpAttribute {
  return attributeOf('T', binding.TF_ATTR_TYPE, binding.TF_FLOAT);
}

export function channelsLast(binding: TypeNumbers): OpAttribute {
  return attributeOf('data_format', binding.TF_ATTR_STRING, 'NHWC');
}

/** A shape as the int32 vector that gradient kernels take. */
export function shapeTensor(shape: readonly number[]): Tensor {
  return tf.tensor1d([...shape], 'int32');
}

/** Where a window goes over height and width. */
export interface Window {
  readonly stride: number;
  /** Zeros on each side, or TensorFlow's `SAME`. */
  readonly padding: number | 'same';
}

/** Strides and padding of a convolution or a pool. */
export function windowAttributes({ stride, padding }: Window): OpAttribute[] {
  const { binding } = backend();
  const isExplicit = padding !== 'same' && padding > 0;
  const kind = padding === 'same' ? 'SAME' : isExplicit ? 'EXPLICIT' : 'VALID';
  const around = isExplicit ? [0, 0, padding, padding, padding, padding, 0, 0] : [];
  return [
    floatType(binding),
    attributeOf('strides', binding.TF_ATTR_INT, [1, stride, stride, 1]),
    attributeOf('padding', binding.TF_ATTR_STRING, kind),
    attributeOf('explicit_paddings', binding.TF_ATTR_INT, around),
    channelsLast(binding),
  ];
}
