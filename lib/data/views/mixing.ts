/**
 * Mixup and CutMix. Each sample draws its partner and its share for itself, where the papers draw one share and one
 * permutation per batch: so a sample's view is the same whatever batch it is in.
 */
import { invariant } from '../../base/errors.ts';
import type { ImageShape } from '../manifest.ts';
import { drawBeta } from './beta.ts';
import type { Box } from './crop.ts';
import type { PartnerPools } from './partner-pools.ts';
import { type ViewRule, valuesPerImage } from './rule.ts';
import { streamOf } from './streams.ts';

/** What of a mixed image is its own. */
interface Mix {
  /** 0..1, as float32 holds it: labels are mixed by the same number. */
  readonly share: number;
  /** Where CutMix puts the partner's pixels; null for mixup. */
  readonly box: Box | null;
}

/**
 * The sample that each one is mixed with: any of its pool, now and then itself.
 *
 * @param ids samples of the training
 * @param pools of the training
 * @returns null where the rule mixes nothing
 */
export function partnersOf(ids: ArrayLike<number>, pools: PartnerPools, rule: ViewRule): Uint32Array | null {
  if (rule.mixup === 0 && rule.cutmix === 0) return null;
  return Uint32Array.from(ids, (id) => {
    const pool = pools.poolOf(id);
    return pool[streamOf('partner', id, rule).nextInt(pool.length)] as number;
  });
}

/**
 * Which share of each mixed image, and so of its label, is the sample's own; the rest is its partner's. For mixup as drawn from
 * Beta(alpha, alpha); for CutMix what the partner's box, cut off at the edges, leaves of the area.
 *
 * @param rule one that mixes
 * @returns [ids], 0..1
 */
export function mixShares(ids: ArrayLike<number>, rule: ViewRule, image: ImageShape): Float32Array {
  return Float32Array.from(ids, (id) => drawMix(id, rule, image).share);
}

/**
 * Mixes views of samples with views of their partners, in place.
 *
 * @param images [ids, height, width, 3], of the samples
 * @param partnerImages of the same shape; never changed
 * @param rule one that mixes
 */
export function mixImages(
  images: Float32Array,
  partnerImages: Float32Array,
  ids: ArrayLike<number>,
  image: ImageShape,
  rule: ViewRule,
): void {
  const values = valuesPerImage(image);
  invariant(images.length === ids.length * values, 'there is one image per sample id');
  invariant(partnerImages.length === images.length, 'there is one partner per image');
  for (let index = 0; index < ids.length; index++) {
    const { share, box } = drawMix(ids[index] as number, rule, image);
    const from = index * values;
    if (box === null) blend(images, partnerImages, from, from + values, share);
    else paste(images, partnerImages, from, image, box);
  }
}

function drawMix(id: number, rule: ViewRule, image: ImageShape): Mix {
  const cuts = rule.cutmix > 0 && (rule.mixup === 0 || streamOf('mixLot', id, rule).nextInt(2) === 1);
  if (!cuts) return { share: Math.fround(drawBeta(rule.mixup, streamOf('mixup', id, rule))), box: null };
  const box = drawCut(id, rule, image);
  const area = image.width * image.height;
  return { share: Math.fround((area - box.width * box.height) / area), box };
}

/** As torchvision's CutMix: sides in proportion to the image's, the centre any pixel, cut off at the edges. */
function drawCut(id: number, rule: ViewRule, { width, height }: ImageShape): Box {
  const random = streamOf('cutmix', id, rule);
  const half = Math.sqrt(1 - drawBeta(rule.cutmix, random)) / 2;
  const x = random.nextInt(width);
  const y = random.nextInt(height);
  const left = Math.max(0, x - Math.floor(half * width));
  const top = Math.max(0, y - Math.floor(half * height));
  const right = Math.min(width, x + Math.floor(half * width));
  const bottom = Math.min(height, y + Math.floor(half * height));
  return { left, top, width: right - left, height: bottom - top };
}

function blend(images: Float32Array, partners: Float32Array, from: number, to: number, share: number): void {
  for (let at = from; at < to; at += 3) {
    const red = partners[at] as number;
    const green = partners[at + 1] as number;
    const blue = partners[at + 2] as number;
    images[at] = red + share * ((images[at] as number) - red);
    images[at + 1] = green + share * ((images[at + 1] as number) - green);
    images[at + 2] = blue + share * ((images[at + 2] as number) - blue);
  }
}

function paste(images: Float32Array, partners: Float32Array, from: number, { width }: ImageShape, box: Box): void {
  for (let row = box.top; row < box.top + box.height; row++) {
    const start = from + (row * width + box.left) * 3;
    images.set(partners.subarray(start, start + box.width * 3), start);
  }
}
