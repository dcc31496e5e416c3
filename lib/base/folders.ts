/** Where things lie on the user's machine. */
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import type { Environment } from './settings.ts';

/** `$STILLHOUSE_CACHE`, else `$XDG_CACHE_HOME/stillhouse` (XDG: relative ones do not count), else `~/.cache/stillhouse`. */
export function cacheRoot(environment: Environment): string {
  const { STILLHOUSE_CACHE, XDG_CACHE_HOME, HOME } = environment;
  if (STILLHOUSE_CACHE) return resolve(STILLHOUSE_CACHE);
  if (XDG_CACHE_HOME && isAbsolute(XDG_CACHE_HOME)) return join(XDG_CACHE_HOME, 'stillhouse');
  return join(HOME || homedir(), '.cache', 'stillhouse');
}

/** The folder of data sets: `$STILLHOUSE_DATA`, else `data` in the cache. */
export function dataRoot(environment: Environment): string {
  return environment.STILLHOUSE_DATA ? resolve(environment.STILLHOUSE_DATA) : join(cacheRoot(environment), 'data');
}

/** The folder of stored logits: `$STILLHOUSE_LOGITS`, else `logits` in the cache. */
export function logitsRoot(environment: Environment): string {
  return environment.STILLHOUSE_LOGITS
    ? resolve(environment.STILLHOUSE_LOGITS)
    : join(cacheRoot(environment), 'logits');
}
