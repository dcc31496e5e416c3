/**
 * Which samples each one may be mixed with: those that lie near it, so that whoever reads a few shards finds the partners
 * there. Import has shuffled samples into shards, so that these are as good as any others.
 */
import type { ShardRange } from '../dataset.ts';
import { WINDOW_SHARDS } from '../order.ts';
import { type ShardRun, shardRuns } from '../shard-runs.ts';

/** A shard with fewer is put together with the next ones. */
const POOL_SAMPLES_MIN = 128;

/** What a training draws from. */
export interface MixedSamples {
  /** Ascending; every one lies in a shard. */
  readonly ids: Uint32Array;
  /** Of the data set. */
  readonly shards: readonly ShardRange[];
}

/**
 * All samples are one pool where they lie in one window of the epoch's order. Else each shard's are one; shards with few of them are
 * put together with those that follow, until there are 128 samples or 16 shards.
 */
export class PartnerPools {
  readonly #ids: Uint32Array;
  /** In the order of the ids. */
  readonly #pools: readonly ShardRun[];

  constructor({ ids, shards }: MixedSamples) {
    this.#ids = ids;
    const runs = shardRuns(ids, shards);
    this.#pools = runs.length <= WINDOW_SHARDS ? [{ start: 0, end: ids.length }] : joined(runs);
  }

  /** The ids that a sample, one of the training's, may be mixed with, ascending; itself is among them. */
  poolOf(id: number): Uint32Array {
    let low = 0;
    let high = this.#pools.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.#ids[(this.#pools[middle] as ShardRun).start] as number) <= id) low = middle;
      else high = middle;
    }
    const { start, end } = this.#pools[low] as ShardRun;
    return this.#ids.subarray(start, end);
  }
}

function joined(runs: readonly ShardRun[]): ShardRun[] {
  const pools: ShardRun[] = [];
  let [start, shards] = [0, 0];
  for (const { end } of runs) {
    shards++;
    if (end - start < POOL_SAMPLES_MIN && shards < WINDOW_SHARDS) continue;
    pools.push({ start, end });
    [start, shards] = [end, 0];
  }
  const { end } = runs.at(-1) as ShardRun;
  // What is left over by itself would be mixed with next to nothing.
  if (start < end) pools.push({ start: (pools.pop() as ShardRun).start, end });
  return pools;
}
