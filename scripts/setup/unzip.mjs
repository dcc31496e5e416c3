/** Unzipping parts of a wheel with Python's zipfile, which every machine with pip has. */
import { join } from 'node:path';
import { SetupError } from './errors.mjs';
import { lastLine, run } from './process.mjs';

/**
 * @param {string} wheel
 * @param {string} target absolute
 * @param {readonly string[]} members files, or folders ending in `/`
 * @param {{signal?: AbortSignal, onBytes?: (written: number) => void}} options
 * @returns {Promise<Record<string, {bytes: number, sha256: string}>>} the named files' sizes and digests
 */
export async function unzip(wheel, target, members, { signal, onBytes } = {}) {
  const script = join(import.meta.dirname, 'unzip.py');
  let stamps;
  const onLine = (line) => {
    if (line.startsWith('{')) stamps = JSON.parse(line);
    else onBytes?.(Number(line));
  };
  const { code, output } = await run('python3', ['-I', script, wheel, target, ...members], { signal, onLine });
  if (code === 0 && stamps !== undefined) return stamps;
  const isFull = /No space left on device/.test(output);
  throw new SetupError(
    isFull ? 'the disk is full while unzipping a wheel' : `a wheel can't be unzipped (${lastLine(output)})`,
    {
      hint: isFull ? 'free some space and start again' : 'start again',
      isFinal: isFull,
    },
  );
}
