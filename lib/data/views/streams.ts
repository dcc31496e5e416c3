/** Where views draw from: every kind of change has random numbers of its own, so that switching one on moves no other. */
import { createRandom, hashName, type Random } from '../../base/random.ts';
import type { ViewRule } from './rule.ts';

/** The names are part of the rule: with another one all views change. */
const STREAMS = {
  move: hashName('view'),
  crop: hashName('view crop'),
  jitter: hashName('view jitter'),
  cutout: hashName('view cutout'),
  partner: hashName('view partner'),
  mixLot: hashName('view mix'),
  mixup: hashName('view mixup'),
  cutmix: hashName('view cutmix'),
};

/** What is random of one change to one sample. */
export function streamOf(
  change: keyof typeof STREAMS,
  id: number,
  { seed, number }: Pick<ViewRule, 'seed' | 'number'>,
): Random {
  return createRandom(seed, STREAMS[change], number, id);
}
