/** Flip and shift. */
import type { ImageShape } from '../manifest.ts';
import type { ViewRule } from './rule.ts';
import { streamOf } from './streams.ts';

/**
 * Mirrors and moves one image, in place. Every number is drawn whether it is used or not: switching the flip off leaves the
 * shifts as they are.
 *
 * @param pixels [height, width, 3]
 */
export function moveImage(pixels: Float32Array, id: number, image: ImageShape, rule: ViewRule): void {
  const random = streamOf('move', id, rule);
  const mirrored = random.nextInt(2) === 1 && rule.flip;
  const right = random.nextInt(2 * rule.shift + 1) - rule.shift;
  const down = random.nextInt(2 * rule.shift + 1) - rule.shift;
  if (mirrored) mirror(pixels, image);
  if (right !== 0 || down !== 0) shift(pixels, image, right, down);
}

function mirror(pixels: Float32Array, { height, width }: ImageShape): void {
  for (let row = 0; row < height; row++) {
    let left = row * width * 3;
    let right = left + (width - 1) * 3;
    for (; left < right; left += 3, right -= 3) {
      const red = pixels[left] as number;
      const green = pixels[left + 1] as number;
      const blue = pixels[left + 2] as number;
      pixels[left] = pixels[right] as number;
      pixels[left + 1] = pixels[right + 1] as number;
      pixels[left + 2] = pixels[right + 2] as number;
      pixels[right] = red;
      pixels[right + 1] = green;
      pixels[right + 2] = blue;
    }
  }
}

function shift(pixels: Float32Array, { height, width }: ImageShape, right: number, down: number): void {
  if (Math.abs(right) >= width || Math.abs(down) >= height) {
    pixels.fill(0);
    return;
  }
  const distance = (down * width + right) * 3;
  if (distance > 0) pixels.copyWithin(distance, 0, pixels.length - distance);
  else pixels.copyWithin(0, -distance);
  pixels.fill(0, 0, Math.max(0, down) * width * 3);
  pixels.fill(0, (height + Math.min(0, down)) * width * 3);
  // What has left a row at one end stands at the other end of the next.
  const first = right > 0 ? 0 : (width + right) * 3;
  const end = right > 0 ? right * 3 : width * 3;
  for (let row = 0; row < height; row++) {
    for (let value = first; value < end; value++) pixels[row * width * 3 + value] = 0;
  }
}
