/** Random resized crop, as torchvision's RandomResizedCrop. */
import type { Random } from '../../base/random.ts';
import type { ImageShape } from '../manifest.ts';
import type { ViewRule } from './rule.ts';
import { copyToScratch } from './scratch.ts';
import { streamOf } from './streams.ts';

/** A part of an image, in whole pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

const ATTEMPTS = 10;

/**
 * The part of a sample's image that random resized crop takes: its area uniform and its shape log-uniform within the rule's
 * bounds, its place uniform. Where no draw fits, the largest part at the centre whose shape is allowed.
 *
 * @param size of the image as it is stored, before any scaling
 * @returns null where the rule has no crop
 */
export function cropBox(id: number, rule: ViewRule, size: Size): Box | null {
  if (rule.crop === undefined) return null;
  const { scale, ratio } = rule.crop;
  const random = streamOf('crop', id, rule);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const area = size.width * size.height * within(scale[0], scale[1], random);
    const shape = Math.exp(within(Math.log(ratio[0]), Math.log(ratio[1]), random));
    const width = Math.round(Math.sqrt(area * shape));
    const height = Math.round(Math.sqrt(area / shape));
    if (!(width > 0 && width <= size.width && height > 0 && height <= size.height)) continue;
    const top = random.nextInt(size.height - height + 1);
    const left = random.nextInt(size.width - width + 1);
    return { left, top, width, height };
  }
  return centreBox(size, ratio);
}

function within(from: number, to: number, random: Random): number {
  return from + random.nextFloat() * (to - from);
}

function centreBox(size: Size, ratio: readonly [number, number]): Box {
  const shape = size.width / size.height;
  const width = shape > ratio[1] ? Math.max(1, Math.round(size.height * ratio[1])) : size.width;
  const height = shape < ratio[0] ? Math.max(1, Math.round(size.width / ratio[0])) : size.height;
  return {
    left: Math.floor((size.width - width) / 2),
    top: Math.floor((size.height - height) / 2),
    width,
    height,
  };
}

/**
 * Scales a part of one image to the full size, in place, bilinearly with pixel centres at halves. A part is never larger than
 * the image, and there the triangle filter of antialiased scaling (Pillow, torchvision) is no wider: this is the same.
 *
 * @param pixels [height, width, 3]
 */
export function enlarge(pixels: Float32Array, { height, width }: ImageShape, box: Box): void {
  if (box.width === width && box.height === height) return;
  const source = copyToScratch(pixels);
  const columns = between(box.width, width);
  const rows = between(box.height, height);
  const blended = roomForRow(box.width * 3);
  for (let row = 0; row < height; row++) {
    const upper = ((box.top + (rows.first[row] as number)) * width + box.left) * 3;
    const lower = ((box.top + (rows.second[row] as number)) * width + box.left) * 3;
    blendRows(source, upper, lower, rows.share[row] as number, blended, box.width * 3);
    stretchRow(blended, columns, pixels, row * width * 3);
  }
}

function blendRows(
  source: Float32Array,
  upper: number,
  lower: number,
  share: number,
  blended: Float32Array,
  length: number,
): void {
  for (let value = 0; value < length; value += 3) {
    const red = source[upper + value] as number;
    const green = source[upper + value + 1] as number;
    const blue = source[upper + value + 2] as number;
    blended[value] = red + share * ((source[lower + value] as number) - red);
    blended[value + 1] = green + share * ((source[lower + value + 1] as number) - green);
    blended[value + 2] = blue + share * ((source[lower + value + 2] as number) - blue);
  }
}

function stretchRow(blended: Float32Array, columns: Places, target: Float32Array, start: number): void {
  const { first, second, share } = columns;
  for (let column = 0, to = start; column < first.length; column++, to += 3) {
    const left = 3 * (first[column] as number);
    const right = 3 * (second[column] as number);
    const part = share[column] as number;
    const red = blended[left] as number;
    const green = blended[left + 1] as number;
    const blue = blended[left + 2] as number;
    target[to] = red + part * ((blended[right] as number) - red);
    target[to + 1] = green + part * ((blended[right + 1] as number) - green);
    target[to + 2] = blue + part * ((blended[right + 2] as number) - blue);
  }
}

/** Of each place along an axis: the two pixels of the part that it lies between, and how far it is from the first, 0..1. */
interface Places {
  readonly first: Int32Array;
  readonly second: Int32Array;
  readonly share: Float64Array;
}

function between(from: number, to: number): Places {
  const first = new Int32Array(to);
  const second = new Int32Array(to);
  const share = new Float64Array(to);
  for (let place = 0; place < to; place++) {
    const exact = Math.min(from - 1, Math.max(0, ((place + 0.5) * from) / to - 0.5));
    first[place] = Math.floor(exact);
    second[place] = Math.min(from - 1, Math.floor(exact) + 1);
    share[place] = exact - Math.floor(exact);
  }
  return { first, second, share };
}

/** Of one row of the part, reused. */
let rowRoom = new Float32Array(0);

function roomForRow(values: number): Float32Array {
  if (rowRoom.length < values) rowRoom = new Float32Array(values);
  return rowRoom;
}
