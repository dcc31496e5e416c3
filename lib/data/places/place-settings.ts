/** How a process looks at places other than local folders: what its settings say. */
import { join } from 'node:path';
import { cacheRoot } from '../../base/folders.ts';
import type { Settings } from '../../base/settings.ts';
import type { PlaceOptions } from './place.ts';

const GB = 1e9;

/**
 * The shard cache (`STILLHOUSE_SHARD_CACHE_GB`, in the cache folder) and the form of S3's addresses
 * (`STILLHOUSE_S3_PATH_STYLE`; by default by path where the SDK's settings name an endpoint).
 * @throws StillhouseError INVALID_ARGUMENT for a wrong value
 */
export function placeOptionsOf(settings: Settings): PlaceOptions {
  const limit = settings.integer('STILLHOUSE_SHARD_CACHE_GB', 20, { min: 1, max: 1_000_000 });
  const style = settings.oneOf('STILLHOUSE_S3_PATH_STYLE', 'auto', ['auto', 'on', 'off']);
  const endpoint = settings.optional('AWS_ENDPOINT_URL_S3') ?? settings.optional('AWS_ENDPOINT_URL');
  return {
    shardCache: { folder: join(cacheRoot(settings.environment), 'shards'), limitBytes: limit * GB },
    s3PathStyle: style === 'auto' ? endpoint !== undefined : style === 'on',
  };
}
