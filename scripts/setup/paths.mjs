/** Where things are: the checkout, and the cache outside it that every checkout of the user shares. */
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout that these scripts belong to. */
export const ROOT = resolve(fileURLToPath(new URL('../..', import.meta.url)));

/** `$STILLHOUSE_CACHE`, else `$XDG_CACHE_HOME/stillhouse`, else `~/.cache/stillhouse`. XDG says: relative ones don't count. */
export function cacheRoot(env = process.env) {
  if (env.STILLHOUSE_CACHE) return resolve(env.STILLHOUSE_CACHE);
  const xdg = env.XDG_CACHE_HOME;
  return join(xdg && isAbsolute(xdg) ? xdg : join(homedir(), '.cache'), 'stillhouse');
}

/** `$STILLHOUSE_DATA`, else `data` in the cache: where data sets are looked for, and where CIFAR-10 is put. */
export function dataRoot(env = process.env) {
  return env.STILLHOUSE_DATA ? resolve(env.STILLHOUSE_DATA) : join(cacheRoot(env), 'data');
}

/** `~/…` for messages. */
export function tilde(path) {
  const home = homedir();
  return home.length > 1 && path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path;
}
