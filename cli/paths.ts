/** Where things lie on the user's machine, and where our own programs are. */
import { homedir } from 'node:os';
import { dirname, extname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Environment } from '../lib/base/settings.ts';

/** `$STILLHOUSE_CACHE`, else `$XDG_CACHE_HOME/stillhouse` (XDG: relative ones do not count), else `~/.cache/stillhouse`. */
export function cacheRoot(environment: Environment): string {
  const { STILLHOUSE_CACHE, XDG_CACHE_HOME, HOME } = environment;
  if (STILLHOUSE_CACHE) return resolve(STILLHOUSE_CACHE);
  if (XDG_CACHE_HOME && isAbsolute(XDG_CACHE_HOME)) return join(XDG_CACHE_HOME, 'stillhouse');
  return join(HOME || homedir(), '.cache', 'stillhouse');
}

/** The folder of data sets. */
export function dataRoot(environment: Environment): string {
  return environment.STILLHOUSE_DATA ? resolve(environment.STILLHOUSE_DATA) : join(cacheRoot(environment), 'data');
}

/** This file is `.ts` in a checkout, run through tsx, and `.js` where the project has been compiled. */
const OWN_FILE = fileURLToPath(import.meta.url);
const ROOT = dirname(dirname(OWN_FILE));

/** Node's arguments that run one of our programs, named from the repository root without its extension. */
export function programArguments(program: string): string[] {
  const extension = extname(OWN_FILE);
  const file = join(ROOT, `${program}${extension}`);
  // tsx by its resolved address: the working directory may be anywhere.
  return extension === '.ts' ? [`--import=${import.meta.resolve('tsx')}`, file] : [file];
}
