/** Pictures as people have them, JPEG, PNG and WebP files, become pixels. */
import sharp, { type Sharp } from 'sharp';
import { invariant, StillhouseError } from '../base/errors.ts';
import { enlargePixels } from './enlarge-pixels.ts';
import type { ImageBox, ImageSize } from './image-box.ts';
import { type ImageFileFormat, imageFileFormat } from './image-file-format.ts';

export interface DecodeOptions {
  /**
   * How a picture of another shape becomes the size asked for. `squash`: height and width each scaled by themselves. `crop`: the
   * shorter side scaled to size / 0.875, then the centre cut out, as ImageNet models are evaluated.
   */
  readonly fit: 'squash' | 'crop';
  /** Only this part, squashed to the size, whatever `fit` says; null or absent: the whole picture. */
  readonly box?: ImageBox | null | undefined;
  /** Names the file in errors. */
  readonly where: string;
}

// What it keeps of earlier pictures is never asked for again: every picture is another one.
sharp.cache(false);

/** A small file may unfold to a huge picture; this is more than any camera makes. */
const PIXELS_MAX = 2 ** 27;

/** Of the resized picture, what `crop` keeps: 224 of 256. */
const CROP_SHARE = 0.875;

/**
 * The pixels of a picture: RGB as the eye sees it, that is upright by its EXIF orientation and in sRGB by its colour profile
 * (CMYK, grey and 16 bits too), transparency dropped. Scaled as torchvision's `Resize` does, bilinear with antialias; a picture of
 * the right size keeps its pixels.
 *
 * @param size of the result.
 * @returns [height, width, 3] bytes.
 * @throws StillhouseError DATA_LOSS, naming `where`, for what is no such file, damaged, cut off or beyond 2^27 pixels.
 */
export async function decodeImage(bytes: Uint8Array, size: ImageSize, options: DecodeOptions): Promise<Uint8Array> {
  return decoding(bytes, options.where, async (format) => {
    const { box, fit } = options;
    // JPEG has no transparency.
    const picture = format === 'jpeg' ? openPicture(bytes) : await openOpaque(bytes);
    const scaled = fit === 'crop' && !box ? coveringSize(await uprightSize(picture), size) : size;
    const { pixels, size: shrunk } = await shrinkTo(box ? picture.extract(box) : picture, scaled);
    const isDone = shrunk.height === size.height && shrunk.width === size.width;
    return isDone ? pixels : enlargePixels(pixels, shrunk, scaled, centreOf(scaled, size));
  });
}

/** The size of a picture, seen upright, from its header alone. @throws as `decodeImage` does. */
export async function imageSize(bytes: Uint8Array, where: string): Promise<ImageSize> {
  return decoding(bytes, where, () => uprightSize(openPicture(bytes)));
}

/** What is wrong with a file becomes one error, whoever found it. */
async function decoding<T>(
  bytes: Uint8Array,
  where: string,
  decode: (format: ImageFileFormat) => Promise<T>,
): Promise<T> {
  // The library reads many formats, some of them not safe from strangers.
  const format = imageFileFormat(bytes);
  if (format === null) throw damaged(where, 'is no JPEG, PNG or WebP file');
  try {
    return await decode(format);
  } catch (error) {
    if (error instanceof StillhouseError) throw error;
    throw damaged(where, `cannot be decoded: ${reasonOf(error)}`, error);
  }
}

/**
 * The same for the same bytes, since an import keeps it in the manifest. What the library says of damage is not: threads that
 * decode at the same time get parts of each other's messages. It stays in the cause.
 */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return /exceeds pixel limit/.test(message) ? `it exceeds pixel limit ${PIXELS_MAX}` : 'it is damaged or cut off';
}

function damaged(where: string, what: string, cause?: unknown): StillhouseError {
  return new StillhouseError('DATA_LOSS', `${where} ${what}`, { field: where, cause });
}

/** Whatever the decoder of a format warns of is an error: a damaged picture would be trained on in part. */
function openPicture(bytes: Uint8Array): Sharp {
  return sharp(bytes, { limitInputPixels: PIXELS_MAX, failOn: 'warning' }).autoOrient();
}

/** Transparency is dropped before anything else: scaling would weigh colours by it, although nobody sees it afterwards. */
async function openOpaque(bytes: Uint8Array): Promise<Sharp> {
  const picture = openPicture(bytes);
  if (!(await picture.metadata()).hasAlpha) return picture;
  const { pixels, size } = await rgbPixels(picture);
  return sharp(pixels, { raw: { ...size, channels: 3 }, limitInputPixels: PIXELS_MAX });
}

async function uprightSize(picture: Sharp): Promise<ImageSize> {
  const { autoOrient } = await picture.metadata();
  return { height: autoOrient.height, width: autoOrient.width };
}

/** Where the shorter side is size / 0.875; the rounding is that of torchvision's `Resize`. */
function coveringSize(original: ImageSize, size: ImageSize): ImageSize {
  const least = { height: Math.floor(size.height / CROP_SHARE), width: Math.floor(size.width / CROP_SHARE) };
  const heightDecides = least.height * original.width >= least.width * original.height;
  return heightDecides
    ? { height: least.height, width: Math.floor((least.height * original.width) / original.height) }
    : { height: Math.floor((least.width * original.height) / original.width), width: least.width };
}

/** As torchvision's `CenterCrop`, whose rounding is Python's: halves to even. */
function centreOf(whole: ImageSize, size: ImageSize): ImageBox {
  const before = (margin: number) => {
    const floor = Math.floor(margin / 2);
    return margin % 2 === 0 || floor % 2 === 0 ? floor : floor + 1;
  };
  return { left: before(whole.width - size.width), top: before(whole.height - size.height), ...size };
}

/**
 * Scales each side down to the size; sides that are shorter stay, `enlargePixels` is for them. The triangle filter is PIL's bilinear
 * with antialias. Without fast shrinking the decoder still scales large JPEGs down itself, but never below twice the size: beyond
 * that pixels differ visibly from PIL's.
 */
function shrinkTo(picture: Sharp, { width, height }: ImageSize): Promise<RgbImage> {
  const how = { fit: 'fill', kernel: 'linear', withoutEnlargement: true, fastShrinkOnLoad: false } as const;
  return rgbPixels(picture.resize(width, height, how));
}

interface RgbImage {
  /** [height, width, 3]. */
  readonly pixels: Uint8Array;
  readonly size: ImageSize;
}

async function rgbPixels(picture: Sharp): Promise<RgbImage> {
  const { data, info } = await picture
    .toColourspace('srgb')
    .removeAlpha()
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  invariant(info.channels === 3, `decoding answered ${info.channels} channels, expected 3`);
  return { pixels: data, size: { height: info.height, width: info.width } };
}
