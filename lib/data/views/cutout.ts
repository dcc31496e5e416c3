/** Cutout (DeVries and Taylor 2017, arXiv:1708.04552). */
import type { ImageShape } from '../manifest.ts';
import type { ViewRule } from './rule.ts';
import { streamOf } from './streams.ts';

/**
 * Blanks a square of one image, in place. Its centre is any pixel; what lies outside the image is cut off.
 *
 * The paper blanks normalised images with zero, which is the data set's mean colour, so that the statistics of batches stay as
 * they are. Views come before normalisation, and teacher and student may normalise differently: the square takes the image's own
 * mean colour, which keeps these statistics too.
 *
 * @param pixels [height, width, 3]
 */
export function cutSquare(pixels: Float32Array, id: number, { height, width }: ImageShape, rule: ViewRule): void {
  const random = streamOf('cutout', id, rule);
  const left = random.nextInt(width) - Math.floor(rule.cutout / 2);
  const top = random.nextInt(height) - Math.floor(rule.cutout / 2);
  const endColumn = Math.min(width, left + rule.cutout);
  const endRow = Math.min(height, top + rule.cutout);
  const [red, green, blue] = meanColour(pixels);
  for (let row = Math.max(0, top); row < endRow; row++) {
    for (let column = Math.max(0, left); column < endColumn; column++) {
      const at = (row * width + column) * 3;
      pixels[at] = red;
      pixels[at + 1] = green;
      pixels[at + 2] = blue;
    }
  }
}

function meanColour(pixels: Float32Array): [red: number, green: number, blue: number] {
  let red = 0;
  let green = 0;
  let blue = 0;
  for (let at = 0; at < pixels.length; at += 3) {
    red += pixels[at] as number;
    green += pixels[at + 1] as number;
    blue += pixels[at + 2] as number;
  }
  const count = pixels.length / 3;
  return [red / count, green / count, blue / count];
}
