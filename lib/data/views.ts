/**
 * Views: augmentation as a pure function of (seed, view number, sample id), so that teacher and student, wherever they run and
 * however samples are batched, see the same pixels.
 */
import { invariant } from '../base/errors.ts';
import type { ImageShape } from './manifest.ts';
import { cropBox, enlarge } from './views/crop.ts';
import { cutSquare } from './views/cutout.ts';
import { jitterImage } from './views/jitter.ts';
import { moveImage } from './views/move.ts';
import { type ViewRule, valuesPerImage } from './views/rule.ts';

export { type Box, cropBox } from './views/crop.ts';
export { mixImages, mixShares, partnersOf } from './views/mixing.ts';
export { PartnerPools } from './views/partner-pools.ts';
export {
  areOff,
  type CropSpec,
  type JitterSpec,
  NO_VIEWS,
  type View,
  type ViewRule,
  type ViewsSpec,
  viewNumber,
} from './views/rule.ts';

/** Version of the rule by which views are drawn. Raise it with any change of the pixels: both ends of a logits stream compare it. */
export const VIEW_PROTOCOL = 2;

export interface ApplyOptions {
  /** The images are already the parts that `cropBox` names, at full size. Default false. */
  readonly cropped?: boolean;
}

/**
 * Turns images into their views, in place: crop, flip and shift, jitter, cutout. Views are mixed by `mixImages` afterwards.
 *
 * @param images [ids, height, width, 3], 0..255
 * @param ids the sample of each image
 */
export function applyViews(
  images: Float32Array,
  ids: ArrayLike<number>,
  image: ImageShape,
  rule: ViewRule,
  options: ApplyOptions = {},
): void {
  const { flip, shift, jitter, cutout } = rule;
  const values = valuesPerImage(image);
  invariant(images.length === ids.length * values, 'there is one image per sample id');
  invariant(Number.isInteger(shift) && shift >= 0, 'a shift is a whole number of pixels');
  invariant(Number.isInteger(cutout) && cutout >= 0, 'a square has a whole number of pixels to a side');
  const crops = rule.crop !== undefined && !options.cropped;
  if (!crops && !flip && shift === 0 && jitter === undefined && cutout === 0) return;
  for (let index = 0; index < ids.length; index++) {
    const id = ids[index] as number;
    const pixels = images.subarray(index * values, (index + 1) * values);
    const box = crops ? cropBox(id, rule, image) : null;
    if (box !== null) enlarge(pixels, image, box);
    if (flip || shift > 0) moveImage(pixels, id, image, rule);
    if (jitter !== undefined) jitterImage(pixels, id, rule, jitter);
    if (cutout > 0) cutSquare(pixels, id, image, rule);
  }
}
