/**
 * What the goldens of `scripts/goldens/architectures.py` are made of: values that follow from a tensor's name and an index,
 * and sketches of tensors. The script has the same functions.
 */
import { hashName } from '../../lib/base/random.ts';

/** Numbers in a sketch; a tensor that is no longer is compared number by number. */
export const SKETCH_SIZE = 64;

export interface Sketch {
  /** Of the whole tensor. */
  readonly norm: number;
  /** Float32, base64: the tensor itself, or its count-sketch. */
  readonly values: string;
}

export interface ArchitectureGolden {
  readonly architecture: string;
  readonly input: { readonly height: number; readonly width: number; readonly channels: number };
  readonly classes: number;
  readonly batch: number;
  /** Names the batch's values. */
  readonly batchName: string;
  /** Pixels are uniform in ± this. */
  readonly amplitude: number;
  readonly temperature: number;
  readonly alpha: number;
  /** Where the moving statistics are used; [batch, classes]. */
  readonly evalLogits: Sketch;
  readonly trainLogits: Sketch;
  readonly loss: number;
  /** By tensor, in PyTorch's layout. */
  readonly gradients: Readonly<Record<string, Sketch>>;
  /** Moving statistics after the step. */
  readonly statistics: Readonly<Record<string, Sketch>>;
}

/** murmur3's finaliser. */
function mix(word: number): number {
  let hash = word;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function hashAt(nameHash: number, index: number): number {
  return mix(nameHash ^ Math.imul(index, 0x9e3779b9));
}

/** `length` numbers, uniform in [-1, 1). */
export function goldenValues(name: string, length: number): Float64Array {
  const nameHash = mix(hashName(name));
  return new Float64Array(length).map((_, index) => hashAt(nameHash, index) / 2 ** 31 - 1);
}

/**
 * A tensor of at most 64 numbers as it is; of a larger one, 64 sums, to which every number is added with a sign, both by
 * its index (Charikar, Chen and Farach-Colton 2002). The squared distance of two sketches is, in expectation, that of the
 * tensors.
 */
export function sketchOf(values: ArrayLike<number>): Float64Array {
  if (values.length <= SKETCH_SIZE) return Float64Array.from(values);
  const sketch = new Float64Array(SKETCH_SIZE);
  for (let index = 0; index < values.length; index++) {
    const hash = hashAt(0x5bd1e995, index);
    const value = values[index] as number;
    const bucket = hash % SKETCH_SIZE;
    sketch[bucket] = (sketch[bucket] as number) + (hash >= 2 ** 31 ? value : -value);
  }
  return sketch;
}

export function decodeSketch({ values }: Sketch): Float32Array {
  const bytes = Buffer.from(values, 'base64');
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** ‖a − b‖ of a tensor and a golden one, by their sketches. */
export function distance(actual: ArrayLike<number>, golden: Sketch): number {
  const expected = decodeSketch(golden);
  const sketch = sketchOf(actual);
  if (sketch.length !== expected.length) return Number.POSITIVE_INFINITY;
  return Math.hypot(...sketch.map((value, index) => value - (expected[index] as number)));
}
