/** The files of data sets that others publish: a script gets them into the cache, so that they are fetched once. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { StillhouseError } from '../../lib/base/errors.ts';
import type { CliContext } from '../context.ts';
import { scriptFile } from '../paths.ts';

/**
 * The folder with the files. Progress is the script's, on standard error.
 *
 * @param from the user's own copy of the files
 * @throws UNAVAILABLE when the script could not get them, which it has explained; the signal's reason
 */
export async function fetchSource(
  name: string,
  from: string | undefined,
  { environment, signal }: CliContext,
): Promise<string> {
  signal.throwIfAborted();
  const child = spawn(
    process.execPath,
    [scriptFile('fetch-dataset.mjs'), name, ...(from === undefined ? [] : [from])],
    {
      env: environment as NodeJS.ProcessEnv,
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  // Not by `spawn` itself, which would not wait for the end.
  const stop = () => child.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  let answer = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    answer += text;
  });
  try {
    const [code] = await once(child, 'close');
    signal.throwIfAborted();
    if (code === 0) return JSON.parse(answer).folder;
    throw new StillhouseError('UNAVAILABLE', `the files of ${name} could not be fetched`, {
      hint: 'the reason stands above; --from takes a folder that has them',
    });
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
