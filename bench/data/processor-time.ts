/** Processor time of a process and all it has started, from Linux's /proc. */
import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts it in hundredths of a second. */
const TICK_MS = 10;

/** In milliseconds; 0 where there is no /proc. */
export function processorMs(pid: number): number {
  try {
    // After the name in parentheses: user and system time are the 14th and 15th field of all.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    return (
      TICK_MS * (Number(fields[11]) + Number(fields[12])) +
      childrenOf(pid).reduce((sum, child) => sum + processorMs(child), 0)
    );
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return 0;
    throw error;
  }
}

function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
}
