/** A check of `stillhouse doctor`: what was found, whether it will do, and what to do about it. */
import { withTimeout } from '../../lib/base/clock.ts';
import { StillhouseError } from '../../lib/base/errors.ts';

export type CheckStatus = 'ok' | 'warn' | 'fail';

export interface Check {
  readonly name: string;
  readonly status: CheckStatus;
  /** What was found, in one line. */
  readonly detail: string;
  /** What to do about it, or what it means; absent when there is nothing to say. */
  readonly hint?: string;
}

export function ok(name: string, detail: string, hint?: string): Check {
  return check(name, 'ok', detail, hint);
}

export function warn(name: string, detail: string, hint?: string): Check {
  return check(name, 'warn', detail, hint);
}

export function fail(name: string, detail: string, hint?: string): Check {
  return check(name, 'fail', detail, hint);
}

function check(name: string, status: CheckStatus, detail: string, hint: string | undefined): Check {
  return { name, status, detail, ...(hint === undefined ? {} : { hint }) };
}

/**
 * What `work` finds; what it throws is a failed check, and so is that it takes longer than `limitMs`: then `whenItFails`
 * says what to do, unless the error has a hint of its own. The rest of the doctor goes on.
 */
export async function attempt(
  name: string,
  limitMs: number,
  work: () => Check | readonly Check[] | Promise<Check | readonly Check[]>,
  whenItFails = 'try again; should it stay, report it with what `stillhouse doctor --json` says',
): Promise<readonly Check[]> {
  const late = () => new StillhouseError('DEADLINE_EXCEEDED', `no answer within ${limitMs / 1000} s`);
  try {
    const found = await withTimeout(Promise.resolve().then(work), limitMs, late);
    return Array.isArray(found) ? found : [found as Check];
  } catch (thrown) {
    const { message, hint } = StillhouseError.from(thrown);
    return [fail(name, message, hint ?? whenItFails)];
  }
}

const STATUS_WIDTH = 4;

/** One line per check, aligned; hints in parentheses at their end. */
export function checkLines(checks: readonly Check[]): string[] {
  const width = Math.max(...checks.map(({ name }) => name.length));
  return checks.map(({ name, status, detail, hint }) => {
    const start = `${status.padEnd(STATUS_WIDTH)}  ${name.padEnd(width)}  `;
    return `${start}${detail}${hint === undefined ? '' : ` (${hint})`}`;
  });
}
