/** Pictures as people have them, JPEG and PNG files, become the pixels that a model takes. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { decodeImage } from '../../lib/data/decode-image.ts';
import type { ImageSize } from '../../lib/data/image-box.ts';
import { imageFileFormat } from '../../lib/data/image-file-format.ts';
import { tensorError } from '../../lib/wire/oip/datatypes.ts';
import { IMAGE_BYTES } from '../../lib/wire/oip/image-signature.ts';

/** Pictures that are decoded at a time: the memory they take while unfolded is bounded by it. */
const CONCURRENCY = 4;

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

/** RGB as training sees it; JPEG and PNG alone, since strangers send them. */
async function decodeImageFile(file: Uint8Array, size: ImageSize, row: number): Promise<Uint8Array> {
  const format = imageFileFormat(file);
  if (format !== 'jpeg' && format !== 'png') {
    throw tensorError(IMAGE_BYTES, `row ${row} is neither a JPEG nor a PNG file`);
  }
  try {
    return await decodeImage(file, size, { fit: 'squash', where: `row ${row}` });
  } catch (error) {
    const damaged = StillhouseError.from(error);
    throw damaged.code === 'DATA_LOSS' ? tensorError(IMAGE_BYTES, damaged.message) : damaged;
  }
}
