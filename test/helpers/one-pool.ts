/** All samples of a training in one shard: any of them may be mixed with any. */
import { PartnerPools } from '../../lib/data/views.ts';

/** @param ids ascending */
export function onePool(ids: Uint32Array): PartnerPools {
  return new PartnerPools({ ids, shards: [{ firstId: 0, records: 2 ** 32 }] });
}
