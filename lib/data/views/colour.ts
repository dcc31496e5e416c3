/**
 * Changes of colour, as torchvision's adjust_* functions make them on floating-point tensors: of one RGB image, [height, width, 3],
 * 0..255, in place; results are cut off at 0 and 255.
 */

/** @param factor 0 black, 1 as it is */
export function adjustBrightness(pixels: Float32Array, factor: number): void {
  scaleAndAdd(pixels, factor, 0);
}

/** Blends with the mean of the grey image. @param factor 0 plain grey, 1 as it is */
export function adjustContrast(pixels: Float32Array, factor: number): void {
  let sum = 0;
  for (let at = 0; at < pixels.length; at += 3) {
    sum += grey(pixels[at] as number, pixels[at + 1] as number, pixels[at + 2] as number);
  }
  scaleAndAdd(pixels, factor, (1 - factor) * (sum / (pixels.length / 3)));
}

/** Blends with the grey image. @param factor 0 grey, 1 as it is */
export function adjustSaturation(pixels: Float32Array, factor: number): void {
  for (let at = 0; at < pixels.length; at += 3) {
    const red = pixels[at] as number;
    const green = pixels[at + 1] as number;
    const blue = pixels[at + 2] as number;
    const rest = (1 - factor) * grey(red, green, blue);
    pixels[at] = clamp(red * factor + rest);
    pixels[at + 1] = clamp(green * factor + rest);
    pixels[at + 2] = clamp(blue * factor + rest);
  }
}

/**
 * Turns the hue by a part of the circle; value and saturation (of HSV) stay.
 *
 * @param turn -0.5..0.5; both ends give the complementary colours
 */
export function adjustHue(pixels: Float32Array, turn: number): void {
  for (let at = 0; at < pixels.length; at += 3) {
    const red = pixels[at] as number;
    const green = pixels[at + 1] as number;
    const blue = pixels[at + 2] as number;
    const most = red > green ? (red > blue ? red : blue) : green > blue ? green : blue;
    const least = red < green ? (red < blue ? red : blue) : green < blue ? green : blue;
    const range = most - least;
    if (range === 0) continue;
    const sextants =
      most === red ? (green - blue) / range : most === green ? 2 + (blue - red) / range : 4 + (red - green) / range;
    const turned = withinCircle(sextants + 6 * turn);
    pixels[at] = channelOf(turned + 5, most, range);
    pixels[at + 1] = channelOf(turned + 3, most, range);
    pixels[at + 2] = channelOf(turned + 1, most, range);
  }
}

/** @param sextants -6 to below 12 @returns the same place on the circle, 0 to below 6 */
function withinCircle(sextants: number): number {
  return sextants < 0 ? sextants + 6 : sextants >= 6 ? sextants - 6 : sextants;
}

/** Full for two sextants, falling and rising for one each, at its least for two. @param phase in sextants, 0 to below 12 */
function channelOf(phase: number, most: number, range: number): number {
  const place = withinCircle(phase);
  const depth = place < 2 ? place : 4 - place;
  return most - range * (depth < 0 ? 0 : depth > 1 ? 1 : depth);
}

function scaleAndAdd(pixels: Float32Array, factor: number, rest: number): void {
  for (let at = 0; at < pixels.length; at += 3) {
    pixels[at] = clamp((pixels[at] as number) * factor + rest);
    pixels[at + 1] = clamp((pixels[at + 1] as number) * factor + rest);
    pixels[at + 2] = clamp((pixels[at + 2] as number) * factor + rest);
  }
}

/** Luma of ITU-R BT.601, with the digits that torchvision has. */
function grey(red: number, green: number, blue: number): number {
  return 0.2989 * red + 0.587 * green + 0.114 * blue;
}

function clamp(value: number): number {
  return value < 0 ? 0 : value > 255 ? 255 : value;
}
