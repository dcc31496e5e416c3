/**
 * Views: augmentation as a pure function of (seed, epoch, sample id), so that teacher and student, wherever they run and
 * however samples are batched, see the same pixels.
 */
import { invariant } from '../base/errors.ts';
import { createRandom, hashName } from '../base/random.ts';
import type { ImageShape } from './manifest.ts';

/** Version of the rule below. Raise it with any change of the pixels: both ends of a logits stream compare it. */
export const VIEW_PROTOCOL = 1;

export interface ViewRule {
  /** The job's seed. */
  readonly seed: number;
  readonly epoch: number;
  /** Mirror half of the images, left to right. */
  readonly flip: boolean;
  /** Move every image by up to this many pixels each way; 0 for none. What is moved in is zero. */
  readonly shift: number;
}

/** Whether every view of an image is the image itself. */
export function areOff({ flip, shift }: Pick<ViewRule, 'flip' | 'shift'>): boolean {
  return !flip && shift === 0;
}

/** What one view does to an image: mirror it, then move it right by `right` and down by `down` pixels. */
interface View {
  readonly mirrored: boolean;
  readonly right: number;
  readonly down: number;
}

/**
 * Turns images into their views, in place.
 *
 * @param images [ids, height, width, channels].
 * @param ids the sample of each image.
 */
export function applyViews(images: Float32Array, ids: ArrayLike<number>, image: ImageShape, rule: ViewRule): void {
  const values = image.height * image.width * image.channels;
  invariant(images.length === ids.length * values, 'there is one image per sample id');
  invariant(Number.isInteger(rule.shift) && rule.shift >= 0, 'a shift is a whole number of pixels');
  if (areOff(rule)) return;
  const source = new Float32Array(values);
  for (let index = 0; index < ids.length; index++) {
    const view = viewOf(ids[index] as number, rule);
    if (!view.mirrored && view.right === 0 && view.down === 0) continue;
    const target = images.subarray(index * values, (index + 1) * values);
    source.set(target);
    drawView(source, target, image, view);
  }
}

/** Draws every number whether it is used or not: switching the flip off leaves the shifts as they are. */
function viewOf(id: number, rule: ViewRule): View {
  const random = createRandom(rule.seed, hashName('view'), rule.epoch, id);
  const mirrored = random.nextInt(2) === 1 && rule.flip;
  const right = random.nextInt(2 * rule.shift + 1) - rule.shift;
  const down = random.nextInt(2 * rule.shift + 1) - rule.shift;
  return { mirrored, right, down };
}

function drawView(source: Float32Array, target: Float32Array, image: ImageShape, view: View): void {
  const { height, width, channels } = image;
  const rowValues = width * channels;
  const firstColumn = Math.min(width, Math.max(0, view.right));
  const endColumn = Math.max(firstColumn, Math.min(width, width + view.right));
  target.fill(0);
  for (let row = Math.max(0, view.down); row < Math.min(height, height + view.down); row++) {
    const from = (row - view.down) * rowValues;
    const to = row * rowValues;
    if (!view.mirrored) {
      const start = from + (firstColumn - view.right) * channels;
      const length = (endColumn - firstColumn) * channels;
      target.set(source.subarray(start, start + length), to + firstColumn * channels);
      continue;
    }
    for (let column = firstColumn; column < endColumn; column++) {
      const mirror = from + (width - 1 - (column - view.right)) * channels;
      for (let channel = 0; channel < channels; channel++) {
        target[to + column * channels + channel] = source[mirror + channel] as number;
      }
    }
  }
}
