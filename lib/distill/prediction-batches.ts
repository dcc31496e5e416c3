/** Any number of images through graphs of a few fixed sizes. */
import { withTensors } from '../engine/scope.ts';
import { type Tensor, tf } from '../engine/tf.ts';
import { imageShape, type ProgramSpec } from './step-spec.ts';

/**
 * @param images [count, height, width, channels] as they arrive
 * @param compute logits, [size, classes], of a batch that is filled up with zeros; the batch stays the caller's
 * @returns [count, classes]
 */
export function predictBatches(
  spec: ProgramSpec,
  images: Float32Array,
  count: number,
  compute: (size: number, batch: Tensor) => Float32Array,
): Float32Array {
  const { model, predictBatchSizes } = spec;
  const { height, width, channels } = imageShape(spec);
  const imageSize = height * width * channels;
  const logits = new Float32Array(count * model.classes);
  const largest = predictBatchSizes.at(-1) as number;
  for (let start = 0; start < count; start += largest) {
    const rows = Math.min(largest, count - start);
    const size = predictBatchSizes.find((candidate) => candidate >= rows) as number;
    const padded = new Float32Array(size * imageSize);
    padded.set(images.subarray(start * imageSize, (start + rows) * imageSize));
    const values = withTensors((keep) => compute(size, keep(tf.tensor4d(padded, [size, height, width, channels]))));
    logits.set(values.subarray(0, rows * model.classes), start * model.classes);
  }
  return logits;
}
