/** The images of a pass that nobody has answered yet, in batches. */
import { nextTurn } from '../../lib/base/clock.ts';
import type { CachedLogits, ViewedBatch } from '../../lib/checkpoint/logits-cache/cache.ts';
import type { AnsweredClasses } from './answered-classes.ts';
import type { LabelPass } from './label-passes.ts';

/** Images of a pass that are computed at once. */
export interface LabelBatch {
  readonly pass: LabelPass;
  /** Which of the pass's they are. */
  readonly images: Uint32Array;
  readonly ids: Uint32Array;
  readonly partners: Uint32Array | null;
}

/** Images that are looked up at a time. */
const LOOKUP_IMAGES = 1024;

interface MissingImages {
  readonly pass: LabelPass;
  /** Which of the pass's they are, ascending. */
  readonly images: Uint32Array;
  /** Number of its first batch. */
  readonly firstBatch: number;
}

/** Batches of one pass each, cut when they are asked for: until then an image takes four bytes. */
export class LabelBatches {
  readonly length: number;
  /** Of all batches. */
  readonly images: number;
  readonly #parts: readonly MissingImages[];
  readonly #batchSize: number;

  /**
   * Takes the classes of what is stored in, where a pass wants them.
   * @param batchSize images of a batch; the last one of a pass may have fewer
   */
  static async missing(
    passes: readonly LabelPass[],
    classes: AnsweredClasses | null,
    batchSize: number,
  ): Promise<LabelBatches> {
    const parts: MissingImages[] = [];
    let firstBatch = 0;
    for (const pass of passes) {
      const images = await missingImages(pass, pass.wantsAnswers ? classes : null);
      parts.push({ pass, images, firstBatch });
      firstBatch += Math.ceil(images.length / batchSize);
    }
    return new LabelBatches(parts, firstBatch, batchSize);
  }

  private constructor(parts: readonly MissingImages[], length: number, batchSize: number) {
    this.length = length;
    this.images = parts.reduce((sum, { images }) => sum + images.length, 0);
    this.#parts = parts;
    this.#batchSize = batchSize;
  }

  /** Undefined beyond the last one. */
  at(number: number): LabelBatch | undefined {
    const part = number < this.length ? this.#parts.findLast(({ firstBatch }) => firstBatch <= number) : undefined;
    if (part === undefined) return undefined;
    const { pass, firstBatch } = part;
    const start = (number - firstBatch) * this.#batchSize;
    const images = part.images.slice(start, start + this.#batchSize);
    const pick = (from: Uint32Array) => images.map((image) => from[image] as number);
    return { pass, images, ids: pick(pass.ids), partners: pass.partners === null ? null : pick(pass.partners) };
  }
}

async function missingImages(pass: LabelPass, classes: AnsweredClasses | null): Promise<Uint32Array> {
  const missing = new Uint32Array(pass.ids.length);
  let count = 0;
  for (let start = 0; start < pass.ids.length; start += LOOKUP_IMAGES) {
    for (const index of missingOf(pass, start, classes)) missing[count++] = start + index;
    await nextTurn();
  }
  return missing.slice(0, count);
}

/** Of the images from `start` on, counted from there. */
function missingOf(pass: LabelPass, start: number, classes: AnsweredClasses | null): Iterable<number> {
  const { cache, rule, partners } = pass;
  const end = start + LOOKUP_IMAGES;
  const ids = pass.ids.subarray(start, end);
  if (cache === null || (classes !== null && !classes.canRead(cache.format))) return ids.keys();
  const batch = { view: rule.number, ids, partners: partners?.subarray(start, end) ?? null };
  return classes === null ? cache.missing(batch) : takeStored(batch, start, cache, classes);
}

function takeStored(
  batch: ViewedBatch,
  start: number,
  cache: CachedLogits,
  classes: AnsweredClasses,
): readonly number[] {
  const { rows, missing } = cache.lookup(batch);
  const size = rows.length / batch.ids.length;
  const absent = new Set(missing);
  const found = Array.from({ length: batch.ids.length }, (_, index) => index).filter((index) => !absent.has(index));
  const stored = new Uint8Array(found.length * size);
  for (const [at, index] of found.entries()) stored.set(rows.subarray(index * size, (index + 1) * size), at * size);
  const images = found.map((index) => start + index);
  classes.takeRows(images, stored, cache.format);
  return missing;
}
