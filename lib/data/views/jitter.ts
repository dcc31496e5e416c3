/** Colour jitter, as torchvision's ColorJitter. */
import { type Random, shuffle } from '../../base/random.ts';
import { adjustBrightness, adjustContrast, adjustHue, adjustSaturation } from './colour.ts';
import type { JitterSpec, ViewRule } from './rule.ts';
import { streamOf } from './streams.ts';

/**
 * Changes brightness, contrast, saturation and hue of one RGB image by random factors in a random order, in place. Every
 * number is drawn whether it is used or not: switching one change off leaves the others as they are.
 *
 * @param pixels [height, width, 3], 0..255
 */
export function jitterImage(pixels: Float32Array, id: number, rule: ViewRule, spec: JitterSpec): void {
  const random = streamOf('jitter', id, rule);
  const order = shuffle([0, 1, 2, 3], random);
  const brightness = drawFactor(spec.brightness, random);
  const contrast = drawFactor(spec.contrast, random);
  const saturation = drawFactor(spec.saturation, random);
  const turn = (2 * random.nextFloat() - 1) * spec.hue;
  for (const change of order) {
    if (change === 0 && spec.brightness > 0) adjustBrightness(pixels, brightness);
    if (change === 1 && spec.contrast > 0) adjustContrast(pixels, contrast);
    if (change === 2 && spec.saturation > 0) adjustSaturation(pixels, saturation);
    if (change === 3 && spec.hue > 0) adjustHue(pixels, turn);
  }
}

function drawFactor(strength: number, random: Random): number {
  const least = Math.max(0, 1 - strength);
  return least + random.nextFloat() * (1 + strength - least);
}
