/** One run at a time in a folder: a file with the process that writes there. */
import { join } from 'node:path';
import { StillhouseError } from '../../lib/base/errors.ts';
import { holderOf, takeProcessLock } from '../../lib/base/process-lock.ts';
import { shownPath } from '../text.ts';

export const LOCK_FILE = 'run.pid';

/**
 * Takes the folder for this process; what a run has left that was killed is taken over. The returned function gives it back.
 * @throws FAILED_PRECONDITION when a process that is alive has it
 */
export function lockRunFolder(folder: string): () => void {
  const path = join(folder, LOCK_FILE);
  const lock = takeProcessLock(path);
  if (lock === undefined) throw busy(folder, holderOf(path));
  return lock.release;
}

function busy(folder: string, holder: string | undefined): StillhouseError {
  const shown = shownPath(folder);
  const who = holder === undefined ? '' : ` (${holder})`;
  return new StillhouseError('FAILED_PRECONDITION', `another run is writing to ${shown}${who}`, {
    field: '--out',
    hint: `wait until it ends, choose another folder with --out, or delete ${join(shown, LOCK_FILE)} if that process is no run`,
  });
}
