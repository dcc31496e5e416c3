/** What every command is given: the outside world, as the program's entry found it. */
import type { Environment } from '../lib/base/settings.ts';

export interface CliContext {
  readonly environment: Environment;
  /** Aborted by Ctrl-C, SIGTERM or SIGHUP; the reason is a StillhouseError CANCELLED. */
  readonly signal: AbortSignal;
  /** One line on standard output: what the command answers. */
  out(line: string): void;
  /** One line on standard error: what it is doing. */
  note(line: string): void;
  /** The exit code of a command that ended without an error; 0 unless set. */
  setExitCode(code: number): void;
}
