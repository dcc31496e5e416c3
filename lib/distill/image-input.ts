/** Images as a model of another framework takes them. */
import { invariant } from '../base/errors.ts';
import type { ImageShape } from '../data/manifest.ts';
import { scaleImages } from '../data/scale-images.ts';

/** How a model takes images. */
export interface ImageInput {
  readonly layout: 'nhwc' | 'nchw';
  readonly height: number;
  readonly width: number;
  readonly type: 'float32' | 'uint8';
  /** What a pixel's 0..255 becomes before mean and standard deviation. */
  readonly scale: '0..255' | '0..1' | '-1..1';
  /** Per channel, on that scale: subtracted, and divided by. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

export interface ImageBatch {
  /** [count, image], RGB 0..255. */
  readonly images: Float32Array;
  readonly count: number;
  readonly image: ImageShape;
}

export type InputValues = Float32Array | Uint8Array;

/** Of a batch of that many rows. */
export function inputShape(
  { layout, height, width }: Pick<ImageInput, 'layout' | 'height' | 'width'>,
  rows: number,
): number[] {
  return layout === 'nhwc' ? [rows, height, width, CHANNELS] : [rows, CHANNELS, height, width];
}

const CHANNELS = 3;
const UINT8_MAX = 255;

/**
 * Scales images to the model's size, puts their values on its scale and into its layout.
 * @param rows of the result; those beyond the images are 0
 * @returns of the shape that `inputShape` tells
 */
export function inputValues({ images, count, image }: ImageBatch, input: ImageInput, rows: number): InputValues {
  const { height, width, layout } = input;
  invariant(image.channels === CHANNELS && count <= rows, 'images are in colour and not more than the rows');
  const scaled = scaleImages(images, image, { height, width, channels: CHANNELS });
  const pixels = height * width;
  const values = new (input.type === 'uint8' ? Uint8Array : Float32Array)(rows * pixels * CHANNELS);
  const { factors, shifts } = linearMap(input);
  const isInterleaved = layout === 'nhwc';
  // Where the values of one channel of an image begin, and how far apart those of neighbouring pixels are.
  const [channelStep, pixelStep] = isInterleaved ? [1, CHANNELS] : [pixels, 1];
  for (let row = 0; row < count; row++) {
    const start = row * pixels * CHANNELS;
    for (let channel = 0; channel < CHANNELS; channel++) {
      const [factor, shift] = [factors[channel] as number, shifts[channel] as number];
      let target = start + channel * channelStep;
      for (let source = start + channel; source < start + pixels * CHANNELS; source += CHANNELS) {
        const value = (scaled[source] as number) * factor + shift;
        values[target] = input.type === 'uint8' ? Math.min(UINT8_MAX, Math.max(0, Math.round(value))) : value;
        target += pixelStep;
      }
    }
  }
  return values;
}

/** Scale, mean and standard deviation as one product and one sum per channel. */
function linearMap({ scale, mean, std }: ImageInput): { factors: number[]; shifts: number[] } {
  const [factor, shift] = scale === '0..255' ? [1, 0] : scale === '0..1' ? [1 / 255, 0] : [2 / 255, -1];
  return {
    factors: std.map((deviation) => factor / deviation),
    shifts: std.map((deviation, channel) => (shift - (mean[channel] as number)) / deviation),
  };
}
