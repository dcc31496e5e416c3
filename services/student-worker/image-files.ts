/** Pictures as people have them, JPEG and PNG files, become the pixels that a model takes. */
import sharp from 'sharp';
import { StillhouseError } from '../../lib/base/errors.ts';
import { tensorError } from '../../lib/wire/oip/datatypes.ts';
import { IMAGE_BYTES } from '../../lib/wire/oip/image-signature.ts';

/** A small file may unfold to a huge picture; this is more than any camera makes. */
const PIXELS_MAX = 2 ** 27;
/** Pictures that are decoded at a time: the memory they take while unfolded is bounded by it. */
const CONCURRENCY = 4;

export interface ImageSize {
  readonly height: number;
  readonly width: number;
}

/** @throws INVALID_ARGUMENT naming the input and the row of a file that cannot be read; CANCELLED by the signal. */
export async function decodeImageFiles(
  files: readonly Uint8Array[],
  size: ImageSize,
  signal: AbortSignal,
): Promise<Float32Array> {
  const valuesPerImage = size.height * size.width * 3;
  const images = new Float32Array(files.length * valuesPerImage);
  let next = 0;
  const decodeNext = async (): Promise<void> => {
    while (next < files.length) {
      signal.throwIfAborted();
      const row = next++;
      images.set(await decodeImageFile(files[row] as Uint8Array, size, row), row * valuesPerImage);
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, files.length) }, decodeNext));
  return images;
}

/** The library reads many formats, some of them not safe from strangers: what a file is, is decided here. */
function isJpegOrPng(file: Uint8Array): boolean {
  const startsWith = (...bytes: number[]) => bytes.every((byte, index) => file[index] === byte);
  return startsWith(0xff, 0xd8, 0xff) || startsWith(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
}

/** RGB as the eye sees it: turned upright, in sRGB, transparency dropped. A file of the right size keeps its pixels. */
async function decodeImageFile(file: Uint8Array, size: ImageSize, row: number): Promise<Uint8Array> {
  if (!isJpegOrPng(file)) throw tensorError(IMAGE_BYTES, `row ${row} is neither a JPEG nor a PNG file`);
  try {
    const { data, info } = await sharp(file, { limitInputPixels: PIXELS_MAX })
      .autoOrient()
      // Triangle filter: what PyTorch's and PIL's bilinear resizing with antialias computes.
      .resize(size.width, size.height, { fit: 'fill', kernel: 'linear' })
      .toColourspace('srgb')
      .removeAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    if (info.channels === 3) return data;
    throw new StillhouseError('INTERNAL', `decoding answered ${info.channels} channels, expected 3`);
  } catch (error) {
    if (error instanceof StillhouseError) throw error;
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw tensorError(IMAGE_BYTES, `row ${row} cannot be decoded: ${reason}`);
  }
}
