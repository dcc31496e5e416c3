/** Where the set-up has put data sets and weights, found as the services find them. */
import { cacheRoot, dataRoot } from '../../lib/base/folders.ts';

export function realDataRoot(): string {
  return dataRoot(process.env);
}

export function realCacheRoot(): string {
  return cacheRoot(process.env);
}
