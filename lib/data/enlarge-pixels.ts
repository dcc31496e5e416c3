/** Pictures made larger bilinearly, pixel by pixel as PIL does: libvips samples half a pixel of the result further up and left. */
import type { ImageBox, ImageSize } from './image-box.ts';

const CHANNELS = 3;
const SHARE_BITS = 15;
const HALF = 1 << (SHARE_BITS - 1);

/** Along one axis: the two neighbours that each pixel of the result lies between, and how far towards the second. */
interface Axis {
  readonly first: Int32Array;
  readonly second: Int32Array;
  /** In 2^-15. */
  readonly share: Int32Array;
}

/**
 * Enlarges a picture and cuts a window out of the result; only the window is computed.
 *
 * @param pixels [from.height, from.width, 3].
 * @param to no side shorter than that of `from`.
 * @param window in pixels of the enlarged picture.
 * @returns [window.height, window.width, 3]; rounded along rows, then along columns.
 */
export function enlargePixels(pixels: Uint8Array, from: ImageSize, to: ImageSize, window: ImageBox): Uint8Array {
  const columns = axisOf(from.width, to.width, window.left, window.width);
  const rows = axisOf(from.height, to.height, window.top, window.height);
  const firstRow = rows.first[0] as number;
  const rowCount = (rows.second[window.height - 1] as number) - firstRow + 1;
  const source = pixels.subarray(firstRow * from.width * CHANNELS);
  const wide = alongRows(source, rowCount, from.width, columns);
  return alongColumns(wide, window.width * CHANNELS, firstRow, rows);
}

function axisOf(from: number, to: number, start: number, length: number): Axis {
  const axis = { first: new Int32Array(length), second: new Int32Array(length), share: new Int32Array(length) };
  for (let at = 0; at < length; at++) {
    const centre = Math.min(Math.max(((start + at + 0.5) * from) / to - 0.5, 0), from - 1);
    axis.first[at] = Math.floor(centre);
    axis.second[at] = Math.min(Math.floor(centre) + 1, from - 1);
    axis.share[at] = Math.round((centre - Math.floor(centre)) * (1 << SHARE_BITS));
  }
  return axis;
}

function alongRows(source: Uint8Array, rows: number, width: number, { first, second, share }: Axis): Uint8Array {
  const length = first.length;
  const result = new Uint8Array(rows * length * CHANNELS);
  for (let row = 0, to = 0; row < rows; row++) {
    const start = row * width * CHANNELS;
    for (let at = 0; at < length; at++) {
      const a = start + (first[at] as number) * CHANNELS;
      const b = start + (second[at] as number) * CHANNELS;
      const towards = share[at] as number;
      const red = source[a] as number;
      const green = source[a + 1] as number;
      const blue = source[a + 2] as number;
      result[to++] = red + ((towards * ((source[b] as number) - red) + HALF) >> SHARE_BITS);
      result[to++] = green + ((towards * ((source[b + 1] as number) - green) + HALF) >> SHARE_BITS);
      result[to++] = blue + ((towards * ((source[b + 2] as number) - blue) + HALF) >> SHARE_BITS);
    }
  }
  return result;
}

function alongColumns(
  source: Uint8Array,
  stride: number,
  firstRow: number,
  { first, second, share }: Axis,
): Uint8Array {
  const result = new Uint8Array(first.length * stride);
  for (let row = 0, to = 0; row < first.length; row++) {
    const a = ((first[row] as number) - firstRow) * stride;
    const b = ((second[row] as number) - firstRow) * stride;
    const towards = share[row] as number;
    for (let at = 0; at < stride; at++) {
      const near = source[a + at] as number;
      result[to++] = near + ((towards * ((source[b + at] as number) - near) + HALF) >> SHARE_BITS);
    }
  }
  return result;
}
