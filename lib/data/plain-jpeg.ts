/**
 * The short way from a JPEG file to pixels, for the plain files that most are: 8 bits, three channels, no colour profile and no
 * orientation to apply. libvips takes longer to set up its pipeline than such a picture takes to decode.
 */
import { FastResizeFilter, ResizeFit, Transformer } from '@napi-rs/image';
import { StillhouseError } from '../base/errors.ts';
import type { ImageSize } from './image-box.ts';

/** As `decodeImage`: a small file may unfold to a huge picture. */
const PIXELS_MAX = 2 ** 27;

const START_OF_IMAGE = 0xffd8;
const START_OF_SCAN = 0xda;
/** Baseline, extended and progressive, Huffman-coded. */
const FRAMES = [0xc0, 0xc1, 0xc2];
const OTHER_FRAMES = [0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf];
/** APP1, APP2, APP14: EXIF, colour profiles, Adobe's colour transforms. */
const NOT_PLAIN = [0xe1, 0xe2, 0xee];

/**
 * The picture squashed to a size, by the triangle filter as `decodeImage` does, if it is plain; else null. The file has been checked
 * by `decodeImage` before: this one does not notice everything that is wrong with a file.
 *
 * @param where names the file in errors
 * @returns [height, width, 4] bytes, RGB and one more
 * @throws StillhouseError DATA_LOSS when it cannot be decoded
 */
export async function decodePlainJpeg(bytes: Uint8Array, size: ImageSize, where: string): Promise<Uint8Array | null> {
  if (!isPlainJpeg(bytes)) return null;
  try {
    return pixelsOfSize(await squashed(bytes, size).rawPixels(), size);
  } catch (cause) {
    throw damaged(where, cause);
  }
}

/** As `decodePlainJpeg`, for threads that have nothing else to do meanwhile: handing each picture to another one takes time. */
export function decodePlainJpegSync(bytes: Uint8Array, size: ImageSize, where: string): Uint8Array | null {
  if (!isPlainJpeg(bytes)) return null;
  try {
    return pixelsOfSize(squashed(bytes, size).rawPixelsSync(), size);
  } catch (cause) {
    throw damaged(where, cause);
  }
}

function squashed(bytes: Uint8Array, { height, width }: ImageSize): Transformer {
  return new Transformer(bytes).fastResize({ width, height, filter: FastResizeFilter.Bilinear, fit: ResizeFit.Fill });
}

function pixelsOfSize(pixels: Uint8Array, { height, width }: ImageSize): Uint8Array {
  const expected = height * width * 4;
  if (pixels.length === expected) return pixels;
  throw new StillhouseError('INTERNAL', `decoding answered ${pixels.length} bytes, expected ${expected}`);
}

function damaged(where: string, cause: unknown): StillhouseError {
  if (cause instanceof StillhouseError) return cause;
  const message = `${where} cannot be decoded: ${(cause as Error).message}`;
  return new StillhouseError('DATA_LOSS', message, { field: where, cause });
}

/** The name of the first channel where it is no brightness. */
const RED = 0x52;

/** Looks at the segments before the pixels. */
function isPlainJpeg(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4 || view.getUint16(0) !== START_OF_IMAGE) return false;
  let hasFrame = false;
  for (let at = 2; at + 9 < bytes.length; ) {
    const marker = bytes[at + 1] as number;
    if (bytes[at] !== 0xff || OTHER_FRAMES.includes(marker) || NOT_PLAIN.includes(marker)) return false;
    if (marker === START_OF_SCAN) return hasFrame;
    if (FRAMES.includes(marker)) {
      const pixels = view.getUint16(at + 5) * view.getUint16(at + 7);
      if (hasFrame || bytes[at + 4] !== 8 || bytes[at + 9] !== 3 || bytes[at + 10] === RED) return false;
      if (pixels === 0 || pixels > PIXELS_MAX) return false;
      hasFrame = true;
    }
    at += 2 + view.getUint16(at + 2);
  }
  return false;
}
