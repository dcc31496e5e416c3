/** Where set-up has put the data sets, found as the services find them. */
import { homedir } from 'node:os';
import path from 'node:path';
import { Settings } from '../../lib/base/settings.ts';

export function realDataRoot(): string {
  const settings = new Settings(process.env);
  const userCache = settings.text('XDG_CACHE_HOME', path.join(homedir(), '.cache'));
  const cache = settings.text('STILLHOUSE_CACHE', path.join(userCache, 'stillhouse'));
  return settings.text('STILLHOUSE_DATA', path.join(cache, 'data'));
}
