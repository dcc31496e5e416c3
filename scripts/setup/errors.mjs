/** What set-up throws. Both kinds are shown as one line; anything else is a bug and shows its stack. */

/** Something the user can act on: what is wrong, and in `hint` what to do about it. */
export class SetupError extends Error {
  /**
   * @param {string} message what is wrong, without a full stop
   * @param {{hint?: string, cause?: unknown, isFinal?: boolean}} [details] `isFinal`: no other way is to be tried instead
   *   (a download that the network broke off, content that is not the pinned one, a full disk, something of the user's in
   *   the way)
   */
  constructor(message, { hint, cause, isFinal = false } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'SetupError';
    this.hint = hint;
    this.isFinal = isFinal;
  }
}

/** The user ended the run (SIGPIPE: closed our output); `exitCode` is the shell's convention, 128 + the signal's number. */
export class StoppedError extends Error {
  /** @param {'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGPIPE'} signalName */
  constructor(signalName) {
    super('stopped');
    this.name = 'StoppedError';
    this.signalName = signalName;
    this.exitCode = { SIGHUP: 129, SIGINT: 130, SIGPIPE: 141, SIGTERM: 143 }[signalName] ?? 1;
  }
}

/** One line for people. */
export function describeSetupError(thrown) {
  if (thrown instanceof StoppedError) return 'stopped';
  if (thrown instanceof SetupError)
    return thrown.hint === undefined ? thrown.message : `${thrown.message}: ${thrown.hint}`;
  // The file system's refusals (full, read-only, not ours) name their path and are nobody's bug.
  if (thrown instanceof Error && 'syscall' in thrown) {
    return `${thrown.message}: make that possible, or set STILLHOUSE_CACHE to another folder`;
  }
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}

/** The exit code for what was thrown. */
export function exitCodeOf(thrown) {
  return thrown instanceof StoppedError ? thrown.exitCode : 1;
}
