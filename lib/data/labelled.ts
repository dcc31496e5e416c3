/** Which of the training samples have labels that a job looks at: a seeded rule. */
import { StillhouseError } from '../base/errors.ts';
import { createRandom, hashName, shuffle } from '../base/random.ts';
import { inOrderOf } from './sample-ids.ts';

/**
 * Draws `count` of the samples by seed, class by class in turn: as evenly over the classes as their samples reach, the way
 * few-label benchmarks are drawn. A larger draw holds the smaller one.
 *
 * @param ids ascending
 * @param labels class of every sample of the data set, by id
 * @returns sample ids, ascending
 * @throws StillhouseError INVALID_ARGUMENT, field `data.labelled`, when there are not so many
 */
export function drawLabelled(
  ids: Uint32Array,
  labels: ArrayLike<number>,
  request: { readonly seed: number; readonly count: number },
): Uint32Array {
  const { seed, count } = request;
  if (!Number.isInteger(count) || count < 1 || count > ids.length) {
    const message = `data.labelled asks for ${count}, expected a whole number from 1 to ${ids.length}, the training images`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { field: 'data.labelled' });
  }
  const quotas = quotasOf(countByClass(ids, labels), count);
  const order = shuffle(ids.slice(), createRandom(seed, hashName('labelled')));
  const drawn = new Uint32Array(count);
  let next = 0;
  for (let index = 0; next < count; index++) {
    const id = order[index] as number;
    const label = labels[id] as number;
    const quota = quotas[label] as number;
    if (quota === 0) continue;
    quotas[label] = quota - 1;
    drawn[next++] = id;
  }
  return inOrderOf(ids, drawn);
}

/** Samples of each class, by class number. */
function countByClass(ids: Uint32Array, labels: ArrayLike<number>): number[] {
  const counts: number[] = [];
  for (let index = 0; index < ids.length; index++) {
    const label = labels[ids[index] as number] as number;
    while (counts.length <= label) counts.push(0);
    counts[label] = (counts[label] as number) + 1;
  }
  return counts;
}

/** How many each class gives when they give one in turn, lower classes first, until there are `total`. */
function quotasOf(available: readonly number[], total: number): number[] {
  const quotas = available.map(() => 0);
  let left = total;
  for (;;) {
    const open = available.flatMap((has, label) => (has > (quotas[label] as number) ? [label] : []));
    if (left < open.length) {
      for (const label of open.slice(0, left)) quotas[label] = (quotas[label] as number) + 1;
      return quotas;
    }
    if (left === 0) return quotas;
    const rests = open.map((label) => (available[label] as number) - (quotas[label] as number));
    // As many whole turns at once as no class runs out within and the total allows.
    const turns = Math.min(Math.floor(left / open.length), Math.min(...rests));
    for (const label of open) quotas[label] = (quotas[label] as number) + turns;
    left -= turns * open.length;
  }
}
