/**
 * The order of an epoch: the shards permuted by (seed, epoch), the samples shuffled within windows of a few shards. Import has
 * shuffled samples into shards, so that is as good as a shuffle of all, and who walks along it looks at a few shards at a time.
 */
import { invariant } from '../base/errors.ts';
import { createRandom, hashName, shuffle } from '../base/random.ts';
import type { ShardRange } from './dataset.ts';
import { type ShardRun, shardRuns } from './shard-runs.ts';

/** Shards whose samples are shuffled together: with shards of 32 MiB half a gigabyte, which a worker's cache holds. */
export const WINDOW_SHARDS = 16;

/** Sample ids in an order of which parts are computed when they are asked for. */
export interface SampleOrder {
  readonly length: number;
  /** The ids at positions `from` .. `to - 1`; 0 <= `from` <= `to` <= `length`. */
  slice(from: number, to: number): Uint32Array;
}

/** What an epoch runs over. */
export interface OrderedSamples {
  /** Ascending. */
  readonly ids: Uint32Array;
  /** Of the data set, see `Dataset.shards`: every id lies in one. */
  readonly shards: readonly ShardRange[];
  /** The job's. */
  readonly seed: number;
  /** Places of the order that are walked along at the same time. */
  readonly lanes: number;
}

/**
 * The order of one epoch, from 0. It depends on the ids, the shards and the seed alone; `lanes` says how much of it is worth
 * keeping. In memory are a few bytes per shard and about two windows per lane.
 */
export function epochOrder({ ids, shards, seed, lanes }: OrderedSamples, epoch: number): SampleOrder {
  const runs = shardRuns(ids, shards);
  if (runs.length > WINDOW_SHARDS) shuffleRuns(runs, seed, epoch);
  return new WindowedOrder(ids, runs, { seed, epoch, keptWindows: 2 * lanes + 1 });
}

function shuffleRuns(runs: ShardRun[], seed: number, epoch: number): void {
  const before = runs.slice();
  const places = shuffle(Uint32Array.from(runs.keys()), createRandom(seed, hashName('shard order'), epoch));
  for (const [index, place] of places.entries()) runs[index] = before[place] as ShardRun;
}

interface WindowOptions {
  readonly seed: number;
  readonly epoch: number;
  readonly keptWindows: number;
}

class WindowedOrder implements SampleOrder {
  readonly #ids: Uint32Array;
  readonly #runs: readonly ShardRun[];
  readonly #options: WindowOptions;
  /** Where each window begins, and behind the last one the length. */
  readonly #starts: readonly number[];
  /** By number; the one that was used last comes last. */
  readonly #kept = new Map<number, Uint32Array>();

  constructor(ids: Uint32Array, runs: readonly ShardRun[], options: WindowOptions) {
    this.#ids = ids;
    this.#runs = runs;
    this.#options = options;
    const starts = [0];
    for (let first = 0; first < runs.length; first += WINDOW_SHARDS) {
      const inWindow = runs.slice(first, first + WINDOW_SHARDS);
      starts.push((starts.at(-1) as number) + samplesOf(inWindow));
    }
    this.#starts = starts;
  }

  get length(): number {
    return this.#ids.length;
  }

  slice(from: number, to: number): Uint32Array {
    invariant(from >= 0 && from <= to && to <= this.length, `${from} to ${to} lies in an order of ${this.length}`);
    const part = new Uint32Array(to - from);
    for (let at = from, number = this.#windowAt(from); at < to; number++) {
      const start = this.#starts[number] as number;
      const end = Math.min(to, this.#starts[number + 1] as number);
      part.set(this.#window(number).subarray(at - start, end - start), at - from);
      at = end;
    }
    return part;
  }

  /** The last window that begins at the position or before it. */
  #windowAt(position: number): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] as number) <= position) low = middle;
      else high = middle;
    }
    return low;
  }

  #window(number: number): Uint32Array {
    const window = this.#kept.get(number) ?? this.#shuffled(number);
    this.#kept.delete(number);
    this.#kept.set(number, window);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > this.#options.keptWindows) this.#kept.delete(oldest as number);
    return window;
  }

  #shuffled(number: number): Uint32Array {
    const runs = this.#runs.slice(number * WINDOW_SHARDS, (number + 1) * WINDOW_SHARDS);
    const window = new Uint32Array(samplesOf(runs));
    let count = 0;
    // Ascending, so that a window is the same set in the same state whatever the permutation brought together.
    for (const { start, end } of runs.sort((a, b) => a.start - b.start)) {
      window.set(this.#ids.subarray(start, end), count);
      count += end - start;
    }
    const { seed, epoch } = this.#options;
    const words = [seed, hashName('epoch order'), epoch];
    // A data set of one window keeps the order that it had before there were windows.
    return shuffle(window, createRandom(...(number === 0 ? words : [...words, number])));
  }
}

function samplesOf(runs: readonly ShardRun[]): number {
  return runs.reduce((sum, { start, end }) => sum + end - start, 0);
}
