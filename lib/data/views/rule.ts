/** What augmentation is asked for, and what one view of it is. */
import { invariant } from '../../base/errors.ts';
import type { ImageShape } from '../manifest.ts';

/** Augmentation: what may happen to an image before a network sees it. */
export interface ViewsSpec {
  /** Mirror half of the images left to right. */
  readonly flip: boolean;
  /** Move every image by up to this many pixels each way; 0 for none. What is moved in is zero. */
  readonly shift: number;
  /** Random resized crop (Szegedy et al. 2015): a part of the image is scaled to its full size. Absent: the whole image. */
  readonly crop?: CropSpec | undefined;
  /** Colour jitter; absent: colours as they are. */
  readonly jitter?: JitterSpec | undefined;
  /** Side of the square that is blanked at a random place, in pixels (DeVries and Taylor 2017, arXiv:1708.04552); 0 for none. */
  readonly cutout: number;
  /** Alpha of mixup (Zhang et al. 2018, arXiv:1710.09412); 0 for none. */
  readonly mixup: number;
  /** Alpha of CutMix (Yun et al. 2019, arXiv:1905.04899); 0 for none. With mixup too, every image takes one of them by lot. */
  readonly cutmix: number;
  /** Only so many views of each image, again and again; absent: a new one in every epoch. */
  readonly cycle?: number | undefined;
}

export interface CropSpec {
  /** Share of the image's area, from and to, above 0 and at most 1. */
  readonly scale: readonly [number, number];
  /** Width over height of the part, from and to. */
  readonly ratio: readonly [number, number];
}

/** As torchvision's ColorJitter: factors are drawn from [1 - x, 1 + x], the hue is turned by up to `hue` of the circle. */
export interface JitterSpec {
  readonly brightness: number;
  readonly contrast: number;
  readonly saturation: number;
  /** 0..0.5 */
  readonly hue: number;
}

/** Decides on every pixel of a view, with the sample's id and, where images are mixed, its partner's. */
export interface ViewRule extends ViewsSpec {
  /** The job's seed. */
  readonly seed: number;
  /** See `viewNumber`. */
  readonly number: number;
}

/** What is to be seen of some samples. */
export interface View {
  readonly rule: ViewRule;
  /** The sample that each one is mixed with, in the order of the ids; null where nothing is mixed. */
  readonly partners: ArrayLike<number> | null;
}

export const NO_VIEWS: ViewsSpec = { flip: false, shift: 0, cutout: 0, mixup: 0, cutmix: 0 };

/** Which view of an image an epoch, counted from 0, shows. */
export function viewNumber({ cycle }: Pick<ViewsSpec, 'cycle'>, epoch: number): number {
  return cycle === undefined ? epoch : epoch % cycle;
}

/** Whether every view of an image is the image itself. */
export function areOff({ flip, shift, crop, jitter, cutout, mixup, cutmix }: ViewsSpec): boolean {
  return !flip && shift === 0 && crop === undefined && jitter === undefined && cutout + mixup + cutmix === 0;
}

/** How many numbers an image is. Views are only made of colour images: that is what data sets answer. */
export function valuesPerImage({ height, width, channels }: ImageShape): number {
  invariant(channels === 3, 'images are red, green and blue');
  return height * width * channels;
}
