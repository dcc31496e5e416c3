/** Which of the training samples have labels that a job looks at: a seeded rule. */
import { StillhouseError } from '../base/errors.ts';
import { createRandom, hashName, shuffle } from '../base/random.ts';

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
  const waiting = new Map<number, number[]>();
  for (const id of shuffle(ids.slice(), createRandom(seed, hashName('labelled')))) {
    const label = labels[id] as number;
    const queue = waiting.get(label);
    if (queue === undefined) waiting.set(label, [id]);
    else queue.push(id);
  }
  const queues = [...waiting].sort(([a], [b]) => a - b).map(([, queue]) => queue);
  const drawn: number[] = [];
  for (let turn = 0; drawn.length < count; turn++) {
    for (const queue of queues) {
      const id = queue[turn];
      if (id !== undefined && drawn.length < count) drawn.push(id);
    }
  }
  return Uint32Array.from(drawn).sort();
}
