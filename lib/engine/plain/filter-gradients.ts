/**
 * Gradients of convolutions with respect to their filters. tfjs has them too, but looks up every factor by its coordinates,
 * which takes fifty times longer than these loops.
 */
import tf from '@tensorflow/tfjs';
import type { Tensor } from '../tf.ts';

/** Sizes of a convolution, [height, width] where they are two. */
export interface ConvolutionPlan {
  readonly batch: number;
  readonly image: readonly [number, number];
  readonly places: readonly [number, number];
  readonly taps: readonly [number, number];
  readonly stride: readonly [number, number];
  /** Zeros above and left of the image. */
  readonly before: readonly [number, number];
  /** Of the image. */
  readonly channels: number;
  /** Of the filter, [height, width, in, out]. */
  readonly filterShape: readonly number[];
}

export function convolutionPlan(
  image: readonly number[],
  filterShape: readonly number[],
  { strides, pad }: { readonly strides: [number, number]; readonly pad: string },
): ConvolutionPlan {
  const [batch, height, width, channels] = image as [number, number, number, number];
  const [rows, columns, inputs, outputs] = filterShape as [number, number, number, number];
  const info = tf.backend_util.computeConv2DInfo(
    [batch, height, width, channels],
    [rows, columns, inputs, outputs],
    strides,
    1,
    pad as 'same' | 'valid',
  );
  return {
    batch,
    image: [height, width],
    places: [info.outHeight, info.outWidth],
    taps: [rows, columns],
    stride: strides,
    before: [info.padInfo.top, info.padInfo.left],
    channels,
    filterShape,
  };
}

/** @param x [batch, height, width, in] @param dy [batch, rows, columns, out] */
export function filterGradient(x: Tensor, dy: Tensor, plan: ConvolutionPlan): Tensor {
  const { channels, filterShape } = plan;
  const filters = filterShape[3] as number;
  const image = x.dataSync() as Float32Array;
  const slopes = dy.dataSync() as Float32Array;
  const sums = new Float64Array(tf.util.sizeFromShape([...filterShape]));
  eachPixel(plan, (pixel, place, tap) => {
    for (let channel = 0; channel < channels; channel++) {
      const value = image[pixel * channels + channel] as number;
      // Behind a ReLU every other value is.
      if (value === 0) continue;
      const at = (tap * channels + channel) * filters;
      for (let filter = 0; filter < filters; filter++) {
        sums[at + filter] = (sums[at + filter] as number) + value * (slopes[place * filters + filter] as number);
      }
    }
  });
  return tf.tensor(Float32Array.from(sums), [...filterShape]);
}

/** @param x [batch, height, width, channels] @param dy [batch, rows, columns, channels] */
export function depthwiseFilterGradient(x: Tensor, dy: Tensor, plan: ConvolutionPlan): Tensor {
  const { channels, filterShape } = plan;
  const image = x.dataSync() as Float32Array;
  const slopes = dy.dataSync() as Float32Array;
  const sums = new Float64Array(tf.util.sizeFromShape([...filterShape]));
  eachPixel(plan, (pixel, place, tap) => {
    for (let channel = 0; channel < channels; channel++) {
      const product = (image[pixel * channels + channel] as number) * (slopes[place * channels + channel] as number);
      sums[tap * channels + channel] = (sums[tap * channels + channel] as number) + product;
    }
  });
  return tf.tensor(Float32Array.from(sums), [...filterShape]);
}

/** Every pixel that a tap of the filter meets: the numbers of pixel, output place and tap. */
function eachPixel(
  { batch, image, places, taps, stride, before }: ConvolutionPlan,
  visit: (pixel: number, place: number, tap: number) => void,
): void {
  const [height, width] = image;
  const [rows, columns] = places;
  for (let sample = 0; sample < batch; sample++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const place = (sample * rows + row) * columns + column;
        for (let down = 0; down < taps[0]; down++) {
          const y = row * stride[0] - before[0] + down;
          if (y < 0 || y >= height) continue;
          for (let right = 0; right < taps[1]; right++) {
            const x = column * stride[1] - before[1] + right;
            if (x >= 0 && x < width) visit((sample * height + y) * width + x, place, down * taps[1] + right);
          }
        }
      }
    }
  }
}
