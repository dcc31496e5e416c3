/** Scaling of decoded images, bilinearly. */
import { invariant } from '../base/errors.ts';
import type { ImageShape } from './manifest.ts';

/** What each pixel of a row or column of the result takes of the source. */
interface Taps {
  /** Of the source's pixels, from the first up to before the end: [to]. */
  readonly first: Int32Array;
  readonly end: Int32Array;
  /** Of pixel `first + tap` at `pixel * reach + tap`; together 1 for each pixel. */
  readonly weights: Float64Array;
  readonly reach: number;
}

/**
 * Scales images to another height and width with a triangle filter, pixel centres at halves, as Pillow's and torchvision's
 * antialiased bilinear scaling: where an image shrinks, the filter widens with it. Values are rounded to whole numbers.
 *
 * @param images [images, from.height, from.width, channels], RGB 0..255
 * @param to as many channels as `from`
 * @returns [images, to.height, to.width, channels]; the array given where nothing changes
 */
export function scaleImages(images: Float32Array, from: ImageShape, to: ImageShape): Float32Array {
  invariant(from.channels === to.channels, 'scaling leaves the channels alone');
  if (from.height === to.height && from.width === to.width) return images;
  const count = images.length / (from.height * from.width * from.channels);
  const { channels } = from;
  const wide = new Float32Array(count * from.height * to.width * channels);
  // Rows of all images are scaled alike: as one image of many rows.
  alongRows(images, wide, { rows: count * from.height, from: from.width, to: to.width, stride: channels });
  const scaled = new Float32Array(count * to.height * to.width * channels);
  // A column's neighbours are a row apart: each image is one "row" of pixels that are rows.
  alongRows(wide, scaled, { rows: count, from: from.height, to: to.height, stride: to.width * channels });
  for (let at = 0; at < scaled.length; at++) scaled[at] = Math.round(scaled[at] as number);
  return scaled;
}

interface Axis {
  readonly rows: number;
  /** Pixels of each row before and after. */
  readonly from: number;
  readonly to: number;
  /** Values of one pixel. */
  readonly stride: number;
}

function alongRows(source: Float32Array, target: Float32Array, { rows, from, to, stride }: Axis): void {
  const { first, end, weights, reach } = tapsOf(from, to);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let pixel = 0; pixel < to; pixel++) {
      const taps = (end[pixel] as number) - (first[pixel] as number);
      const start = (row * from + (first[pixel] as number)) * stride;
      for (let value = 0; value < stride; value++) {
        let sum = 0;
        for (let tap = 0; tap < taps; tap++) {
          sum += (weights[pixel * reach + tap] as number) * (source[start + tap * stride + value] as number);
        }
        target[at++] = sum;
      }
    }
  }
}

function tapsOf(from: number, to: number): Taps {
  const scale = from / to;
  const filter = Math.max(scale, 1);
  const reach = Math.ceil(2 * filter) + 1;
  const taps = { first: new Int32Array(to), end: new Int32Array(to), weights: new Float64Array(to * reach), reach };
  for (let pixel = 0; pixel < to; pixel++) {
    const centre = (pixel + 0.5) * scale;
    const first = Math.max(0, Math.round(centre - filter));
    const end = Math.min(from, Math.round(centre + filter));
    const heights = Array.from({ length: end - first }, (_, tap) =>
      Math.max(0, 1 - Math.abs(first + tap + 0.5 - centre) / filter),
    );
    const total = heights.reduce((sum, height) => sum + height, 0);
    taps.first[pixel] = first;
    taps.end[pixel] = end;
    for (const [tap, height] of heights.entries()) taps.weights[pixel * reach + tap] = height / total;
  }
  return taps;
}
