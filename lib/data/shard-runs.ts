/** Sample ids by the shard that they lie in. */
import { invariant } from '../base/errors.ts';
import type { ShardRange } from './dataset.ts';

/** A part of `ids` that lies in one shard. */
export interface ShardRun {
  readonly start: number;
  readonly end: number;
}

/**
 * The parts of `ids` by shard, in the order of the shards; shards without any are left out.
 *
 * @param ids ascending; every one lies in a shard
 */
export function shardRuns(ids: Uint32Array, shards: readonly ShardRange[]): ShardRun[] {
  const runs: ShardRun[] = [];
  let start = 0;
  for (const { firstId, records } of shards) {
    if (start === ids.length) break;
    invariant((ids[start] as number) >= firstId, 'ids ascend, and every one lies in a shard');
    const end = firstAtLeast(ids, firstId + records, start);
    if (end > start) runs.push({ start, end });
    start = end;
  }
  invariant(start === ids.length, 'every id lies in a shard');
  return runs;
}

/** The first position from `from` whose id is at least `bound`; the length where there is none. */
function firstAtLeast(ids: Uint32Array, bound: number, from: number): number {
  let low = from;
  let high = ids.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ids[middle] as number) < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}
