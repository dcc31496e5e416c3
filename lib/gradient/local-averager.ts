/** Averaging without others: one worker holds all lanes. The same tree and the same division as among many. */
import { divergence } from '../distill/divergence.ts';
import type { Averager } from '../distill/training-loop.ts';
import { Round } from './round.ts';

export function localAverager(lanes: number, vectorSize: number): Averager {
  const members = [{ id: 'self', firstLane: 0, lanes }];
  const round = new Round({ members, self: 0, vectorSize, chunkSize: vectorSize });
  return {
    average(step, sums) {
      for (const effect of round.localSums(sums)) {
        if (effect.type === 'commit') return Promise.resolve(effect.mean);
      }
      return Promise.reject(divergence(step));
    },
  };
}
